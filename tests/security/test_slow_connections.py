"""Slow heads, half-open and idle connections, unread answers, bodies of a byte a second: over real sockets, each ended in its time."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from fenzhi.settings import Settings
from fenzhi.telemetry.metrics import REGISTRY
from fenzhi_graphql.asgi import Envelope, Message, Receive, Scope, Send
from fenzhi_graphql.connections import Patience
from fenzhi_graphql.server import GRACEFUL_S, KEEP_ALIVE_S, server

PATIENCE = Patience(head_s=1.0, head_most=2_000, unread_s=1.5, connections_most=40)
SOON_S = 20.0
"""Far above the deadlines, for a busy machine; without them each of these waits would last for ever."""
WHOLE = b"GET /quick HTTP/1.1\r\nhost: x\r\n\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """/quick answers, /body reads first, /unread answers before it has read, /big and /stream answer much, /slow takes its time."""
    path = scope["path"]
    if path.endswith("body"):
        size = 0
        while True:
            message = await receive()
            size += len(message.get("body", b""))
            if not message.get("more_body"):
                break
    if path == "/slow":
        await asyncio.sleep(1.8)
    start: Message = {"type": "http.response.start", "status": 200, "headers": [(b"x-app", b"1")]}
    await send(start)
    for _ in range(2_000 if path == "/big" else 0):
        await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
    await send({"type": "http.response.body", "body": b"done", "more_body": False})


@contextmanager
def serving(patience: Patience = PATIENCE) -> Iterator[int]:
    """The server on a port of its own, in a thread, with a small application inside the real envelope."""
    wrapped = Envelope(
        app, deadline_s=30, body_most=10**6, upload_most=10**6, upload_prefixes=("/up",), body_idle_s=3, body_grace_s=1
    )

    async def lifespan_less(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await wrapped(scope, receive, send)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    made = server(Settings(api_port=port), patience, lifespan_less)
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not made.started and time.monotonic() < until:
        time.sleep(0.02)
    assert made.started
    yield port
    made.should_exit = True
    thread.join(30)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as port:
        yield port


def connected(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port))
    made.settimeout(SOON_S)
    return made


def to_the_end(sock: socket.socket) -> bytes:
    """Everything until the other side closes; a reset is an end too."""
    found = b""
    try:
        while part := sock.recv(65_536):
            found += part
    except ConnectionResetError:
        pass
    return found


def closed(reason: str) -> float:
    return REGISTRY.get_sample_value("fenzhi_http_connections_closed_total", {"reason": reason}) or 0.0


def drip(sock: socket.socket, text: bytes, pause_s: float) -> float:
    """Send a byte at a time until the other side has had enough; how long it bore it."""
    began = time.monotonic()
    for byte in text:
        try:
            sock.sendall(bytes([byte]))
        except OSError:
            break
        time.sleep(pause_s)
        if time.monotonic() - began > SOON_S:
            break
    return time.monotonic() - began


def test_a_head_that_comes_byte_by_byte_is_ended(port: int) -> None:
    before = closed("head")
    with connected(port) as sock:
        bore = drip(sock, b"GET /quick HTTP/1.1\r\nhost: x\r\nx-slow: " + b"a" * 2_000, 0.1)
        assert to_the_end(sock).startswith((b"HTTP/1.1 408 ", b""))
    assert bore < SOON_S
    assert closed("head") == before + 1


def test_a_head_that_stops_is_answered_408(port: int) -> None:
    with connected(port) as sock:
        sock.sendall(b"GET /quick HTTP/1.1\r\nhost: x\r\nx-half: ")
        assert to_the_end(sock).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_a_connection_that_says_nothing_is_closed(port: int) -> None:
    with connected(port) as sock:
        assert to_the_end(sock) == b""


def test_blank_lines_are_no_request(port: int) -> None:
    """Line ends before a request are skipped by the parser, which therefore never sees one begin."""
    with connected(port) as sock:
        assert drip(sock, b"\r\n" * 2_000, 0.05) < SOON_S


def test_the_second_request_of_a_connection_has_its_deadline_too(port: int) -> None:
    with connected(port) as sock:
        sock.sendall(WHOLE)
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 ")
        assert drip(sock, WHOLE[:-2] + b"x: " + b"a" * 2_000, 0.1) < SOON_S


def test_a_used_connection_may_rest_longer_than_a_head_may_take(port: int) -> None:
    with connected(port) as sock:
        for _ in range(2):
            sock.sendall(WHOLE)
            answer = b""
            while b"done" not in answer:
                answer += sock.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 200 ")
            time.sleep(2 * PATIENCE.head_s)
    assert KEEP_ALIVE_S > 60 > GRACEFUL_S


def test_an_answer_may_take_longer_than_a_head(port: int) -> None:
    with connected(port) as sock:
        sock.sendall(WHOLE.replace(b"/quick", b"/slow"))
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_an_endless_head_is_refused_by_its_size(port: int) -> None:
    with connected(port) as sock:
        sock.sendall(b"GET /quick HTTP/1.1\r\nhost: x\r\n" + b"x-many: aaaaaaaaaaaaaaaa\r\n" * 200)
        assert to_the_end(sock).startswith(b"HTTP/1.1 431 ")


def test_a_large_body_behind_a_small_head_is_no_large_head(port: int) -> None:
    with connected(port) as sock:
        sock.sendall(b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 50000\r\n\r\n" + b"b" * 50_000)
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_half_a_connection_is_none(port: int) -> None:
    """The client has closed its side in the middle of a head."""
    with connected(port) as sock:
        sock.sendall(b"GET /quick HT")
        sock.shutdown(socket.SHUT_WR)
        assert to_the_end(sock) == b""


@pytest.mark.parametrize("path", [b"/body", b"/up/body"])
def test_a_body_of_a_few_bytes_a_second_is_ended(port: int, path: bytes) -> None:
    with connected(port) as sock:
        sock.sendall(b"POST " + path + b" HTTP/1.1\r\nhost: x\r\ncontent-length: 5000\r\n\r\n")
        bore = drip(sock, b"b" * 400, 0.25)
        assert bore < SOON_S
        assert to_the_end(sock).startswith((b"HTTP/1.1 408 ", b""))


def test_the_slow_body_is_told_so(port: int) -> None:
    with connected(port) as sock:
        sock.sendall(b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 5000\r\n\r\nb")
        answer = to_the_end(sock)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"BODY_SLOW"' in answer


def test_the_rest_of_a_body_that_was_answered_does_not_hold_the_connection(port: int) -> None:
    with connected(port) as sock:
        sock.sendall(b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 500000\r\n\r\nb")
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 ")
        assert drip(sock, b"b" * 400, 0.1) < SOON_S


def test_an_answer_that_nobody_reads_is_given_up(port: int) -> None:
    before = closed("stalled")
    with connected(port) as sock:
        sock.sendall(WHOLE.replace(b"/quick", b"/big"))
        until = time.monotonic() + SOON_S
        while closed("stalled") == before and time.monotonic() < until:
            time.sleep(0.05)
    assert closed("stalled") == before + 1


def test_the_longest_idle_makes_room(port: int) -> None:
    """However many come, those at work and the newest are served, and no more than the limit stay."""
    before = closed("crowded")
    with connected(port) as busy:
        busy.sendall(WHOLE.replace(b"/quick", b"/slow"))
        idle = [connected(port) for _ in range(PATIENCE.connections_most + 60)]
        with connected(port) as fresh:
            fresh.sendall(WHOLE)
            assert fresh.recv(65_536).startswith(b"HTTP/1.1 200 ")
        assert busy.recv(65_536).startswith(b"HTTP/1.1 200 ")
        held = REGISTRY.get_sample_value("fenzhi_http_connections") or 0
        assert held <= PATIENCE.connections_most
        assert closed("crowded") >= before + 60
        for one in idle:
            one.close()


def test_when_everybody_is_at_work_the_newest_is_turned_away() -> None:
    with serving(Patience(head_s=5.0, connections_most=4)) as port:
        at_work = [connected(port) for _ in range(4)]
        for one in at_work:
            one.sendall(WHOLE.replace(b"/quick", b"/slow"))
        time.sleep(0.4)
        with connected(port) as late:
            assert to_the_end(late) == b""
        assert [one.recv(65_536)[:12] for one in at_work] == [b"HTTP/1.1 200"] * 4
        for one in at_work:
            one.close()


def test_a_crowd_of_slow_heads_does_not_keep_others_out(port: int) -> None:
    def attack(_number: int) -> float:
        with connected(port) as sock:
            return drip(sock, b"GET /quick HTTP/1.1\r\nx: " + b"a" * 1_500, 0.1)

    answers: list[bytes] = []
    with ThreadPoolExecutor(25) as threads:
        attacks = [threads.submit(attack, number) for number in range(25)]
        for _ in range(10):
            with connected(port) as sock:
                sock.sendall(WHOLE)
                answers.append(sock.recv(65_536)[:12])
            time.sleep(0.1)
        bore = [one.result() for one in attacks]
    assert answers == [b"HTTP/1.1 200"] * 10
    assert max(bore) < SOON_S


def test_uvicorn_alone_would_wait() -> None:
    """Why this exists: without our protocol a head of a byte a second holds its connection."""
    import uvicorn

    made = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, http="httptools", lifespan="off", log_config=None)
    )
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not made.started and time.monotonic() < until:
        time.sleep(0.02)
    port = made.servers[0].sockets[0].getsockname()[1]
    with connected(port) as sock:
        sock.sendall(b"GET /quick HTTP/1.1\r\nx: ")
        sock.settimeout(3 * PATIENCE.head_s)
        with pytest.raises(TimeoutError):
            sock.recv(1)
    made.should_exit = True
    thread.join(30)


def test_the_deadlines_of_the_product() -> None:
    assert Patience() == Patience(head_s=10.0, head_most=32_768, unread_s=30.0, connections_most=512)
    made: Callable[..., object] = server(Settings(api_connections_most=77)).config.http  # type: ignore[assignment]
    assert made.patience.connections_most == 77  # type: ignore[attr-defined]
