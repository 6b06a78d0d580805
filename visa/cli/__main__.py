"""``python -m visa.cli``."""

from visa.cli.main import main

if __name__ == "__main__":
    main()
