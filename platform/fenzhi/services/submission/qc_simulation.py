"""A rule change tried on a month (质控规则模拟): which lists would fail or pass that did not, and what that endangers.

The newest text of every list of the month is judged twice from its original bytes, by the policy of its day and by the same policy with the
changes. Nothing of it reaches a verdict, a case or a run: the outcome is kept with the job alone.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.outbox.jobs import enqueue
from fenzhi.rules.policy.fields import Layer, PlainContent, PolicyDocument, PolicyValue, Standing, read_content
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.refusals import DataRefused, InvariantBroken, Refusal
from fenzhi.rules.submission.case_checks import judge_list
from fenzhi.rules.submission.check_policy import CheckBook, SubmissionPolicy, submission_policy
from fenzhi.rules.submission.code_mapping import mapped_list
from fenzhi.rules.submission.settlement_list import SettlementList
from fenzhi.rules.submission.verdict import Severity, Verdict, deciding
from fenzhi.services.acts import Answer, Platform, Request, act, looking
from fenzhi.services.catalog.code_tables import crosswalk
from fenzhi.services.jobs.execution import JobInHand
from fenzhi.services.policy.proposals import ProposedValue, checked_value
from fenzhi.services.policy.resolution import definitions, resolved_policy
from fenzhi.services.submission.check_book import Submitter, submitter
from fenzhi.services.submission.parse_part import ParsedRow
from fenzhi.services.submission.part_formats import rows_of_part
from fenzhi.services.submission.parts import part_content
from fenzhi.services.submission.verdict_price import PriceDesk
from fenzhi.store.repositories import qc_simulation as store
from fenzhi.store.repositories import registry
from fenzhi.store.repositories import submission as lists
from fenzhi.store.session import UnitOfWork

SIMULATE = "submission.simulate_qc"
CHANGES_MOST = 20
PREFIX = "submission."
_ANY_DAY = date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class SimulationLine:
    """What changes for one hospital by one code (模拟结果). A list counts once, under the error that decides it.

    `points` as exact text, fen: of the newly failing lists, at the budget point value; `unpriced` of them could not be priced.
    """

    hospital_code: str
    rule: str
    code: str
    newly_failing: int
    newly_passing: int
    newly_warned: int
    points: str
    total_cost_fen: int
    basic_fund_fen: int
    unpriced: int


@dataclass(frozen=True, slots=True)
class SimulationView:
    """A simulation and its outcome (规则模拟). The lines are there once its job is done."""

    job_id: uuid.UUID
    state: str
    settlement_month: int
    changes: tuple[tuple[str, str | None], ...]
    lists: int
    lines: tuple[SimulationLine, ...]
    asked_at: datetime


@dataclass(slots=True)
class _Line:
    newly_failing: int = 0
    newly_passing: int = 0
    newly_warned: int = 0
    points: Decimal = Decimal(0)
    total_cost_fen: int = 0
    basic_fund_fen: int = 0
    unpriced: int = 0


_Lines = dict[tuple[int, str, str], _Line]


def _refused(where: str, saw: str, zh: str, en: str) -> Refusal:
    remedy = ("列出 submission 下的参数与取值。", "Name parameters of submission with their values.")
    return Refusal("SIMULATION_SHAPE", where, saw[:60], zh, en, *remedy)


async def want_simulation(
    platform: Platform, clerk: Subject, request: Request, month: int | None, changes: Sequence[tuple[str, str | None]]
) -> Answer:
    """Want a rule change tried on a month (申请模拟), the one before this where none is named. Changes: job.

    Nobody else need approve: nothing is put in force. Raises: Forbidden, DataRefused with every fault at once.
    """
    plain, faults = _checked(changes)
    if month is not None and not (200_001 <= month <= 210_012 and 1 <= month % 100 <= 12):
        faults.append(_refused("settlementMonth", str(month), "结算年月形如 202501。", "A month looks like 202501."))

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        today = await uow.today()
        before = (today.year * 12 + today.month - 2) // 12 * 100 + (today.year * 12 + today.month - 2) % 12 + 1
        payload = {"month": month or before, "changes": [{"key": key, "value": value} for key, value in plain]}
        shown = [{"key": key, "value": value} for key, value in changes]
        job_id = await enqueue(uow, platform.doorbell, SIMULATE, payload | {"shown": shown})
        return {"type": "Job", "id": str(job_id)}

    return await act(platform, clerk, Duty.SIMULATE_RULES, request, effect)


def _checked(changes: Sequence[tuple[str, str | None]]) -> tuple[list[tuple[str, PlainContent | None]], list[Refusal]]:
    """The changes as plain values, and every fault of them."""
    fields = {one.key: one for one in definitions().fields}
    faults: list[Refusal] = []
    plain: list[tuple[str, PlainContent | None]] = []
    if not 1 <= len(changes) <= CHANGES_MOST or len({key for key, _ in changes}) < len(changes):
        faults.append(
            _refused(
                "changes",
                str(len(changes)),
                f"须列出 1 至 {CHANGES_MOST} 项不重复的参数。",
                f"Name 1 to {CHANGES_MOST} parameters, each once.",
            )
        )
    for place, (key, value) in enumerate(changes[:CHANGES_MOST]):
        where, found = f"changes.{place}", fields.get(key)
        if found is not None and not key.startswith(PREFIX):
            faults.append(
                _refused(f"{where}.key", key, "只能模拟清单质控参数。", "Only parameters of submission are simulated.")
            )
            continue
        layer = found.entered_by if found is not None else Layer.AREA
        wrong, content = checked_value(ProposedValue(key, value, _ANY_DAY), found, layer, where)
        faults += wrong
        plain.append((key, content))
    return plain, faults


async def simulate(platform: Platform, job: JobInHand) -> None:
    """Judge a month's lists by both policies (模拟). Changes: job. Raises: PolicyNotEntered, DataRefused, PartUnreadable, Fenced."""
    month = int(job.payload["month"])
    changes = {one["key"]: one["value"] for one in job.payload["changes"]}
    async with job.reading() as uow:
        rows = list(await store.newest_rows(uow, month))
        codes = {row.hospital_id: row.code for row in await registry.hospitals(uow, 0, 1_000_000)}
    lines: _Lines = {}
    batches = [(batch_id, list(group)) for batch_id, group in groupby(rows, key=lambda row: row.batch_id)]
    for place, (batch_id, group) in enumerate(batches, start=1):
        async with job.reading() as uow:
            await _batch(platform, uow, batch_id, group, changes, lines)
        await job.progress(place, len(batches))
    result: dict[str, Any] = {"lists": len(rows), "lines": _told(lines, codes)}
    async with job.finishing(result):
        pass


