"""A receiver of webhooks on loopback (推送接收方): answers as its paths say and keeps what it was sent."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        return json.loads(self.body)  # type: ignore[no-any-return]


@dataclass
class Receiver:
    """`/ok` takes everything, `/fail` answers 500, `/redirect` points elsewhere, `/slow` says nothing, `/flaky` fails twice."""

    received: list[Received] = field(default_factory=list)
    port: int = 0
    scheme: str = "http"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str) -> str:
        return f"{self.scheme}://{self.host}{path}"

    def at(self, path: str) -> list[Received]:
        return [one for one in self.received if one.path == path]

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        self.scheme = "https" if tls else "http"
        try:
            yield self
        finally:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            path = lines[0].split()[1]
            self.received.append(Received(path, headers, body))
            if path == "/slow":
                await asyncio.sleep(3)
            writer.write(self._words(path))
            await writer.drain()
        writer.close()

    def _words(self, path: str) -> bytes:
        if path == "/redirect":
            return f"HTTP/1.1 302 Found\r\nLocation: {self.url('/elsewhere')}\r\nContent-Length: 0\r\n\r\n".encode()
        failing = path == "/fail" or (path == "/flaky" and len(self.at(path)) < 3)
        status = "500 Internal Server Error" if failing else "204 No Content"
        return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
