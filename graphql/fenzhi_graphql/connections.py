"""Connections with deadlines (连接时限). uvicorn waits for ever for the head of a request, for a reader who does not read and for a
connection that was closed and is not taken away; an application behind ASGI sees none of these.

What is bounded here: the time and the bytes of a request's head, the time a client may leave our answer unread, the rest of a body
whose request has been answered already, and the number of connections: the one that has been idle longest makes room.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio import TimerHandle
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fenzhi.telemetry.metrics import HTTP_CONNECTIONS, HTTP_CONNECTIONS_CLOSED

_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how much (时限与限量)."""

    head_s: float = 10.0
    """From the first moment a request could begin, on a fresh connection, or its first byte, on a used one, to the end of its head."""
    head_most: int = 32_768
    """Bytes of a head (请求头上限)."""
    unread_s: float = 30.0
    """How long an answer may stay unread, and how long the rest of a refused body may take."""
    connections_most: int = 512
    """Connections of one process (连接数上限)."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's connection, with our deadlines (限时连接)."""

    patience = Patience()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: TimerHandle | None = None
        self._unread_timer: TimerHandle | None = None
        self._head_bytes = 0
        self._in_message = False
        self._idle_since = self.loop.time()

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered (空闲)."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        HTTP_CONNECTIONS.inc()
        _let_go_of_the_dead(transport, self.patience.unread_s)
        self._expect_head()
        if len(self.connections) > self.patience.connections_most:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        HTTP_CONNECTIONS.dec()
        self._forget_head()
        self._forget_unread()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self.is_idle or self.transport.is_closing():
            super().data_received(data)
            return
        if self._in_message:
            # The rest of a body that was answered before it was read to its end: let it pass, but not for ever.
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(self.patience.unread_s, self._too_slow)
        elif self._head_timer is None:
            self._expect_head()
        self._head_bytes += len(data)
        super().data_received(data)
        if self.is_idle and not self._in_message and self._head_bytes > self.patience.head_most:
            self._refuse(_LONG, "head")

    def on_headers_complete(self) -> None:
        self._forget_head()
        self._in_message = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_message = False
        self._forget_head()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._idle_since = self.loop.time()
        super().on_response_complete()
        if self.transport.is_closing():
            self._expect_reader()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._expect_reader()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reader()

    def resume_writing(self) -> None:
        if not self.transport.is_closing():
            self._forget_unread()
        super().resume_writing()

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(self.patience.head_s, self._too_slow)

    def _forget_head(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _expect_reader(self) -> None:
        if self._unread_timer is None:
            self._unread_timer = self.loop.call_later(self.patience.unread_s, self._not_read)

    def _forget_unread(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        began = self._head_bytes > 0 and not self._in_message
        self._refuse(_SLOW if began else b"", "head")

    def _not_read(self) -> None:
        HTTP_CONNECTIONS_CLOSED.labels("stalled").inc()
        self.transport.abort()

    def _refuse(self, answer: bytes, reason: str) -> None:
        if self.transport.is_closing():
            return
        HTTP_CONNECTIONS_CLOSED.labels(reason).inc()
        if answer:
            self.transport.write(answer)
        self.transport.close()
        self._expect_reader()

    def _make_room(self) -> None:
        """Close the connection that has been idle longest, or this one when all others are at work."""
        idle = [one for one in self.connections if isinstance(one, BoundedProtocol) and one.is_idle and one is not self]
        leaving = min(idle, key=lambda one: one._idle_since, default=self)
        HTTP_CONNECTIONS_CLOSED.labels("crowded").inc()
        self.connections.discard(leaving)
        leaving.transport.abort()


def bounded(patience: Patience) -> type[BoundedProtocol]:
    """The protocol with another patience (自定时限)."""
    return type("BoundedProtocol", (BoundedProtocol,), {"patience": patience})


def _let_go_of_the_dead(transport: asyncio.Transport, unread_s: float) -> None:
    """Let the kernel find out about peers that are gone without a word (失联对端)."""
    sock = transport.get_extra_info("socket")
    if sock is None:
        return
    with suppress(OSError, AttributeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(unread_s * 1000))
