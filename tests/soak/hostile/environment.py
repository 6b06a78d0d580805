"""An environment that is somebody's own program: it has Jupyter's socket, and answers as each request says itself.

Runs inside of an instance, on the environment's Python. ``?status=``, ``?headers=`` (a JSON list of pairs) and
``?body=`` make the answer; ``.../seen`` gives all that ever came, as the attacker would have it.
"""

from __future__ import annotations

import json
import os
import select
import socketserver
import sys
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE = (
    "<!doctype html><html><head><title>Lab</title></head><body><p id='evil'>A page of somebody's own</p></body></html>"
)
seen: list[dict[str, Any]] = []


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        came = {"line": self.requestline, "headers": self.headers.items(), "body": self.rfile.read(length).decode()}
        parts = urlsplit(self.path)
        given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if parts.path.endswith("/seen"):
            body, kind = json.dumps(seen), "application/json"
        else:
            seen.append(came)
            body, kind = given.get("body", PAGE), "text/html; charset=utf-8"
        headers = json.loads(given.get("headers", "[]"))
        self.send_response_only(int(given.get("status", "200")))
        for name, value in headers:
            self.send_header(name, value)
        if "content-type" not in {name.lower() for name, _ in headers}:
            self.send_header("Content-Type", kind)
        content = body.encode()
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def address_string(self) -> str:
        return "gateway"

    def log_message(self, *told: object) -> None:
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


if __name__ == "__main__":
    if os.fork():  # a kernel that ends takes its children along
        os._exit(0)
    os.setsid()
    kernel, place = int(sys.argv[1]), os.environ["VISA_RUN"] + "/jupyter.sock"
    select.select([os.pidfd_open(kernel)], [], [])  # whoever asked for this says good-bye to Jupyter first
    os.rename(place, place + ".jupyter")
    os.umask(0o117)  # the gateway is the socket's group
    Server(place, Answer).serve_forever()
