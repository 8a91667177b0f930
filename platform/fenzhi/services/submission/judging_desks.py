"""The judging desks of a worker (判定工位池): processes of its own that read and judge large batches, at a lower priority.

Judging is most of the work of a batch, and in Python. In a thread of the worker a large batch keeps the interpreter, and with it every
other batch, every lease and every look at the queue; in processes of their own two large batches use two processors, and a small one,
judged in the worker itself, notices little of either (ADR-0069).
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import structlog

from fenzhi.services.submission.judged_rows import KnownLists
from fenzhi.services.submission.judging_desk import EditionAt, Order, Staged, Wanted
from fenzhi.store.keyring import Keyring

LARGE_BYTES = 256 << 10
"""Batches from so many bytes on are judged at a desk (大批次); below, the way there costs more than it saves."""
_PROGRAM = "from fenzhi.services.submission.judging_desk import main; main()"
_TABLES = "tables"
_TABLES_MOST = 16
"""Code tables that a desk keeps."""
_log = structlog.get_logger("fenzhi.worker")


class DeskLost(Exception):
    """The desk died, or was closed, with work in hand (判定工位中断); the job is tried again."""


class _Desk:
    """One process and the way to it; one question at a time."""

    def __init__(self, keyring: Keyring, nice: int) -> None:
        self._keyring = keyring
        self._nice = nice
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()
        self._ordering = asyncio.Lock()
        self._asking: set[asyncio.Task[Any]] = set()
        self._kept: dict[int, Mapping[str, bool]] = {}
        """By the number they have there; held here, so that no other table gets the same number."""
        self.batches = 0
        self.is_ready = False
        """Whether it was started once; a process that died is started again by the next batch."""
        self.is_closed = False

    async def ask(self, *question: Any) -> Any:
        """Put a question and wait for the answer; whoever stops waiting leaves the answer to be thrown away. Raises: DeskLost."""
        return await asyncio.shield(self._begin(question))

    def forget(self, batch_id: uuid.UUID) -> None:
        """Let go of a batch, without waiting (放下)."""
        self._begin(("close", batch_id))

    def _begin(self, question: tuple[Any, ...]) -> asyncio.Task[Any]:
        asking = asyncio.create_task(self._ask(question))
        self._asking.add(asking)

        def ended(done: asyncio.Task[Any]) -> None:
            self._asking.discard(done)
            if not done.cancelled():
                done.exception()

        asking.add_done_callback(ended)
        return asking

    async def _ask(self, question: tuple[Any, ...]) -> Any:
        async with self._turn:
            try:
                is_answered, answer = await asyncio.to_thread(self._exchange, question)
            except (EOFError, OSError) as exc:
                await asyncio.to_thread(self.end)
                raise DeskLost(type(exc).__name__) from exc
        if is_answered:
            return answer
        kind, arguments, told = answer
        fault: Exception = kind.__new__(kind, *arguments)
        fault.args = arguments
        fault.__dict__.update(told)
        raise fault

    def _exchange(self, question: tuple[Any, ...]) -> tuple[bool, Any]:
        connection = self._connection
        if connection is None or self._process is None or self._process.poll() is not None:
            if question[0] != _TABLES:
                raise EOFError
            connection = self._start()
        connection.send(question)
        answer: tuple[bool, Any] = connection.recv()
        return answer

    def start(self) -> None:
        """Have the process ready before it is asked anything (预启动). Blocks. Raises: EOFError, OSError."""
        self._start()
        self.is_ready = True

    def _start(self) -> Connection:
        self.end()
        ours, theirs = Pipe()
        command = [sys.executable, "-P", "-c", _PROGRAM, str(theirs.fileno()), str(self._nice)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(),))
        theirs.close()
        if self.is_closed:
            self.end()
            raise EOFError
        self._kept.clear()
        ours.send(self._keyring)
        ours.recv()
        self._connection = ours
        return ours

    def end(self) -> None:
        """End the process at once (结束). Blocks for a moment."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            self._process = None

    async def open(self, order: Order) -> None:
        """Begin a batch here, sending the code tables that are not here yet (派发). Raises: DeskLost."""
        of_whom, codes = order.submitter, order.submitter.book.codes
        named: dict[int, Mapping[str, bool]] = {}
        for one in codes:
            named |= {id(one.diagnoses): one.diagnoses, id(one.procedures): one.procedures}
        editions = tuple(
            EditionAt(one.effective_from, one.effective_to, id(one.diagnoses), id(one.procedures)) for one in codes
        )
        bare = replace(of_whom, book=replace(of_whom.book, codes=()))
        async with self._ordering:
            await self.ask(_TABLES, {}, [])  # Starts the process where it has ended; it then has no table.
            new = {number: table for number, table in named.items() if number not in self._kept}
            old = [] if len(self._kept) + len(new) <= _TABLES_MOST else [one for one in self._kept if one not in named]
            if new or old:
                await self.ask(_TABLES, {number: dict(table) for number, table in new.items()}, old)
                self._kept.update(new)
                for number in old:
                    del self._kept[number]
            await self.ask("open", replace(order, submitter=bare, editions=editions))


