"""What a role on an instance may do: one table, held by the gateway per request and per message.

The gateway imports this module and nothing heavier: keep it free of pydantic and SQLAlchemy.
"""
