"""The internal port (内部端口): metrics for Prometheus at /metrics and the pulse of the process at /healthz, away from clients.

A thread of its own answers from memory; being asked never touches the database, however often it happens.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from fenzhi.telemetry.metrics import REGISTRY, begin

LOOP_STUCK_S = 60.0
"""An event loop that has not turned for so long is stuck (事件循环停滞)."""
_BEAT_S = 5.0
READERS_MOST = 8
_PATIENCE_S = 5.0


class _Pulse:
    """When the event loop last turned (心跳)."""

    def __init__(self) -> None:
        self._beat = time.monotonic()

    def beat(self) -> None:
        """The loop turned."""
        self._beat = time.monotonic()

    def age(self) -> float:
        """Seconds since it did."""
        return time.monotonic() - self._beat


_pulse = _Pulse()


async def keep_pulse() -> None:
    """Show until cancelled that the event loop turns (保持心跳)."""
    while True:
        _pulse.beat()
        await asyncio.sleep(_BEAT_S)


class _Handler(BaseHTTPRequestHandler):
    """Answers GET of the metrics and of whether the process lives (应答)."""

    timeout = _PATIENCE_S
    server_version = "fenzhi"
    sys_version = ""

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/metrics":
                self._say(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(REGISTRY))
            case "/healthz":
                is_alive = _pulse.age() < LOOP_STUCK_S
                status = HTTPStatus.OK if is_alive else HTTPStatus.SERVICE_UNAVAILABLE
                self._say(status, "text/plain", b"alive" if is_alive else b"stuck")
            case _:
                self.send_error(HTTPStatus.NOT_FOUND)

    def _say(self, status: HTTPStatus, media: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", media)
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
