"""One judging desk (判定工位): a process that reads and judges parts of batches and answers with rows ready to be copied.

It holds no database connection and decides nothing about a batch: the worker that asked it holds the transaction, the lease and the fence.
A desk that dies takes nothing with it but an attempt. It runs at a lower priority than the worker, so that whatever is short and urgent on
the machine goes first, and ends when the worker is gone.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from fenzhi.rules.submission.check_policy import CodeEdition
from fenzhi.services.submission.check_book import Submitter
from fenzhi.services.submission.judged_rows import JudgedChunk, KnownLists, ListJudge, Tally
from fenzhi.services.submission.judging_turns import OF_THIS_PROCESS, SLICE_ROWS
from fenzhi.services.submission.parse_part import ParsedRow
from fenzhi.services.submission.part_formats import rows_of_part
from fenzhi.services.submission.parts import opened_with
from fenzhi.store.copy_records import copy_octets
from fenzhi.store.keyring import Keyring
from fenzhi.store.repositories.submission import STAGED
from fenzhi.store.tables.submission import (
    case_personal,
    case_supersession,
    inpatient_case,
    intake_row,
    list_key,
    verdict,
)

CHUNK_ROWS = 2_000
FAULTS_MOST = 20_000
"""A chunk ends early when so many faults of form have come together: what is named of a row is bounded, what is held is too."""


class Wanted(NamedTuple):
    """A chunk that was read (已读取的一段): the settlement ids to be looked up before it is judged."""

    setl_ids: list[str]


class Staged(NamedTuple):
    """A chunk that was judged (已判定的一段): the rows of each table as COPY reads them, and the counts of the batch so far."""

    octets: dict[str, bytes]
    tally: Tally


class EditionAt(NamedTuple):
    """A code edition whose tables a desk has under numbers (编码版本)."""

    effective_from: date
    effective_to: date | None
    diagnoses: int
    procedures: int


@dataclass(frozen=True, slots=True)
class Order:
    """A batch to be judged (判定任务): its hospital, and what its rows are filed under.

    On the way to a desk the code tables stay behind, and `editions` says by which numbers the desk knows them.
    """

    submitter: Submitter
    editions: tuple[EditionAt, ...]
    batch_id: uuid.UUID
    submitted_at: datetime
    tenant: str


@dataclass(slots=True)
class _Batch:
    judge: ListJudge
    rows: Iterator[ParsedRow]
    chunk: list[ParsedRow]
    ahead: list[ParsedRow] | None = None


def next_chunk(rows: Iterator[ParsedRow], tenant: str) -> list[ParsedRow]:
    """The next rows to be judged together (下一段), without their text; empty at the end."""
    chunk: list[ParsedRow] = []
    faults = 0
    while len(chunk) < CHUNK_ROWS and faults <= FAULTS_MOST:
        with OF_THIS_PROCESS.turn(tenant):
            read = [row._replace(raw=b"") for row in islice(rows, SLICE_ROWS)]
        chunk += read
        faults += sum(len(row.faults) for row in read)
        if len(read) < SLICE_ROWS:
            break
    return chunk


def wanted_ids(chunk: list[ParsedRow]) -> list[str]:
    """Settlement ids stated in a chunk (结算号)."""
    return [row.settlement_list.setl_id for row in chunk if row.settlement_list and row.settlement_list.setl_id]


def octets_of(chunk: JudgedChunk) -> dict[str, bytes]:
    """What a chunk leaves behind, table by table, as COPY reads it (各表二进制行)."""
    made = {
        intake_row: chunk.intake,
        verdict: chunk.verdicts,
        inpatient_case: chunk.cases,
        case_personal: chunk.personal,
        list_key: chunk.keys,
        case_supersession: chunk.supersessions,
    }
    return {table.name: copy_octets(table, STAGED[table], records) for table, records in made.items() if records}


class Desk:
    """What one process holds: code tables and the batches under way (工位状态)."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._tables: dict[int, Mapping[str, bool]] = {}
        self._batches: dict[uuid.UUID, _Batch] = {}

    def tables(self, kept: dict[int, Mapping[str, bool]], forgotten: list[int]) -> None:
        """Take code tables and forget others (装载代码表)."""
        self._tables.update(kept)
        for number in forgotten:
            self._tables.pop(number, None)

    def open(self, order: Order) -> None:
        """Begin a batch by the code tables that are here (开始一批)."""
        codes = tuple(
            CodeEdition(one.effective_from, one.effective_to, self._tables[one.diagnoses], self._tables[one.procedures])
            for one in order.editions
        )
        self.begin(replace(order, submitter=replace(order.submitter, book=replace(order.submitter.book, codes=codes))))

    def begin(self, order: Order) -> None:
        """Begin a batch whose hospital has its code tables with it (开始一批, 自带代码表)."""
        judge = ListJudge(order.submitter, self._keyring, order.batch_id, order.submitted_at, Tally(), order.tenant)
        self._batches[order.batch_id] = _Batch(judge, iter(()), [])

    def part(self, batch_id: uuid.UUID, number: int, key_id: str, sealed: bytes) -> int:
        """Open a part of it; how many row numbers the part takes up (打开分片). Raises: PartUnreadable."""
        batch = self._batches[batch_id]
        content = opened_with(self._keyring, batch.judge.submitter.area_id, batch_id, number, key_id, sealed)
        batch.rows, span = rows_of_part(content)
        batch.ahead = None
        return span

    def read(self, batch_id: uuid.UUID) -> Wanted | None:
        """Read the next rows of the part; None at its end (读取一段)."""
        batch = self._batches[batch_id]
        batch.chunk = next_chunk(batch.rows, batch.judge.tenant) if batch.ahead is None else batch.ahead
        batch.ahead = None
        return Wanted(wanted_ids(batch.chunk)) if batch.chunk else None

    def judge(self, batch_id: uuid.UUID, known: KnownLists, number: int, first_row: int) -> Staged:
        """Judge the rows that were read last (判定一段)."""
        batch = self._batches[batch_id]
        judged = batch.judge.judge(batch.chunk, known, number, first_row)
        batch.chunk = []
        return Staged(octets_of(judged), batch.judge.tally)

    def read_ahead(self, batch_id: uuid.UUID) -> None:
        """Read on while the worker writes what was judged (预读)."""
        batch = self._batches[batch_id]
        batch.ahead = next_chunk(batch.rows, batch.judge.tenant)

    def close(self, batch_id: uuid.UUID) -> None:
        """Forget a batch (结束一批)."""
        self._batches.pop(batch_id, None)


