"""Reading reviews (特例单议查询): applications, the log of a draw, votes, the workload of experts."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.review.panel import consistency, workload
from fenzhi.services.acts import Platform, looking
from fenzhi.services.review.hearing import panel_of, workload_key
from fenzhi.store.repositories import review
from fenzhi.store.session import UnitOfWork

APPROVED = ("approved", "paid")


@dataclass(frozen=True, slots=True)
class SpecialCaseView:
    """An application as its reader sees it (特例单议申请). Units: fen; points exact. A hospital sees an award once approved."""

    special_case_id: uuid.UUID
    area_code: str
    hospital_code: str
    case_id: uuid.UUID
    insurance: str
    pool_scope: str
    year: int
    specialty: str
    reasons: tuple[str, ...]
    evidence: tuple[tuple[str, str], ...]
    statement: str
    state: str
    cycle: int | None
    cycles_waited: int
    round: int
    cost_fen: int | None
    payment_standard_fen: int | None
    why_zh: str
    why_en: str
    verdict: str | None
    decided_on: date | None
    appeal_due_on: date | None
    appeal: str | None
    funding: str | None
    award_fen: int | None
    award_points: Decimal | None
    document: str | None
    approved_at: datetime | None
    paid_on: date | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class DrawView:
    """A line of the log of a draw (抽取记录)."""

    round: int
    place: int
    expert_code: str
    redraw_of: str
    reason: str
    seed: str
    candidates: tuple[str, ...]
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class VoteView:
    """A vote (表决票)."""

    round: int
    step: int
    expert_code: str
    choice: str
    sheet_sha256: str


@dataclass(frozen=True, slots=True)
class ReviewerView:
    """An expert's year (专家工作量与一致率): panels sat on, first votes cast, votes as the panel decided."""

    expert_code: str
    panels: int
    votes: int
    agreed: int


def _view(row: Row[Any], *, of_city: bool) -> SpecialCaseView:
    found = row.found or {}
    shows = of_city or row.state in APPROVED
    points = None if row.award_points is None else Decimal(row.award_points).scaleb(-row.points_decimals)
    return SpecialCaseView(
        row.special_case_id,
        row.area_code,
        row.hospital_code,
        row.case_id,
        row.insurance,
        row.pool_scope,
        row.year,
        row.specialty,
        tuple(row.reasons),
        tuple((piece["title"], piece["sha256"]) for piece in row.evidence),
        row.statement,
        row.state,
        row.cycle,
        row.cycles_waited,
        row.round,
        found.get("cost_fen"),
        found.get("payment_standard_fen"),
        row.why_zh,
        row.why_en,
        row.verdict,
        row.decided_on,
        row.appeal_due_on,
        row.appeal,
        row.funding if shows else None,
        row.award_fen if shows else None,
        points if shows else None,
        row.document if shows else None,
        row.approved_at,
        row.paid_on,
        row.recorded_at,
    )


def _is_city(subject: Subject) -> bool:
    return subject.may(Duty.RUN_REVIEW) or subject.may(Duty.APPROVE_REVIEW)


async def special_cases(
    platform: Platform, subject: Subject, after: uuid.UUID | None, limit: int, *, year: int | None = None
) -> Sequence[SpecialCaseView]:
    """One page of the applications the subject sees (特例单议列表)."""
    async with looking(platform, subject, Duty.READ_REVIEW) as uow:
        of_city = _is_city(subject)
        return [_view(row, of_city=of_city) for row in await review.cases(uow, after, limit, year=year)]


async def special_case(platform: Platform, subject: Subject, special_case_id: uuid.UUID) -> SpecialCaseView | None:
    """One application, or none in this scope (特例单议申请)."""
    async with looking(platform, subject, Duty.READ_REVIEW) as uow:
        row = await review.case_by_id(uow, special_case_id)
        return None if row is None else _view(row, of_city=_is_city(subject))


async def hearing_of(
    platform: Platform, subject: Subject, special_case_id: uuid.UUID
) -> tuple[Sequence[DrawView], Sequence[VoteView]]:
    """The log of the draw and the votes of a case (抽取与表决记录): of the city alone, empty for anybody else."""
    if not _is_city(subject):
        return [], []
    async with looking(platform, subject, Duty.READ_REVIEW) as uow:
        drawn = [
            DrawView(r.round, r.place, r.expert_code, r.redraw_of, r.reason, r.seed, tuple(r.candidates), r.recorded_at)
            for r in await review.draws(uow, special_case_id)
        ]
        cast = [
            VoteView(r.round, r.step, r.expert_code, r.choice, r.sheet_sha256)
            for r in await review.votes(uow, special_case_id)
        ]
        return drawn, cast


async def reviewers(platform: Platform, subject: Subject, year: int) -> Sequence[ReviewerView]:
    """The workload and consistency of the experts of a year (专家工作量与一致率): their first votes against what was decided."""
    async with looking(platform, subject, Duty.RUN_REVIEW) as uow:
        return await _reviewers(uow, year)


async def _reviewers(uow: UnitOfWork, year: int) -> list[ReviewerView]:
    by_round: dict[tuple[uuid.UUID, int], list[Row[Any]]] = {}
    for line in await review.draws_of_year(uow, year):
        by_round.setdefault(workload_key(line), []).append(line)
    panels = {key: panel_of(lines, key[1]) for key, lines in by_round.items()}
    votes: dict[tuple[uuid.UUID, int], dict[str, bool]] = {}
    for vote in await review.first_votes_of_year(uow, year):
        votes.setdefault(workload_key(vote), {})[vote.expert_code] = vote.choice == "yes"
    decided = {}
    for key, cast in votes.items():
        needed = len(panels[key].members) // 2 + 1
        yes = sum(cast.values())
        if yes >= needed or yes + len(panels[key].members) - len(cast) < needed:
            decided[key] = yes >= needed
    agreed = consistency([votes[key] for key in decided], list(decided.values()))
    return [
        ReviewerView(expert, count, agreed.get(expert, (0, 0))[1], agreed.get(expert, (0, 0))[0])
        for expert, count in workload(list(panels.values())).items()
    ]
