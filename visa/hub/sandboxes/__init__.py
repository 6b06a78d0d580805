"""Instances on one Linux machine: a gateway beside a bubblewrap sandbox, watched by a small supervisor."""
