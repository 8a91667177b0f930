"""Judge a history batch (历史批次判定): every discharge is kept, used or set aside with a reason."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Any

from sqlalchemy import Row

from fenzhi.rules.submission.check_policy import submission_policy
from fenzhi.services.acts import Platform
from fenzhi.services.catalog.book import load_tables
from fenzhi.services.jobs.execution import JobInHand
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.services.submission.history_rows import TEXTS, Discharge, SetAside, read_history_row
from fenzhi.services.submission.part_formats import line_count
from fenzhi.services.submission.parts import part_content
from fenzhi.store.repositories import catalog, registry
from fenzhi.store.repositories import submission as store
from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.submission import history_discharge

Record = tuple[Any, ...]
RULE = "H01"
"""The one rule of history: usable for building catalogs, or set aside (历史病例可用性)."""
CHUNK_ROWS = 4_000
_HOSPITALS_MOST = 100_000
NO_HOSPITAL = 0
"""Stands for the hospital of a row whose hospital nobody knows."""


@dataclass(frozen=True, slots=True)
class KnownHospital:
    """A hospital of the area with its dated levels, earliest first (本区医院)."""

    hospital_id: int
    county_id: int | None
    levels: tuple[tuple[date, str], ...]

    def level_on(self, day: date) -> str:
        """The level at a discharge (出院时等级), or the earliest one for a discharge before it; blank when there is none."""
        found = [level for since, level in self.levels if since <= day]
        return found[-1] if found else self.levels[0][1] if self.levels else ""


@dataclass(frozen=True, slots=True)
class HistoryJudge:
    """What history is held against (历史病例对照)."""

    area_id: int
    batch_id: uuid.UUID
    hospitals: Mapping[str, KnownHospital]
    insurance_of: Mapping[str, str]
    diagnoses: Mapping[str, bool]

    def judge(self, lines: Sequence[tuple[int, bytes]]) -> list[Record]:
        """Records of history_discharge for numbered lines (逐行登记)."""
        return [self._record(row_no, read_history_row(line)) for row_no, line in lines]

    def _record(self, row_no: int, found: Discharge | None) -> Record:
        if found is None:
            empty = (None, "", "", 0, 0, 0, (), ())
            return (self.area_id, None, NO_HOSPITAL, self.batch_id, row_no, "", 0, *empty, SetAside.UNREADABLE.value)
        row = found.row
        hospital = self.hospitals.get(row.hospital_code)
        level = hospital.level_on(found.discharged) if hospital is not None else ""
        reason = self._reason(found, hospital, level)
        return (
            self.area_id,
            hospital.county_id if hospital is not None else None,
            hospital.hospital_id if hospital is not None else NO_HOSPITAL,
            self.batch_id,
            row_no,
            row.history_id,
            found.discharged.year,
            found.discharged,
            self.insurance_of.get(row.insurance_type, ""),
            level,
            row.los_days,
            found.total_fen,
            found.fund_fen,
            tuple(row.diagnoses),
            tuple(row.procedures),
            reason.value if reason is not None else "",
        )

    def _reason(self, found: Discharge, hospital: KnownHospital | None, level: str) -> SetAside | None:
        row = found.row
        checks = (
            (row.segment > 1, SetAside.CONTINUATION),
            (hospital is None, SetAside.UNKNOWN_HOSPITAL),
            (not level, SetAside.LEVEL_UNKNOWN),
            (row.insurance_type not in self.insurance_of, SetAside.UNKNOWN_INSURANCE),
            (not row.diagnoses or not row.diagnoses[0], SetAside.PRINCIPAL_DIAGNOSIS_MISSING),
            (bool(row.diagnoses) and row.diagnoses[0] not in self.diagnoses, SetAside.PRINCIPAL_DIAGNOSIS_UNKNOWN),
            (found.total_fen <= 0, SetAside.TOTAL_NOT_POSITIVE),
            (not 0 <= found.fund_fen <= found.total_fen, SetAside.FUND_OUT_OF_RANGE),
        )
        return next((reason for is_so, reason in checks if is_so), None)


async def judge_history(platform: Platform, job: JobInHand, uow: UnitOfWork, found: Row[Any]) -> dict[str, Any]:
    """Keep the rows of a history batch in the job's finishing transaction (登记历史病例); the counts.

    Changes: history_discharge, verdict. Raises: PolicyNotEntered, Fenced.
    """
    judge = await _judge_of(uow, found)
    await store.open_staging(uow, (history_discharge,))
    numbers = await store.part_numbers(uow, found.batch_id)
    first_row = 0
    for number in numbers:
        content = await part_content(platform, uow, found, number)
        lines = _numbered(content, first_row)
        while chunk := list(islice(lines, CHUNK_ROWS)):
            await store.stage(uow, history_discharge, await asyncio.to_thread(judge.judge, chunk))
        first_row += line_count(content)
        await job.progress(number, len(numbers))
    await store.set_aside_repeated(uow, SetAside.DUPLICATE.value)
    by_reason = await store.staged_history_counts(uow)
    await store.release(uow, history_discharge)
    await _explain(uow, found.batch_id)
    used = by_reason.pop("", 0)
    rows = used + sum(by_reason.values())
    return {
        "rows": rows,
        "accepted": used,
        "refused": 0,
        "superseding": 0,
        "warnings": rows - used,
        "refused_by_code": {},
        "set_aside": by_reason,
    }


async def _judge_of(uow: UnitOfWork, found: Row[Any]) -> HistoryJudge:
    policy = submission_policy(await resolved_policy(uow, found.received_on))
    levels: dict[int, list[tuple[date, str]]] = {}
    for standing in await registry.standings(uow, found.area_id):
        levels.setdefault(standing.hospital_id, []).append((standing.effective_from, standing.level))
    hospitals = {
        row.code: KnownHospital(row.hospital_id, row.county_id, tuple(levels.get(row.hospital_id, ())))
        for row in await registry.hospitals(uow, 0, _HOSPITALS_MOST)
        if row.area_id == found.area_id
    }
    newest = {row.kind: row.code_table_id for row in reversed(await catalog.code_tables(uow))}
    tables = await load_tables(uow, newest["diagnosis"], newest["procedure"]) if len(newest) == 2 else None
    return HistoryJudge(
        found.area_id, found.batch_id, hospitals, policy.insurance_of, tables.diagnoses if tables is not None else {}
    )


def _numbered(content: bytes, first_row: int) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their number in the batch."""
    start, row_no = 0, first_row
    while start < len(content):
        end = content.find(b"\n", start)
        stop = len(content) if end < 0 else end
        row_no += 1
        line = content[start:stop].strip()
        if line:
            yield row_no, line
        start = stop + 1


async def _explain(uow: UnitOfWork, batch_id: uuid.UUID) -> None:
    """A finding for every row set aside, in both languages (搁置原因登记)."""
    for reason, (zh, en, remedy_zh, remedy_en) in TEXTS.items():
        await store.note_set_aside(
            uow,
            batch_id,
            reason.value,
            {
                "rule": RULE,
                "code": reason.code,
                "zh": zh,
                "en": en,
                "remedy_zh": remedy_zh,
                "remedy_en": remedy_en,
            },
        )
