"""Cycles of review (评审周期): closed once and in order; what is eligible is admitted up to the area's cap."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.periods import SettlementMonth, SettlementQuarter
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.refusals import Conflict, DataRefused, Refusal
from fenzhi.rules.review.eligibility import EligibilityTerms, SpecialCase, SpecialReason, eligibility_faults
from fenzhi.rules.review.special_case_cap import Admission, Application, admit, special_case_cap
from fenzhi.services.acts import Answer, Platform, Request, act, looking
from fenzhi.services.clearing.freezing import price_of
from fenzhi.services.clearing.runs import UNDECIDED, RunKind, local_pool
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.services.scoring.assembly import scoring_frame
from fenzhi.services.scoring.explain import explained
from fenzhi.store.repositories import cases, clearing, point_value, review
from fenzhi.store.repositories.fund import Pool
from fenzhi.store.session import UnitOfWork, new_id

_SHANGHAI = timezone(timedelta(hours=8))


@dataclass(frozen=True, slots=True)
class CycleView:
    """A closed cycle and the statistics of the year to it (评审周期与公开统计). Units: cases, fen."""

    area_code: str
    year: int
    cycle: int
    last_day: date
    discharges: int
    cap: int
    admitted_before: int
    applied: int
    admitted: int
    waiting: int
    lapsed: int
    ineligible: int
    passed_to_date: int
    off_pool_to_date_fen: int
    fund_paid_to_date_fen: int


async def year_is_closing(uow: UnitOfWork, pool: Pool) -> bool:
    """Whether the annual run of a pool is under way or published (年度清算是否已发起)."""
    return any(
        run.kind == RunKind.YEAR.value for run in await clearing.runs_of_pool(uow, pool, (*UNDECIDED, "published"))
    )


async def close_cycle(platform: Platform, clerk: Subject, request: Request, year: int, cycle: int) -> Answer:
    """Close a cycle (关闭评审周期): judge what was applied for, and admit in order of application up to the area's cap.

    Cap: floor(ratio × the area's discharges of the year to the cycle's last day, both insurances). Policy: special_case.cap_ratio,
    cycle, and the conditions of application. Changes: review_cycle, special_case. Raises: DataRefused, Conflict CYCLE_NOT_OVER,
    CYCLE_CLOSED, POINT_VALUE_NOT_APPROVED, PolicyNotEntered.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        if not 2000 <= year <= 2100 or not 1 <= cycle <= 12:
            raise DataRefused((_range(year, cycle),))
        await review.lock_reviews(uow, year)
        policy = await resolved_policy(uow, date(year, 12, 31))
        monthly = policy.method("special_case.cycle") == "month"
        cycles_of_year = 12 if monthly else 4
        if cycle > cycles_of_year:
            raise DataRefused((_range(year, cycle),))
        last_day = (SettlementMonth(year, cycle) if monthly else SettlementQuarter(year, cycle)).last_day
        if last_day >= await uow.today():
            raise Conflict("该评审周期尚未结束。", "The cycle is not over yet.", code="CYCLE_NOT_OVER")
        earlier = await review.cycles(uow, year)
        if any(row.cycle >= cycle for row in earlier):
            raise Conflict("该周期或其后的周期已关闭。", "This cycle or a later one is closed.", code="CYCLE_CLOSED")
        return await _close(uow, policy, year, cycle, last_day, earlier, is_last=cycle == cycles_of_year)

    return await act(platform, clerk, Duty.RUN_REVIEW, request, effect)


def _range(year: int, cycle: int) -> Refusal:
    return Refusal("CYCLE_RANGE", "cycle", f"{year}/{cycle}", "周期超出该年度的范围。", "The year has no such cycle.",
                   "按策略核对评审周期。", "Check the cycle against the policy.")  # fmt: skip


