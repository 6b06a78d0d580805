"""The desktop in the browser: its page, its state, and what passes between viewers and the X server."""
