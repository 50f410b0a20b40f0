"""A server on this machine that misbehaves as asked."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: What the server does with one request: ``send`` all or the rest, ``drop`` after half of what is due, ``stall``
#: there, ``whole`` sends all and ignores ranges, ``other`` sends other bytes, or an error by its number.
Mood = str


class Loopback:
    """Serves one file under every path, and notes the ranges that were asked for."""

    def __init__(self, content: bytes, moods: list[Mood]) -> None:
        self.content, self.moods, self.ranges = content, moods, []
        loopback = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                loopback.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        mood = self.moods.pop(0) if len(self.moods) > 1 else self.moods[0]
        asked = handler.headers.get("Range", "")
        self.ranges.append(asked)
        if mood.isdigit():
            handler.send_response(int(mood))
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and mood != "whole" else 0
        due = (self.content if mood != "other" else bytes(len(self.content)))[start:]
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        handler.send_header("Content-Length", str(len(due)))
        handler.end_headers()
        handler.wfile.write(due if mood in ("send", "whole", "other") else due[: len(due) // 2])
        handler.wfile.flush()
        if mood == "stall":
            time.sleep(1.5)
        handler.close_connection = True
