"""A desktop in the browser, ours against stock jupyter-remote-desktop-proxy: ``python -m benchmarks.desktop``."""