def serve(connection: Connection, keyring: Keyring) -> None:
    """Answer question after question until the other end is gone (应答循环)."""
    desk = Desk(keyring)
    while True:
        name, *asked = connection.recv()
        try:
            answer: tuple[bool, Any] = (True, getattr(desk, name)(*asked))
        except Exception as exc:
            answer = (False, _told(exc))
        connection.send(answer)
        if name == "judge" and answer[0]:
            with suppress(Exception):  # What cannot be read fails when it is asked for.
                desk.read_ahead(asked[0])


def _told(exc: Exception) -> tuple[type[Exception], tuple[Any, ...], dict[str, Any]]:
    """An exception as it can be sent (可传递的异常); one that cannot is told by its name."""
    told = (type(exc), exc.args, dict(exc.__dict__))
    try:
        pickle.dumps(told)
    except Exception:
        return (RuntimeError, (f"{type(exc).__name__}: {exc}",), {})
    return told


def main() -> None:
    """Serve the worker that started this process: the descriptor of the connection and the priority are its arguments (工位入口)."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # The worker drains; its desk ends with it.
    os.nice(int(sys.argv[2]))
    connection = Connection(int(sys.argv[1]))
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    with suppress(EOFError, ConnectionError):
        keyring: Keyring = connection.recv()
        connection.send((True, None))
        serve(connection, keyring)
