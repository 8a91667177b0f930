"""The league of data quality of a month (数据质量排名): drafted by a worker, published by a second person to the hospitals of the area."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject, require_second_person
from fenzhi.outbox.jobs import enqueue
from fenzhi.rules.periods import SettlementMonth
from fenzhi.rules.quantities import decimal_places
from fenzhi.rules.refusals import Conflict, DataRefused, NotFound, Refusal
from fenzhi.rules.scorecard.quality_league import (
    PRINTED_PLACES,
    LeagueRow,
    ListCounts,
    league,
    quality_weights,
)
from fenzhi.rules.submission.verdict import Dimension
from fenzhi.rules.submission.verdict_texts import VERDICT_TEXTS
from fenzhi.services.acts import Answer, Platform, Request, act, looking
from fenzhi.services.jobs.execution import JobInHand
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.repositories import quality_league as store
from fenzhi.store.repositories import scorecard
from fenzhi.store.session import UnitOfWork, new_id

LEAGUE_JOB = "scorecard.quality_league"


class LeaguePublished(Conflict):
    """The league of the month is published and stands (当月排名已公布)."""

    code = "LEAGUE_PUBLISHED"


@dataclass(frozen=True, slots=True)
class RateView:
    """One rate with its parts (指标). `printed`: four places, half up; none where nothing was counted."""

    code: str
    numerator: int
    denominator: int
    printed: Decimal | None


@dataclass(frozen=True, slots=True)
class LeagueRowView:
    """A hospital's place (排名)."""

    hospital_code: str
    rank: int | None
    score: Decimal | None
    rates: tuple[RateView, ...]


@dataclass(frozen=True, slots=True)
class LeagueView:
    """A league (数据质量排名)."""

    league_id: uuid.UUID
    settlement_month: int
    state: str
    weights: tuple[tuple[str, Decimal], ...]
    policy_fingerprint: str
    published_at: datetime | None
    rows: tuple[LeagueRowView, ...]


