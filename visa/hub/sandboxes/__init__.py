"""One Linux machine: what puts an admitted instance into a bubblewrap sandbox beside its gateway."""
