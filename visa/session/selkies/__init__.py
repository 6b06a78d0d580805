"""Selkies' websocket protocol (2.1) as it passes the gateway: pure filters, no I/O.

Unlike RFB it is made of whole websocket messages: text, a word and what belongs to it, or one encoded picture.
"""