async def _batch(
    platform: Platform,
    uow: UnitOfWork,
    batch_id: uuid.UUID,
    rows: Sequence[Row[Any]],
    changes: Mapping[str, PlainContent | None],
    lines: _Lines,
) -> None:
    found = await store.judged_batch(uow, batch_id)
    if found is None or found.sealed_at is None:
        raise InvariantBroken("a judged list has its batch", account=str(batch_id))
    known = await submitter(uow, found.hospital_id, found.received_on)
    changed = await _changed(uow, known, changes)
    desk = PriceDesk(found.area_id, found.hospital_id)
    for part_no, group in groupby(rows, key=lambda row: row.part_no):
        wanted = {row.row_no for row in group}
        content = await part_content(platform, uow, found, part_no)
        order = [row.row_no for row in await lists.rows_of_part(uow, batch_id, part_no)]
        compared = await asyncio.to_thread(_compare, content, order, wanted, known.book, changed)
        for one in compared:
            await _note(uow, desk, found.hospital_id, one, changed.policy, lines)


async def _changed(uow: UnitOfWork, known: Submitter, changes: Mapping[str, PlainContent | None]) -> CheckBook:
    """The same book by the changed policy."""
    policy = with_changes(await resolved_policy(uow, known.book.received_on), changes)
    named = policy.text("submission.crosswalk") if policy.has("submission.crosswalk") else ""
    mapped = known.book.crosswalk
    if "submission.crosswalk" in changes:
        mapped = await crosswalk(uow, named) if named else {}
    return replace(known.book, policy=submission_policy(policy), crosswalk=mapped)


