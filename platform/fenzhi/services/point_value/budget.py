"""The budget point value (预算点值): computed by a worker from three years of history, approved by a second person."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from datetime import date
from typing import Any

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject, require_second_person
from fenzhi.engine.engine import Engine
from fenzhi.outbox.jobs import enqueue
from fenzhi.rules.point_value.budget_point_value import BudgetPointValue, budget_point_value
from fenzhi.rules.point_value.point_value import FundRatioZero, NoCases
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.quantities import yuan_from_fen
from fenzhi.rules.refusals import Conflict, DataRefused, NotFound
from fenzhi.services.acts import Answer, Platform, Request, act, as_id
from fenzhi.services.catalog import book
from fenzhi.services.clearing.grading import load_basis, places_of
from fenzhi.services.fund.faults import pool_faults
from fenzhi.services.jobs.execution import JobInHand
from fenzhi.services.point_value.history import HistorySums, positive, read_history, sum_history
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.repositories import point_value
from fenzhi.store.session import UnitOfWork

BUDGET_JOB = "point_value.budget"
_HISTORY_YEARS = 3


@dataclass(frozen=True, slots=True)
class ComputeBudgetPointValue:
    """An order to compute the budget point value of a pool under an edition (测算预算点值)."""

    insurance: str
    pool_scope: str
    year: int
    edition_id: str


async def want_budget_point_value(
    platform: Platform, clerk: Subject, request: Request, order: ComputeBudgetPointValue
) -> Answer:
    """Want a budget point value computed (申请测算预算点值). Changes: job. Raises: DataRefused, NotFound for an edition not published."""
    faults = pool_faults(order.insurance, order.pool_scope, order.year)

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        await book.edition_row(uow, as_id(order.edition_id, "edition"))
        payload = {
            "insurance": order.insurance,
            "pool_scope": order.pool_scope,
            "year": order.year,
            "edition": order.edition_id,
        }
        job_id = await enqueue(uow, platform.doorbell, BUDGET_JOB, payload)
        return {"type": "Job", "id": str(job_id)}

    return await act(platform, clerk, Duty.PROPOSE_BUDGET, request, effect)


async def compute_budget_point_value(job: JobInHand) -> None:
    """Σ weight × cost / Σ weight × points of the three years before, regrouped under the edition (测算预算点值).

    Policy: point_value.budget_weights; grouping.* and scoring.* as in force on the first day of the year priced. History has no
    settlement day of this platform, so a case before the first known level or coefficient takes the first one; its cost is judged
    against the reference costs of the last year where there are any. Changes: point_value (draft).
    Raises: NoCases, NoPoints, FundRatioZero, PolicyNotEntered, InvariantBroken.
    """
    payload = job.payload
    insurance, year = str(payload["insurance"]), int(payload["year"])
    years = [year - n for n in range(_HISTORY_YEARS, 0, -1)]
    async with job.reading() as uow:
        edition = await book.edition_row(uow, uuid.UUID(str(payload["edition"])))
        policy = await resolved_policy(uow, date(year, 1, 1), insurance=insurance)
        cases = await read_history(job.platform.database, uow, insurance, years)
        if cases.num_rows == 0:
            raise NoCases("没有历史病例，无法测算预算点值。", "There are no history cases for a budget point value.")
        basis = await load_basis(
            uow, policy, insurance, places_of(positive(cases)), year - 1, edition=edition, earliest=True
        )
    await job.progress(1, 2)

    def sums() -> HistorySums:
        with Engine(memory_limit=f"{job.platform.memory_limit_mb}MB") as engine:
            return sum_history(engine, cases, basis, years)

    found = await asyncio.to_thread(sums)
    budget = budget_point_value(found.years, policy.weights("point_value.budget_weights"), edition.points_decimals)
    if found.last_booked_fen <= 0 or found.last_cost_fen <= 0:
        raise FundRatioZero(
            "上年病例的记账基金或医疗总费用为 0，无法确定上年基金支付比例。",
            "Last year's booked fund or cost is 0, so there is no fund ratio of last year.",
        )
    value = budget.point_value
    result: dict[str, Any] = {}
    async with job.finishing(result) as uow:
        point_value_id = await point_value.add(
            uow,
            {
                "insurance": insurance,
                "pool_scope": str(payload["pool_scope"]),
                "year": year,
                "kind": "budget",
                "basis": value.basis.value,
                "fund_fen": value.fund_fen,
                "cost_fen": value.cost_fen,
                "booked_fen": value.booked_fen,
                "points": value.points,
                "points_decimals": value.points_decimals,
                "edition_id": edition.edition_id,
                "state": "draft",
                "working": _working(found, budget, policy, year),
                "proposed_by": uuid.UUID(job.scope.account_id),
                "proposed_by_person": uuid.UUID(job.scope.person_id),
            },
        )
        result["point_value"] = str(point_value_id)


def _working(found: HistorySums, budget: BudgetPointValue, policy: ResolvedPolicy, year: int) -> dict[str, Any]:
    weights = [str(weight) for weight in budget.weights]
    return {
        "years": [
            {
                "year": one.year,
                "weight": weight,
                "cost_fen": one.cost_fen,
                "points": one.points,
                "cases": found.used[one.year],
            }
            for one, weight in zip(budget.years, weights, strict=True)
        ],
        "set_aside": dict(found.set_aside),
        "last_year": {
            "year": year - 1,
            "cost_fen": str(found.last_cost_fen),
            "booked_fen": str(found.last_booked_fen),
        },
        "policy_fingerprint": policy.fingerprint(),
        "steps": [
            {
                "rule": "point_value.budget",
                "zh": "预算点值＝前三年加权医疗总费用 ÷ 加权总分值；三年病例均按所定价目录重新入组计分。",
                "en": "Budget point value: weighted cost of the three years ÷ weighted points; the history is regrouped and scored "
                "under the edition it prices.",
                "values": [
                    *([f"weight_{one.year}", weight] for one, weight in zip(budget.years, weights, strict=True)),
                    *([f"cost_{one.year}", yuan_from_fen(one.cost_fen)] for one in budget.years),
                    *([f"points_{one.year}", str(one.points)] for one in budget.years),
                    ["points_decimals", str(budget.point_value.points_decimals)],
                ],
                "document": str(policy.document("point_value.budget_weights")),
            },
            {
                "rule": "point_value.history_standing",
                "zh": "历史病例按出院日等级与系数计分；早于首次登记的，取最早登记的等级与系数；费用异常按上年参考均费判定，无参考的按正常计分。",
                "en": "History takes the level and coefficient of its discharge date, before the first entry the earliest one; cost "
                "outliers are judged by last year's references, and without one a case is normal.",
                "values": [[f"set_aside_{reason}", str(n)] for reason, n in found.set_aside.items()],
                "document": "",
            },
            {
                "rule": "point_value.last_year_ratio",
                "zh": "上年基金支付比例＝上年病例记账统筹基金 ÷ 医疗总费用，与预算点值一并冻结，用于月度预结算。",
                "en": "Fund ratio of last year: booked basic fund ÷ total cost of last year's cases, frozen with this value for the months.",
                "values": [
                    ["booked", yuan_from_fen(found.last_booked_fen)],
                    ["cost", yuan_from_fen(found.last_cost_fen)],
                ],
                "document": "",
            },
        ],
    }


async def approve_point_value(platform: Platform, approver: Subject, request: Request, point_value_id: str) -> Answer:
    """Approve a computed budget point value (批准预算点值), by another person than who had it computed.

    Changes: point_value draft → approved. Raises: NotFound, SamePerson, Conflict POINT_VALUE_NOT_DRAFT.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        key = as_id(point_value_id, "pointValue")
        row = await point_value.by_id(uow, key)
        if row is None:
            raise NotFound("没有该点值。", "No such point value.")
        if row.state != "draft":
            raise _not_draft(row.state)
        require_second_person(str(row.proposed_by_person or ""), uow.scope.person_id)
        if not await point_value.approve(uow, key):
            raise _not_draft("decided")
        return {"type": "PointValue", "id": str(key)}

    return await act(platform, approver, Duty.APPROVE_BUDGET, request, effect)


def _not_draft(state: str) -> Conflict:
    return Conflict(f"点值已处于 {state} 状态。", f"The point value is {state} already.", code="POINT_VALUE_NOT_DRAFT")
