"""A server extension for the tests: says which handlers the running Jupyter has, its other extensions' too.

Runs inside the environment, on its own Python.
"""

import json

from tornado.web import RequestHandler

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def rules(router):
    """All rules of a router and those below it."""
    for rule in router.rules:
        if hasattr(rule.target, "rules"):
            yield from rules(rule.target)
        elif isinstance(rule.target, type):
            handler = rule.target
            done = [one for one in METHODS if getattr(handler, one.lower()) is not getattr(RequestHandler, one.lower())]
            yield {
                "pattern": rule.matcher.regex.pattern,
                "handler": f"{handler.__module__}.{handler.__name__}",
                "methods": done,
                "websocket": any(base.__name__ == "WebSocketHandler" for base in handler.__mro__),
            }


def _jupyter_server_extension_points():
    return [{"module": "told_handlers"}]


def _load_jupyter_server_extension(app):
    class Told(RequestHandler):
        def get(self):
            self.set_header("Content-Type", "application/json")
            self.finish(json.dumps(list(rules(app.web_app.default_router))))

    app.web_app.add_handlers(".*$", [(app.base_url + "told-handlers", Told)])