class DeskJudging:
    """A batch that is judged at a desk (工位判定), chunk by chunk."""

    def __init__(self, desk: _Desk, batch_id: uuid.UUID) -> None:
        self._desk = desk
        self._batch_id = batch_id

    async def part(self, number: int, key_id: str, sealed: bytes) -> int:
        """Open a part; how many row numbers it takes up (打开分片). Raises: PartUnreadable, DeskLost."""
        span: int = await self._desk.ask("part", self._batch_id, number, key_id, sealed)
        return span

    async def read(self) -> Wanted | None:
        """Read the next rows of the part; None at its end (读取一段). Raises: DeskLost."""
        wanted: Wanted | None = await self._desk.ask("read", self._batch_id)
        return wanted

    async def judge(self, known: KnownLists, number: int, first_row: int) -> Staged:
        """Judge the rows that were read last (判定一段). Raises: DeskLost."""
        staged: Staged = await self._desk.ask("judge", self._batch_id, known, number, first_row)
        return staged


class JudgingDesks:
    """The desks of this process (工位池). None are open until a worker opens them: then everything is judged where it is.

    They are started when the first large batch comes, and take batches when they are ready: a worker that never sees one pays nothing.
    """

    def __init__(self) -> None:
        self._desks: list[_Desk] = []
        self._starting: asyncio.Task[None] | None = None

    def open(self, count: int, nice: int, keyring: Keyring) -> None:
        """Have so many desks (启用). `nice`: by how much their priority is lower, 0 to 19."""
        self._desks = [_Desk(keyring, nice) for _ in range(count)]

    async def close(self) -> None:
        """End all of them (停用)."""
        desks, self._desks = self._desks, []
        starting, self._starting = self._starting, None
        for desk in desks:
            desk.is_closed = True
            await asyncio.to_thread(desk.end)
        if starting is not None:
            await asyncio.wait({starting}, timeout=5)

    def takes(self, size: int) -> bool:
        """Whether a batch of so many bytes is judged at a desk (是否交由工位)."""
        if size < LARGE_BYTES or not self._desks:
            return False
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        return any(desk.is_ready for desk in self._desks)

    async def ready(self) -> None:
        """Start the desks and wait until they are ready (预启动)."""
        self.takes(LARGE_BYTES)
        if self._starting is not None:
            await asyncio.wait({self._starting})

    async def _start(self) -> None:
        for started in await asyncio.gather(
            *(asyncio.to_thread(desk.start) for desk in self._desks), return_exceptions=True
        ):
            if isinstance(started, BaseException):
                _log.warning("judging_desk_not_started", error=type(started).__name__)

    @asynccontextmanager
    async def judging(self, order: Order) -> AsyncIterator[DeskJudging]:
        """A batch at the desk that has fewest while the block runs (占用工位). Raises: DeskLost."""
        desk = min((one for one in self._desks if one.is_ready), key=lambda one: one.batches)
        desk.batches += 1
        try:
            await desk.open(order)
            yield DeskJudging(desk, order.batch_id)
        finally:
            desk.batches -= 1
            desk.forget(order.batch_id)


OF_THIS_PROCESS = JudgingDesks()