def _month(value: int) -> SettlementMonth:
    if not 2000 <= value // 100 <= 2100 or not 1 <= value % 100 <= 12:
        raise DataRefused(
            (
                Refusal(
                    "PERIOD_RANGE", "settlementMonth", str(value), "结算年月不在范围内。", "The month is out of range.",
                    "形如 202501。", "It looks like 202501.",
                ),
            )
        )  # fmt: skip
    return SettlementMonth(value // 100, value % 100)


async def want_league(platform: Platform, clerk: Subject, request: Request, month: int) -> Answer:
    """Want the league of a settlement month drafted (申请起草排名); a draft that stands is replaced. Changes: job.

    Raises: DataRefused, LeaguePublished, PolicyNotEntered, Forbidden.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        settled = _month(month)
        if await store.is_published(uow, month):
            raise LeaguePublished("当月排名已公布，不再更改。", "The league of the month is published and stands.")
        quality_weights(await resolved_policy(uow, settled.last_day))
        job_id = await enqueue(uow, platform.doorbell, LEAGUE_JOB, {"month": month})
        return {"type": "Job", "id": str(job_id)}

    return await act(platform, clerk, Duty.DRAFT_SCORECARD, request, effect)


async def draft_league(job: JobInHand) -> None:
    """Draft the league of a month (起草排名). Policy: scorecard.quality_weights, scorecard.quality_code_rules, of the month's last day.

    Changes: quality_league, quality_league_row, job. Raises: LeaguePublished, PolicyNotEntered, DataRefused.
    """
    month = int(job.payload["month"])
    result: dict[str, Any] = {}
    async with job.finishing(result) as uow:
        if await store.is_published(uow, month):
            raise LeaguePublished("当月排名已公布，不再更改。", "The league of the month is published and stands.")
        policy = await resolved_policy(uow, _month(month).last_day)
        weights = quality_weights(policy)
        runs = await store.runs_of_month(uow, month)
        counts = await _counts(uow, month, runs, policy.list("scorecard.quality_code_rules"))
        league_id = new_id()
        rows = league([one for _, one in counts], weights)
        numbers = {one.hospital_code: number for number, one in counts}
        drafted = {
            "area_id": uow.scope.area,
            "league_id": league_id,
            "settlement_month": month,
            "state": "draft",
            "weights": {code: f"{weight.numerator}/{weight.denominator}" for code, weight in weights.items()},
            "run_ids": [str(run) for run in runs],
            "policy_fingerprint": policy.fingerprint(),
            "job_id": job.claimed.job_id,
            "drafted_by": uuid.UUID(job.scope.account_id),
            "drafted_by_person": uuid.UUID(job.scope.person_id),
        }
        await store.record(
            uow, drafted, [_row(uow.scope.area, league_id, numbers[one.counts.hospital_code], one) for one in rows]
        )
        result.update(league=str(league_id), hospitals=len(rows))


async def _counts(
    uow: UnitOfWork, month: int, runs: Sequence[uuid.UUID], code_rules: Sequence[str]
) -> list[tuple[int, ListCounts]]:
    """What was counted of every hospital of the area, in order of code."""

    def codes(dimension: Dimension) -> list[str]:
        return sorted(text.code for text in VERDICT_TEXTS.values() if text.dimension is dimension)

    uploads = {
        row.hospital_id: row
        for row in await store.counts_of_lists(
            uow, month, codes(Dimension.TIMELY), codes(Dimension.COMPLETE), code_rules
        )
    }
    settled = (
        {row.hospital_id: row for row in await scorecard.counts_by_hospital(uow, runs, month, month)} if runs else {}
    )
    known = await store.hospitals_of_area(uow)
    found = []
    for number, hospital_code in sorted(known.items(), key=lambda one: one[1]):
        up, case = uploads.get(number), settled.get(number)
        counted = (up.uploads, up.timely, up.complete, up.passed, up.accurate) if up else (0, 0, 0, 0, 0)
        cases = (case.cases, case.grouped) if case else (0, 0)
        found.append((number, ListCounts(hospital_code, *counted, *cases)))
    return found


def _row(area_id: int, league_id: uuid.UUID, number: int, one: LeagueRow) -> dict[str, Any]:
    c, score = one.counts, one.score
    return {
        "area_id": area_id,
        "league_id": league_id,
        "hospital": number,
        "hospital_code": c.hospital_code,
        "uploads": c.uploads,
        "timely": c.timely,
        "complete": c.complete,
        "passed": c.passed,
        "accurate": c.accurate,
        "cases": c.cases,
        "grouped": c.grouped,
        "score_numerator": None if score is None else Decimal(score.numerator),
        "score_denominator": None if score is None else Decimal(score.denominator),
        "rank": one.rank,
    }


async def publish_league(platform: Platform, approver: Subject, request: Request, league_id: uuid.UUID) -> Answer:
    """Publish a drafted league to the counties and hospitals of the area (公布排名), by a person who did not draft it.

    Changes: quality_league draft → published. Raises: NotFound, SamePerson, Conflict LEAGUE_STATE.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        row = await store.by_id(uow, league_id)
        if row is None:
            raise NotFound("没有该排名。", "No such league.")
        require_second_person(str(row.drafted_by_person), uow.scope.person_id)
        if not await store.publish(uow, league_id):
            raise Conflict(f"排名处于 {row.state} 状态。", f"The league is {row.state}.", code="LEAGUE_STATE")
        return {"type": "QualityLeague", "id": str(league_id)}

    return await act(platform, approver, Duty.APPROVE_SCORECARD, request, effect)


async def leagues(
    platform: Platform, subject: Subject, after: uuid.UUID | None, limit: int, month: int | None = None
) -> list[LeagueView]:
    """Leagues the subject sees, the newest first (排名列表); counties and hospitals see published ones. Raises: Forbidden."""
    async with looking(platform, subject, Duty.READ_SCORECARD) as uow:
        return await _views(uow, await store.page(uow, after, limit, month))


async def league_by_id(platform: Platform, subject: Subject, league_id: uuid.UUID) -> LeagueView | None:
    """One league, or none in this scope (排名). Raises: Forbidden."""
    async with looking(platform, subject, Duty.READ_SCORECARD) as uow:
        row = await store.by_id(uow, league_id)
        return (await _views(uow, [row]))[0] if row is not None else None


async def _views(uow: UnitOfWork, rows: Sequence[Row[Any]]) -> list[LeagueView]:
    lines: dict[uuid.UUID, list[Row[Any]]] = {}
    for line in await store.rows_of(uow, [row.league_id for row in rows]):
        lines.setdefault(line.league_id, []).append(line)
    return [
        LeagueView(
            row.league_id,
            row.settlement_month,
            row.state,
            tuple((code, _printed(Fraction(weight))) for code, weight in sorted(row.weights.items())),
            row.policy_fingerprint,
            row.published_at,
            tuple(_row_view(line) for line in lines.get(row.league_id, ())),
        )
        for row in rows
    ]


def _row_view(line: Row[Any]) -> LeagueRowView:
    counts = ListCounts(
        line.hospital_code,
        line.uploads,
        line.timely,
        line.complete,
        line.passed,
        line.accurate,
        line.cases,
        line.grouped,
    )
    rates = tuple(
        RateView(code, above, below, _printed(Fraction(above, below)) if below else None)
        for code, (above, below) in counts.parts().items()
    )
    has_score = line.score_numerator is not None
    score = _printed(Fraction(int(line.score_numerator), int(line.score_denominator))) if has_score else None
    return LeagueRowView(line.hospital_code, line.rank, score, rates)


def _printed(value: Fraction) -> Decimal:
    return Decimal(decimal_places(value, PRINTED_PLACES))
