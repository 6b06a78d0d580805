"""People in one instance, the hub's part: gateways are told, JupyterHub's rights follow, and what ends is ended."""
