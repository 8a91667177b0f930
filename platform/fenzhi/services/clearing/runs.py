"""The life of a run (结算的生命周期): started by the clerk, computed by a worker, approved by another person, published, never changed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, func

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject, require_second_person
from fenzhi.outbox.jobs import enqueue
from fenzhi.rules.clearing.out_of_area import LocalPoolNotCleared
from fenzhi.rules.refusals import Conflict, DataRefused, NotFound, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act, as_id
from fenzhi.services.clearing import closing
from fenzhi.services.clearing.special_cases import refuse_open_reviews
from fenzhi.services.events.notices import tell_of_statements
from fenzhi.services.fund.faults import pool_faults
from fenzhi.store.repositories import clearing, fund, point_value
from fenzhi.store.repositories.fund import Pool
from fenzhi.store.session import UnitOfWork, new_id

COMPUTE_JOB = "clearing.compute"
LOCAL = "local"
UNDECIDED = ("computing", "computed", "issued", "approved")


class RunKind(StrEnum):
    """What a run settles (结算类型)."""

    MONTH = "month"  # 月度预结算
    QUARTER = "quarter"  # 季度清算
    YEAR = "year"  # 年度清算

    @property
    def periods(self) -> int:
        """How many periods a year has (每年期数)."""
        return {RunKind.MONTH: 12, RunKind.QUARTER: 4, RunKind.YEAR: 1}[self]

    @property
    def zh(self) -> str:
        return {RunKind.MONTH: "月预结算", RunKind.QUARTER: "季度清算", RunKind.YEAR: "年度清算"}[self]


class AlreadyRunning(Conflict):
    """The period has a live run already (该期已有结算): `run_id` names it."""

    code = "CLEARING_ALREADY_RUNNING"

    def __init__(self, run_id: uuid.UUID, state: str) -> None:
        super().__init__(
            f"该期已有结算，状态 {state}。",
            f"The period has a run already, in state {state}.",
            hint="作废后方可重新发起；已公布的不再更改 / void it first; a published run never changes",
            run_id=str(run_id),
        )
        self.run_id = run_id


@dataclass(frozen=True, slots=True)
class StartRun:
    """An order to start a run (发起结算). `period` is a month 1–12, a quarter 1–4, or 1 for the year."""

    kind: RunKind
    insurance: str
    pool_scope: str
    year: int
    period: int

    @property
    def pool(self) -> Pool:
        """The fund pool (基金池)."""
        return (self.insurance, self.pool_scope, self.year)


def _faults(order: StartRun) -> list[Refusal]:
    found = pool_faults(order.insurance, order.pool_scope, order.year)
    if not 1 <= order.period <= order.kind.periods:
        found.append(
            Refusal("PERIOD_RANGE", "period", str(order.period), f"期次须为 1 至 {order.kind.periods}。",
                    f"The period is 1 to {order.kind.periods}.", "核对月份或季度。", "Check the month or quarter.")
        )  # fmt: skip
    return found


async def start_run(platform: Platform, clerk: Subject, request: Request, order: StartRun) -> Answer:
    """Start a month, quarter or annual run of a pool (发起结算): the row in state computing, and the job that computes it.

    Of two starts for one period exactly one makes a run. A pool has one undecided run at a time, because each run posts the difference
    to those before it; a period that a published quarter covers is closed.
    Changes: clearing_run, job. Raises: DataRefused, AlreadyRunning, Conflict CLEARING_EARLIER_RUN_OPEN, PERIOD_CLOSED,
    BUDGET_NOT_APPROVED, POINT_VALUE_NOT_APPROVED, REVIEWS_OPEN.
    """
    faults = _faults(order)

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        await fund.lock_pool(uow, order.pool)
        await clearing.release_dead(uow, order.pool)
        await _refuse_unless_free(uow, order)
        run_id = new_id()
        job_id = await enqueue(uow, platform.doorbell, COMPUTE_JOB, {"run": str(run_id)})
        insurance, pool_scope, year = order.pool
        started = await clearing.add_run(
            uow,
            {
                "run_id": run_id,
                "province_id": uow.scope.province,
                "area_id": uow.scope.area,
                "kind": order.kind.value,
                "insurance": insurance,
                "pool_scope": pool_scope,
                "year": year,
                "period": order.period,
                "job_id": job_id,
                "started_by": uuid.UUID(uow.scope.account_id),
                "started_by_person": uuid.UUID(uow.scope.person_id),
            },
        )
        if not started:
            await _refuse_live(uow, order)
            raise Conflict("并发冲突，请重试。", "A concurrent change; try again.", code="TRY_AGAIN")
        return {"type": "ClearingRun", "id": str(run_id)}

    return await act(platform, clerk, Duty.START_CLEARING, request, effect)


def local_pool(pool: Pool) -> Pool:
    """The local pool of the same insurance and year: it prices cases of other areas as well (同险种本地基金池)."""
    insurance, _, year = pool
    return (insurance, LOCAL, year)


async def local_run(uow: UnitOfWork, pool: Pool, kind: RunKind, period: int) -> Row[Any]:
    """The published clearing of the local pool for the same period (本地基金池同期清算). Raises: LocalPoolNotCleared."""
    for row in await clearing.runs_of_pool(uow, local_pool(pool), ("published",)):
        if (row.kind, row.period) == (kind.value, period):
            return row
    raise LocalPoolNotCleared(
        "同险种本地基金池本期清算尚未公布，异地病例没有价格。",
        "The local pool's clearing of the period is not published, so cases from elsewhere have no price.",
        hint="先公布本地基金池同期清算 / publish the local pool's clearing of the same period first",
    )


async def _refuse_live(uow: UnitOfWork, order: StartRun) -> None:
    live = await clearing.live_run(uow, order.pool, order.kind.value, order.period)
    if live is not None:
        raise AlreadyRunning(live.run_id, live.state)


async def _refuse_unless_free(uow: UnitOfWork, order: StartRun) -> None:
    await _refuse_live(uow, order)
    for other in await clearing.runs_of_pool(uow, order.pool, UNDECIDED):
        raise Conflict(
            f"同一基金池 {other.year} 年第 {other.period} 期（{other.kind}）结算尚未公布，状态 {other.state}。",
            f"The pool's {other.kind} run of period {other.period} is not published yet: it is {other.state}.",
            code="CLEARING_EARLIER_RUN_OPEN",
            hint="先公布或作废该次结算 / publish or void that run first",
        )
    reached = order.period if order.kind is RunKind.QUARTER else (order.period + 2) // 3
    for other in await clearing.runs_of_pool(uow, order.pool, ("published",)):
        if other.kind == RunKind.YEAR.value:
            raise Conflict(
                "本年度已公布年度清算。",
                "The annual clearing of the year is published: the year is closed.",
                code="PERIOD_CLOSED",
                hint="更正进入下一年度 / corrections enter the next year",
            )
        if order.kind is RunKind.YEAR:
            continue
        if other.kind == RunKind.QUARTER.value and other.period >= reached:
            raise Conflict(
                f"该期已包含在已公布的第 {other.period} 季度清算中。",
                f"The published clearing of quarter {other.period} covers this period.",
                code="PERIOD_CLOSED",
                hint="迟报与更正进入下一次累计清算 / late and corrected lists enter the next cumulative run",
            )
    if order.kind is not RunKind.MONTH and order.pool_scope != LOCAL:
        await local_run(uow, order.pool, order.kind, order.period)
    elif order.kind is not RunKind.MONTH and await fund.budget_in_force(uow, order.pool) is None:
        raise Conflict(
            "该基金池本年度没有已批准的预算。",
            "The pool has no approved budget for the year.",
            code="BUDGET_NOT_APPROVED",
        )
    if order.kind is RunKind.YEAR:
        await refuse_open_reviews(uow, order.pool)
    if order.kind is RunKind.MONTH and await point_value.budget_in_force(uow, local_pool(order.pool)) is None:
        raise Conflict(
            "该基金池本年度没有已批准的预算点值。",
            "The pool has no approved budget point value for the year.",
            code="POINT_VALUE_NOT_APPROVED",
        )


async def approve_run(platform: Platform, approver: Subject, request: Request, run_id: str) -> Answer:
    """Approve a run (审批结算), by another person than who started it: a month or quarter when it is computed, a year when every hospital
    has answered its statement.

    Changes: clearing_run computed | issued → approved; the statements of a year. Raises: NotFound, SamePerson, Conflict RUN_STATE,
    STATEMENTS_UNANSWERED.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        row = await found_run(uow, run_id)
        require_second_person(str(row.started_by_person), uow.scope.person_id)
        values = {
            "state": "approved",
            "approved_by": uuid.UUID(uow.scope.account_id),
            "approved_by_person": uuid.UUID(uow.scope.person_id),
            "approved_at": func.now(),
        }
        if row.kind == RunKind.YEAR.value:
            answer = await moved(uow, row, ("issued",), values)
            await closing.approve_statements(uow, row)
            return answer
        return await moved(uow, row, ("computed",), values)

    return await act(platform, approver, Duty.APPROVE_CLEARING, request, effect)


