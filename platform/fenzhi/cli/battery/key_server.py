"""An issuer's key server (公钥服务): publishes a set of keys, or misbehaves in one of the ways that servers do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

WAYS = (
    "garbage", "empty", "a list", "not UTF-8", "deep", "no usable key", "two keys of one id", "a private key of another kind",
    "redirect", "error", "slow", "drips", "huge", "cut", "compressed",
)  # fmt: skip
"""Ways to misbehave (异常方式)."""


@dataclass
class KeyServer:
    """Answers every request alike and counts them (公钥服务)."""

    keys: list[dict[str, Any]] = field(default_factory=list)
    way: str = ""
    asked: int = 0
    followed: int = 0
    """How often the target of the redirect was asked."""
    port: int = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/keys"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[KeyServer]:
        """Listen for as long as the block lasts."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET /elsewhere"):
                self.followed += 1
            else:
                self.asked += 1
            await self._write(writer)
        writer.close()

    async def _write(self, writer: asyncio.StreamWriter) -> None:
        good = json.dumps({"keys": self.keys}).encode()
        bodies = {
            "garbage": b"<html>not here</html>",
            "empty": b"",
            "a list": b"[]",
            "not UTF-8": b"\xff\xfe",
            "deep": b'{"keys":' + b"[" * 5_000,
            "no usable key": json.dumps({"keys": [{"kty": "oct", "k": "AAAA", "kid": "x"}, 1, None, {}]}).encode(),
            "two keys of one id": json.dumps({"keys": [*self.keys, *self.keys]}).encode(),
            "a private key of another kind": json.dumps(
                {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "y"}]}
            ).encode(),
            "huge": b'{"keys":[' + b" " * 400_000 + b"]}",
        }
        status, extra, body = "200 OK", "", bodies.get(self.way, good)
        if self.way == "redirect":
            status, extra = "302 Found", f"location: http://{self.host}/elsewhere\r\n"
        if self.way == "error":
            status = "500 Internal Server Error"
        if self.way == "compressed":
            extra = "content-encoding: gzip\r\n"
        length = len(body) + (100 if self.way == "cut" else 0)
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{extra}connection: close\r\n\r\n"
        if self.way == "slow":
            await asyncio.sleep(30)
        writer.write(head.encode())
        if self.way == "drips":
            for byte in body:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.5)
        writer.write(body)
        await writer.drain()
