"""A TCP proxy that breaks what it carries, on command (故障代理): between API or worker and PostgreSQL or Redis, and between client and API."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

_COMMIT = b"COMMIT"
_PIECE = 1 << 16
DELAY_S = 0.1
"""What every answer is late by: fifty of them stand in one submission."""
_NEVER_S = 45.0
"""How long a half-open connection says nothing before it breaks at last, as it would in a network."""


class Fault(StrEnum):
    """What is done to a connection (故障方式)."""

    CUT_AFTER_COMMIT = "answer cut after COMMIT"
    CUT_BEFORE_COMMIT = "cut before COMMIT"
    CUT_ANSWER = "answer cut"
    RESET = "reset"
    DELAY = "delay"
    HALF_OPEN = "half-open"
    DRIP = "one byte a second"


@dataclass(eq=False)
class Link:
    """One connection carried (一条连接)."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    is_mute: bool = False
    """Whether nothing is carried any more."""
    drops_answer: bool = False
    """Whether the next answer is dropped and the connection broken."""

    def reset(self) -> None:
        """Break both sides at once, without a farewell."""
        for side in (self.client, self.server):
            sock: socket.socket | None = side.get_extra_info("socket")
            with suppress(OSError, ValueError):
                if sock is not None:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            side.transport.abort()


@dataclass
class FaultProxy:
    """Carries connections to one address (故障代理); `arm` names what happens next."""

    host: str
    port: int
    listening: int = 0
    fell: int = 0
    """How many times the armed fault came about."""
    _fault: Fault | None = None
    _skip: int = 0
    _slow_s: float = 0.0
    _links: set[Link] = field(default_factory=set)

    def arm(self, fault: Fault, *, skip: int = 0) -> None:
        """What happens next: to the connection that carries the fitting bytes, `skip` of them later; or to all there are, now."""
        self.fell = 0
        self._fault, self._skip = fault, skip
        match fault:
            case Fault.RESET:
                self.fell = len(self._links)
                for link in list(self._links):
                    link.reset()
            case Fault.HALF_OPEN:
                self.fell = len(self._links)
                for link in list(self._links):
                    link.is_mute = True
                    asyncio.get_running_loop().call_later(_NEVER_S, link.reset)
            case Fault.DELAY:
                self._slow_s = DELAY_S
            case Fault.DRIP:
                self._slow_s = 4.0

    def disarm(self) -> None:
        """Carry everything again; what fell before counts no more."""
        self._fault, self._slow_s, self.fell = None, 0.0, 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until it ends."""
        try:
            server_reader, server_writer = await asyncio.open_connection(self.host, self.port)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, server_writer)
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._there(link, reader))
                both.create_task(self._back(link, server_reader))
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._links.discard(link)
            for side in (writer, server_writer):
                side.close()

    async def _there(self, link: Link, reader: asyncio.StreamReader) -> None:
        while piece := await reader.read(_PIECE):
            if link.is_mute:
                continue
            if self._fault is Fault.CUT_BEFORE_COMMIT and self._turn(_COMMIT in piece):
                link.reset()
                return
            if (self._fault is Fault.CUT_AFTER_COMMIT and self._turn(_COMMIT in piece)) or (
                self._fault is Fault.CUT_ANSWER and self._turn(True)
            ):
                link.drops_answer = True
            link.server.write(piece)
            await link.server.drain()
        if not link.is_mute and link.server.can_write_eof():
            link.server.write_eof()

    async def _back(self, link: Link, reader: asyncio.StreamReader) -> None:
        while piece := await reader.read(_PIECE):
            if link.is_mute:
                continue
            if link.drops_answer:
                # The other side has done what it was asked; nobody will hear of it.
                link.reset()
                return
            if self._fault is Fault.DELAY and self._slow_s:
                self.fell += 1
                await asyncio.sleep(self._slow_s)
            if self._fault is Fault.DRIP:
                self.fell += 1
                piece = await self._dripped(link, piece)
            link.client.write(piece)
            await link.client.drain()
        if not link.is_mute and link.client.can_write_eof():
            link.client.write_eof()

    async def _dripped(self, link: Link, piece: bytes) -> bytes:
        """Write some of it a byte a second; the rest."""
        while piece and self._slow_s > 0:
            link.client.write(piece[:1])
            await link.client.drain()
            piece = piece[1:]
            self._slow_s -= 1
            await asyncio.sleep(1)
        return piece

    def _turn(self, fits: bool) -> bool:
        """Whether it is this one's turn; then the fault is spent."""
        if not fits:
            return False
        if self._skip:
            self._skip -= 1
            return False
        self._fault = None
        self.fell += 1
        return True


@asynccontextmanager
async def fault_proxy(host: str, port: int) -> AsyncIterator[FaultProxy]:
    """A proxy to one address, listening on a free port of this machine (故障代理)."""
    proxy = FaultProxy(host, port)
    server = await asyncio.start_server(proxy.carry, "127.0.0.1", 0)
    proxy.listening = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for link in list(proxy._links):
            link.reset()