def with_changes(policy: ResolvedPolicy, changes: Mapping[str, PlainContent | None]) -> ResolvedPolicy:
    """A policy with some values changed or taken away (变更后的策略). Requires: values that were checked."""
    values = dict(policy.values)
    document = PolicyDocument("模拟 / simulated", standing=Standing.CONSTRUCTED)
    for key, plain in changes.items():
        values.pop(key, None)
        if plain is not None:
            content, _ = read_content(policy.fields[key], plain)
            values[key] = PolicyValue(key, Layer.AREA, policy.on_date, content, document)
    return replace(policy, values=values)


@dataclass(frozen=True, slots=True)
class _Compared:
    """One list by both policies."""

    given: SettlementList | None
    before: Verdict | None
    after: Verdict | None
    warned: tuple[Verdict, ...] = field(default=())


def _compare(
    content: bytes, order: Sequence[int], wanted: set[int], before: CheckBook, after: CheckBook
) -> list[_Compared]:
    parsed, _ = rows_of_part(content)
    return list(_pairs(zip(order, parsed, strict=False), wanted, before, after))


def _pairs(
    rows: Iterator[tuple[int, ParsedRow]], wanted: set[int], before: CheckBook, after: CheckBook
) -> Iterator[_Compared]:
    for row_no, row in rows:
        if row_no in wanted:
            first, second = _judged(row, before), _judged(row, after)
            known = {one.code for one in first}
            new = {one.code: one for one in second if one.severity is Severity.WARNING and one.code not in known}
            yield _Compared(row.settlement_list, deciding(first), deciding(second), tuple(new.values()))


def _judged(row: ParsedRow, book: CheckBook) -> tuple[Verdict, ...]:
    given = row.settlement_list
    mapped: tuple[Verdict, ...] = ()
    if given is not None and book.crosswalk:
        given, mapped = mapped_list(given, book)
    return (*mapped, *judge_list(given, row.faults, book))


async def _note(
    uow: UnitOfWork, desk: PriceDesk, hospital_id: int, one: _Compared, policy: SubmissionPolicy, lines: _Lines
) -> None:
    def line(found: Verdict) -> _Line:
        return lines.setdefault((hospital_id, found.rule, found.code), _Line())

    for warned in one.warned:
        line(warned).newly_warned += 1
    if one.before is None and one.after is not None:
        failing = line(one.after)
        failing.newly_failing += 1
        price = await desk.whole(uow, one.given, policy)
        if price.total_cost_fen is None or price.basic_fund_fen is None or price.points is None:
            failing.unpriced += 1
        else:
            failing.points += Decimal(price.points)
            failing.total_cost_fen += price.total_cost_fen
            failing.basic_fund_fen += price.basic_fund_fen
    elif one.before is not None and one.after is None:
        line(one.before).newly_passing += 1


def _told(lines: _Lines, codes: Mapping[int, str]) -> list[dict[str, Any]]:
    """The lines as JSON values, by hospital, rule and code."""
    told = [
        {
            "hospital": codes.get(hospital_id, ""),
            "rule": rule,
            "code": code,
            "newly_failing": line.newly_failing,
            "newly_passing": line.newly_passing,
            "newly_warned": line.newly_warned,
            "points": str(line.points),
            "total_cost_fen": line.total_cost_fen,
            "basic_fund_fen": line.basic_fund_fen,
            "unpriced": line.unpriced,
        }
        for (hospital_id, rule, code), line in lines.items()
    ]
    return sorted(told, key=lambda one: (one["hospital"], one["rule"], one["code"]))


async def simulations(
    platform: Platform, subject: Subject, after: uuid.UUID | None, limit: int
) -> Sequence[SimulationView]:
    """Simulations of the subject's area, the newest first (模拟列表). Raises: Forbidden."""
    async with looking(platform, subject, Duty.SIMULATE_RULES) as uow:
        return [_view(row) for row in await store.simulations(uow, SIMULATE, after, limit)]


def _view(row: Row[Any]) -> SimulationView:
    result = row.result or {}
    return SimulationView(
        row.job_id,
        row.state,
        int(row.payload["month"]),
        tuple((one["key"], one["value"]) for one in row.payload["shown"]),
        int(result.get("lists", 0)),
        tuple(
            SimulationLine(
                one["hospital"],
                one["rule"],
                one["code"],
                one["newly_failing"],
                one["newly_passing"],
                one["newly_warned"],
                one["points"],
                one["total_cost_fen"],
                one["basic_fund_fen"],
                one["unpriced"],
            )
            for one in result.get("lines", ())
        ),
        row.recorded_at,
    )
