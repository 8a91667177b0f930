"""Prices of findings, worked out when they are read (读取时计价): group and score the list as it was sent, at the budget point value.

Judging stays quick and a price is never out of date: it follows the catalog, coefficient and point value in force when somebody asks.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row

from fenzhi.access.roles import Duty, TenantKind
from fenzhi.access.subject import Subject
from fenzhi.rules.grouping.group_case import InpatientCase
from fenzhi.rules.point_value.point_value import Basis, PointValue
from fenzhi.rules.refusals import FenzhiError
from fenzhi.rules.submission.check_policy import PeriodDate, SubmissionPolicy, submission_policy
from fenzhi.rules.submission.settlement_list import SettlementList
from fenzhi.rules.submission.verdict import Severity
from fenzhi.rules.submission.verdict_price import (
    NOTHING_LOST,
    Endangered,
    Price,
    Unpriced,
    endangered,
    price_of,
    procedure_place,
    unpriced,
)
from fenzhi.services.acts import Platform, looking
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.services.scoring.assembly import ScoringFrame, scoring_frame
from fenzhi.services.submission.lookups import VerdictView
from fenzhi.services.submission.parse_part import read_one
from fenzhi.services.submission.part_formats import rows_of_part
from fenzhi.services.submission.parts import opened_part
from fenzhi.services.submission.table_lists import looks_like_table
from fenzhi.store.repositories import point_value
from fenzhi.store.repositories import submission as store
from fenzhi.store.session import BUSINESS_ZONE, UnitOfWork

_ZONE = ZoneInfo(BUSINESS_ZONE)
_SEES_LISTS = frozenset({TenantKind.HOSPITAL, TenantKind.CITY})
_LOCAL = "local"
"""Out-of-area cases are priced like the local pool's (异地病例按本地点值计价)."""


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a list is priced by (计价要素)."""

    insurance: str
    discharge_date: date
    settlement_month: int
    principal: str
    procedures: tuple[tuple[int, str], ...]
    """Place in the list and code, the main one first."""
    total_fen: int


@dataclass(slots=True)
class PriceDesk:
    """What lists of one hospital are priced by (计价台): frames and point values, kept between lists."""

    area_id: int
    hospital_id: int
    frames: dict[tuple[str, date, int], ScoringFrame | Unpriced] = field(default_factory=dict)
    values: dict[tuple[str, int], PointValue | None] = field(default_factory=dict)

    async def whole(self, uow: UnitOfWork, given: SettlementList | None, policy: SubmissionPolicy) -> Price:
        """The price of a whole list (整份清单的价格)."""
        facts = _facts_of(given, policy)
        if isinstance(facts, Unpriced):
            return unpriced(facts)
        await self.load(uow, facts)
        points = await asyncio.to_thread(self.points, facts)
        if isinstance(points, Unpriced):
            return unpriced(points)
        return price_of(*points, self.value(facts))

    def value(self, facts: _Facts) -> PointValue | None:
        """The budget point value of a list. Requires: `load`."""
        return self.values[facts.insurance, facts.settlement_month // 100]

    async def load(self, uow: UnitOfWork, facts: _Facts) -> None:
        """Have at hand what the price of a list needs."""
        key = (facts.insurance, facts.discharge_date, facts.settlement_month)
        if key not in self.frames:
            try:
                self.frames[key] = await scoring_frame(
                    uow,
                    area_id=self.area_id,
                    hospital_id=self.hospital_id,
                    insurance=facts.insurance,
                    discharge_date=facts.discharge_date,
                    settlement_month=facts.settlement_month,
                )
            except FenzhiError:
                self.frames[key] = Unpriced.POLICY_OPEN
        pool = (facts.insurance, facts.settlement_month // 100)
        if pool not in self.values:
            row = await point_value.budget_in_force(uow, (facts.insurance, _LOCAL, pool[1]))
            self.values[pool] = None if row is None else _value(row)

    def points(self, facts: _Facts) -> tuple[int, int] | Unpriced:
        """Points and their places, or why there are none. Requires: `load`."""
        frame = self.frames[facts.insurance, facts.discharge_date, facts.settlement_month]
        if isinstance(frame, Unpriced):
            return frame
        if frame.withheld is not None or frame.book is None or frame.factor is None:
            return Unpriced.WITHHELD
        case = InpatientCase("", facts.principal, tuple(code for _, code in facts.procedures))
        group = frame.group(case).group
        if group is None:
            return Unpriced.UNGROUPED
        return frame.score(case, group, facts.total_fen).points, frame.book.edition.points_decimals


@dataclass(slots=True)
class PriceBook:
    """Prices of one batch's findings for one reader (批次计价). Frames, point values and the part last opened are kept between pages."""

    platform: Platform
    subject: Subject
    batch_id: uuid.UUID
    _desk: PriceDesk = field(default_factory=lambda: PriceDesk(0, 0))
    _part: tuple[int, bytes, dict[int, SettlementList | None]] | None = None

    async def prices(self, page: Sequence[VerdictView]) -> list[Price]:
        """The price of each finding of a page, in order (一页结论的价格). Raises: Forbidden."""
        kinds = [endangered(view.code, Severity(view.severity)) for view in page]
        wanted = sorted(
            {v.row_no for v, kind in zip(page, kinds, strict=True) if kind in (Endangered.WHOLE, Endangered.PROCEDURE)}
        )
        facts: dict[int, _Facts | Unpriced] = {}
        if wanted:
            async with looking(self.platform, self.subject, Duty.READ_SUBMISSION) as uow:
                facts = await self._facts(uow, wanted)
                for one in facts.values():
                    if isinstance(one, _Facts):
                        await self._desk.load(uow, one)
        return await asyncio.to_thread(
            lambda: [self._price(view, kind, facts) for view, kind in zip(page, kinds, strict=True)]
        )

    async def _facts(self, uow: UnitOfWork, wanted: list[int]) -> dict[int, _Facts | Unpriced]:
        batch = await store.batch_by_id(uow, self.batch_id)
        if self.subject.tenant_kind not in _SEES_LISTS or batch is None or batch.sealed_at is None:
            return dict.fromkeys(wanted, Unpriced.NOT_VISIBLE)
        policy = submission_policy(
            await resolved_policy(uow, batch.sealed_at.astimezone(_ZONE).date(), area_id=batch.area_id)
        )
        if self._desk.hospital_id != batch.hospital_id:
            self._desk = PriceDesk(batch.area_id, batch.hospital_id)
        found: dict[int, _Facts | Unpriced] = {}
        for place in await store.places_of_rows(uow, self.batch_id, wanted):
            given = await self._list(uow, place)
            found[place.row_no] = given if isinstance(given, Unpriced) else _facts_of(given, policy)
        return {row: found.get(row, Unpriced.NOT_VISIBLE) for row in wanted}

    async def _list(self, uow: UnitOfWork, place: Row[Any]) -> SettlementList | Unpriced | None:
        if self._part is None or self._part[0] != place.part_no:
            kept = await store.part_sealed(uow, self.batch_id, place.part_no)
            if kept is None:
                return Unpriced.NOT_VISIBLE
            content = await asyncio.to_thread(
                opened_part,
                self.platform,
                self._desk.area_id,
                self.batch_id,
                place.part_no,
                kept.key_id,
                kept.sealed_bytes,
            )
            lists: dict[int, SettlementList | None] = {}
            if looks_like_table(content):
                rows, _ = await asyncio.to_thread(rows_of_part, content)
                order = await store.rows_of_part(uow, self.batch_id, place.part_no)
                lists = {one.row_no: row.settlement_list for one, row in zip(order, rows, strict=False)}
            self._part = (place.part_no, content, lists)
        _, content, lists = self._part
        if lists:
            return lists.get(place.row_no)
        return read_one(content[place.byte_offset : place.byte_offset + place.byte_length])[0]

    def _price(self, view: VerdictView, kind: Endangered, facts: dict[int, _Facts | Unpriced]) -> Price:
        if kind is Endangered.NOTHING:
            return NOTHING_LOST
        if kind is Endangered.UNDEFINED:
            return unpriced(Unpriced.UNDEFINED)
        one = facts[view.row_no]
        if isinstance(one, Unpriced):
            return unpriced(one)
        whole = self._desk.points(one)
        if isinstance(whole, Unpriced):
            return unpriced(whole)
        points, decimals = whole
        if kind is Endangered.PROCEDURE:
            place = procedure_place(view.path)
            if place is None:
                return unpriced(Unpriced.UNDEFINED)
            left = self._desk.points(replace(one, procedures=tuple(p for p in one.procedures if p[0] != place)))
            if isinstance(left, Unpriced):
                return unpriced(left)
            points -= left[0]
        return price_of(points, decimals, self._desk.value(one))


def _value(row: Row[Any]) -> PointValue:
    return PointValue(row.fund_fen, row.cost_fen, row.booked_fen, row.points, row.points_decimals, Basis(row.basis))


def _facts_of(given: SettlementList | None, policy: SubmissionPolicy) -> _Facts | Unpriced:
    insurance = policy.insurance_of.get(given.insurance_type or "") if given is not None else None
    if given is None or insurance is None or given.discharge_date is None or not given.total_fen or given.total_fen < 0:
        return Unpriced.UNREADABLE
    by_discharge = policy.settlement_period_by is PeriodDate.DISCHARGE
    period = given.discharge_date if by_discharge else given.settlement_end_date
    if period is None:
        return Unpriced.UNREADABLE
    principals = given.principal_diagnoses()
    if len(principals) != 1 or principals[0][1].code is None:
        return Unpriced.NO_PRINCIPAL
    ordered = sorted(enumerate(given.procedures), key=lambda pair: not pair[1].main)
    return _Facts(
        insurance,
        given.discharge_date,
        period.year * 100 + period.month,
        principals[0][1].code,
        tuple((place, row.code) for place, row in ordered if row.code is not None),
        given.total_fen,
    )
