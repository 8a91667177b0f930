"""Scorecard look-ups (评价查询)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.services.acts import Platform, looking
from fenzhi.store.repositories import scorecard
from fenzhi.store.session import UnitOfWork


@dataclass(frozen=True, slots=True)
class IndicatorView:
    """One indicator as printed (指标)."""

    code: str
    zh: str
    en: str
    formula: str
    unit: str
    numerator: Decimal
    denominator: Decimal
    value: str
    light: str
    reason: str


@dataclass(frozen=True, slots=True)
class ScorecardView:
    """A scorecard as its readers see it (考核评价)."""

    scorecard_id: uuid.UUID
    hospital_id: int
    hospital_code: str
    hospital_name: str
    year: int
    quarter: int
    state: str
    light: str
    policy_fingerprint: str
    published_at: datetime | None
    indicators: tuple[IndicatorView, ...]


async def _views(uow: UnitOfWork, rows: Sequence[Row[Any]]) -> list[ScorecardView]:
    lines: dict[uuid.UUID, list[IndicatorView]] = {}
    for r in await scorecard.indicators(uow, [row.scorecard_id for row in rows]):
        lines.setdefault(r.scorecard_id, []).append(
            IndicatorView(r.code, r.zh, r.en, r.formula, r.unit, r.numerator, r.denominator, r.value, r.light, r.reason)
        )
    return [
        ScorecardView(
            scorecard_id=row.scorecard_id,
            hospital_id=row.hospital_id,
            hospital_code=row.hospital_code,
            hospital_name=row.hospital_name,
            year=row.year,
            quarter=row.quarter,
            state=row.state,
            light=row.light,
            policy_fingerprint=row.policy_fingerprint,
            published_at=row.published_at,
            indicators=tuple(lines.get(row.scorecard_id, ())),
        )
        for row in rows
    ]


async def scorecards(
    platform: Platform, subject: Subject, year: int, quarter: int, after: tuple[int, uuid.UUID] | None, limit: int
) -> list[ScorecardView]:
    """One page of a quarter's scorecards in the subject's scope (评价列表); hospitals and counties see published ones."""
    async with looking(platform, subject, Duty.READ_SCORECARD) as uow:
        return await _views(uow, await scorecard.page(uow, year, quarter, after, limit))


async def scorecard_by_id(platform: Platform, subject: Subject, scorecard_id: uuid.UUID) -> ScorecardView | None:
    """One scorecard of the scope, or none (评价)."""
    async with looking(platform, subject, Duty.READ_SCORECARD) as uow:
        row = await scorecard.by_id(uow, scorecard_id)
        return (await _views(uow, [row]))[0] if row is not None else None
