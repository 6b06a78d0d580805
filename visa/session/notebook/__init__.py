"""What each role may do with the notebook, per request and per message (docs/developers/people.md).

Pure: `requests`, `folders`, `kernel`, `lib0`, `awareness`, `room`. The others ask Jupyter and files.py, and serve.
"""