async def _close(
    uow: UnitOfWork,
    policy: ResolvedPolicy,
    year: int,
    cycle: int,
    last_day: date,
    earlier: Sequence[Row[Any]],
    *,
    is_last: bool,
) -> Answer:
    queue = await review.queue(uow, year)
    cycle_id = new_id()
    ineligible, late, eligible = 0, 0, []
    for row in queue:
        if await year_is_closing(uow, (row.insurance, row.pool_scope, row.year)):
            late += 1
            why = {
                "why_zh": "该年度清算已发起，申请失效。",
                "why_en": "The annual clearing has begun: the application lapses.",
            }
            await review.move(uow, row.special_case_id, (row.state,), {"state": "lapsed", "cycle_id": cycle_id} | why)
            continue
        if row.state == "applied":
            found, faults = await _judged(uow, row)
            if faults:
                ineligible += 1
                values = {
                    "state": "ineligible",
                    "cycle_id": cycle_id,
                    "found": found,
                    "why_zh": "".join(one.zh for one in faults),
                    "why_en": " ".join(one.en for one in faults),
                }
                await review.move(uow, row.special_case_id, ("applied",), values)
                continue
            await review.move(uow, row.special_case_id, ("applied",), {"found": found})
        eligible.append(row)
    discharges = await review.discharges(uow, date(year, 1, 1), last_day)
    cap = special_case_cap(discharges, policy.fraction("special_case.cap_ratio"))
    before = sum(row.admitted for row in earlier)
    asked = [Application(str(row.special_case_id), row.recorded_at, row.cycles_waited) for row in eligible]
    decided = admit(asked, cap, before, last_cycle_of_year=is_last)
    counts = dict.fromkeys(Admission, 0)
    waited = {str(row.special_case_id): row.cycles_waited for row in eligible}
    for one in decided:
        counts[one.admission] += 1
        values = {"state": one.admission.value, "cycle_id": cycle_id, "why_zh": one.zh, "why_en": one.en}
        if one.admission is Admission.WAITING:
            values["cycles_waited"] = waited[one.application_id] + 1
        await review.move(uow, uuid.UUID(one.application_id), ("applied", "waiting"), values)
    passed, off_pool, paid = await review.paid_to_date(uow, year)
    await review.add_cycle(
        uow,
        cycle_id,
        {
            "year": year,
            "cycle": cycle,
            "last_day": last_day,
            "discharges": discharges,
            "cap": cap,
            "admitted_before": before,
            "applied": sum(row.state == "applied" for row in queue),
            "admitted": counts[Admission.ADMITTED],
            "waiting": counts[Admission.WAITING],
            "lapsed": counts[Admission.LAPSED] + late,
            "ineligible": ineligible,
            "passed_to_date": passed,
            "off_pool_to_date_fen": off_pool,
            "fund_paid_to_date_fen": paid,
        },
    )
    return {"type": "ReviewCycle", "id": str(cycle_id), "year": year, "cycle": cycle}


async def _judged(uow: UnitOfWork, row: Row[Any]) -> tuple[dict[str, Any], tuple[Refusal, ...]]:
    """What the area found about an application, and every condition it misses, by the policy of the day of application."""
    case = await cases.case_by_id(uow, row.case_id)
    if case is None or case.superseded_by is not None:
        return {}, (
            _fault("CASE_REPLACED", "case", "该病例已被更正的清单取代。", "A corrected list has replaced the case."),
        )
    # Cases of other areas are priced by the local pool, here as in their clearing.
    pool = local_pool((case.insurance, case.pool_scope, row.year))
    price = await point_value.budget_in_force(uow, pool)
    if price is None:
        raise Conflict(
            "该基金池没有已批准的预算点值，无法计算支付标准。",
            "The pool has no approved budget point value, so no payment standard.",
            code="POINT_VALUE_NOT_APPROVED",
        )
    frame = await scoring_frame(
        uow,
        area_id=case.area_id,
        hospital_id=case.hospital_id,
        insurance=case.insurance,
        discharge_date=case.discharge_date,
        settlement_month=case.settlement_month,
        pool_scope=case.pool_scope,
    )
    told = explained(case, frame)
    if told.points is None:
        return {}, (_fault("SPECIAL_CASE_UNGROUPED", "case", "该病例未入组或不予支付，无支付标准。",
                           "The case has no points, so there is no payment standard."),)  # fmt: skip
    value = price_of(price)
    points = int(told.points * Decimal(10) ** value.points_decimals)
    standard = value.payment_standard(points)
    applied_on = row.recorded_at.astimezone(_SHANGHAI).date()
    policy = await resolved_policy(uow, applied_on, insurance=case.insurance)
    stay, stays = await clearing.group_stay(uow, pool, told.group_code or "")
    faults = list(
        eligibility_faults(
            SpecialCase(
                case.total_fen,
                standard,
                case.los_days,
                Fraction(stay, stays) if stays else Fraction(case.los_days),
                frozenset(SpecialReason(one) for one in row.reasons),
                tuple(piece["sha256"] for piece in row.evidence),
            ),
            EligibilityTerms.from_policy(policy),
        )
    )
    found = {
        "cost_fen": case.total_fen,
        "payment_standard_fen": standard,
        "los_days": case.los_days,
        "mean_stay": [stay, stays],
        "group_code": told.group_code,
        "points": points,
        "points_decimals": value.points_decimals,
        "faults": [one.code for one in faults],
    }
    return found, tuple(faults)


def _fault(code: str, where: str, zh: str, en: str) -> Refusal:
    return Refusal(code, where, "", zh, en, "核对后重新申请。", "Check it and apply again.")


async def cycles(platform: Platform, subject: Subject, year: int) -> Sequence[CycleView]:
    """The closed cycles of a year with the public statistics (公开统计): everybody of the area reads them."""
    async with looking(platform, subject, Duty.READ_REVIEW) as uow:
        return [
            CycleView(
                row.area_code,
                row.year,
                row.cycle,
                row.last_day,
                row.discharges,
                row.cap,
                row.admitted_before,
                row.applied,
                row.admitted,
                row.waiting,
                row.lapsed,
                row.ineligible,
                row.passed_to_date,
                row.off_pool_to_date_fen,
                row.fund_paid_to_date_fen,
            )
            for row in await review.cycles(uow, year)
        ]
