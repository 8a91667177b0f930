"""The internal port (内部端口): metrics for Prometheus, away from the port that clients reach.

A thread of its own answers from memory; being asked never touches the database, however often it happens.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from fenzhi.telemetry.metrics import REGISTRY, begin

PATH = "/metrics"
READERS_MOST = 8
_PATIENCE_S = 5.0


class _Handler(BaseHTTPRequestHandler):
    """Answers GET of the one path (应答)."""

    timeout = _PATIENCE_S
    server_version = "fenzhi"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        body = generate_latest(REGISTRY)
        self.send_response(HTTPStatus.OK)
        self.send_header("content-type", CONTENT_TYPE_LATEST)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a line for every look would drown the others."""


class _Server(ThreadingHTTPServer):
    """At most so many readers at once; whoever comes beyond is turned away (限制并发)."""

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        self._places = threading.BoundedSemaphore(READERS_MOST)
        super().__init__((host, port), _Handler)

    def process_request(self, request: object, client_address: object) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)  # type: ignore[arg-type]
            return
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def process_request_thread(self, request: object, client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A reader that went away is nobody's fault."""


@contextmanager
def metrics_at(part: str, host: str, port: int | None) -> Iterator[int | None]:
    """Serve the metrics of a part of the platform for as long as the block lasts (开放指标端口); the port, or None without one.

    Port 0 is any free one. Raises: OSError when the port is taken.
    """
    begin(part)
    if port is None:
        yield None
        return
    server = _Server(host, port)
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