async def publish_run(platform: Platform, person: Subject, request: Request, run_id: str) -> Answer:
    """Publish an approved run to counties and hospitals (公布结算); from now on it never changes.

    With it goes what it took of receivables; of a year, its statements are posted, a negative final becomes a receivable, and what the
    accounts hold goes into the next year. Changes: clearing_run approved → published, its settlement point value,
    receivable_movement; of a year statement_act, receivable, ledger_entry. Raises: NotFound, Conflict RUN_STATE.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        row = await found_run(uow, run_id)
        answer = await moved(uow, row, ("approved",), {"state": "published", "published_at": func.now()})
        await point_value.publish_of_run(uow, row.run_id)
        await closing.take_offsets(uow, row)
        if row.kind == RunKind.YEAR.value:
            await closing.post_year(uow, row)
        await tell_of_statements(uow, row, "published")
        return answer

    return await act(platform, person, _either(person), request, effect)


async def void_run(platform: Platform, person: Subject, request: Request, run_id: str) -> Answer:
    """Void a run that is not published (作废结算), so that its period can be started anew.

    What it computed stays on record and counts for nothing. Changes: clearing_run computed | issued | approved → voided.
    Raises: NotFound, Conflict RUN_STATE.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        row = await found_run(uow, run_id)
        return await moved(uow, row, ("computed", "issued", "approved"), {"state": "voided"})

    return await act(platform, person, _either(person), request, effect)


def _either(person: Subject) -> Duty:
    return Duty.APPROVE_CLEARING if person.may(Duty.APPROVE_CLEARING) else Duty.START_CLEARING


async def found_run(uow: UnitOfWork, run_id: str) -> Row[Any]:
    """A run of the scope (查找结算). Raises: NotFound."""
    row = await clearing.run_by_id(uow, as_id(run_id, "run"))
    if row is None:
        raise NotFound("没有该结算。", "No such run.")
    return row


async def moved(uow: UnitOfWork, row: Row[Any], from_states: Sequence[str], values: Mapping[str, Any]) -> Answer:
    """Move a run on or refuse (状态流转). Raises: Conflict RUN_STATE."""
    if not await clearing.move_run(uow, row.run_id, from_states, values):
        raise Conflict(
            f"结算处于 {row.state} 状态，不能进行此操作。",
            f"The run is {row.state}; this step needs {' or '.join(from_states)}.",
            code="RUN_STATE",
        )
    return {"type": "ClearingRun", "id": str(row.run_id)}
