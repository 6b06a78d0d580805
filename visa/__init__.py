"""VISA: notebooks and desktops on an experiment's data, on JupyterHub."""

__version__ = "0.1.0"
