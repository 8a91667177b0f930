"""Clearing mutations (结算): start, approve, publish, void."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import strawberry

from fenzhi.access.subject import Subject
from fenzhi.services.acts import Answer, Platform, Request
from fenzhi.services.clearing import runs
from fenzhi_graphql.clearing.kinds import ClearingKind
from fenzhi_graphql.clearing.runs import ClearingRun, run_in_scope
from fenzhi_graphql.context import Info
from fenzhi_graphql.fund.types import Insurance, PoolScope
from fenzhi_graphql.outcomes import ERRORS, UserError, answered
from fenzhi_graphql.paging import key_of

_KEY = "A fresh random key; the same when retrying (幂等键)."


@strawberry.input(description="Start a month, quarter or annual run of a pool (发起结算).")
class ClearingRunStartInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    kind: ClearingKind = strawberry.field(description="Month, quarter or year (类型).")
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    pool_scope: PoolScope = strawberry.field(description="Local or out of area (范围).")
    year: int = strawberry.field(description="Fund year (年度).")
    period: int = strawberry.field(description="Month 1–12, quarter 1–4, or 1 for the year (期次).")


@strawberry.type(description="The run that was started, or the one that stands in the way, and the typed refusal.")
class ClearingRunStartPayload:
    run: ClearingRun | None = strawberry.field(description="The started run (结算).")
    already_running: ClearingRun | None = strawberry.field(
        description="The live run of the same period, when there is one (已有结算)."
    )
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.input(description="Take a run one step on (结算流转).")
class ClearingRunStepInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    run: strawberry.ID = strawberry.field(description="The run (结算).")


@strawberry.type(description="The run, or what stood in the way.")
class ClearingRunPayload:
    run: ClearingRun | None = strawberry.field(description="The run (结算).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


StepTaken = Callable[[Platform, Subject, Request, str], Awaitable[Answer]]


async def _step(info: Info, input: ClearingRunStepInput, operation: str, step: StepTaken) -> ClearingRunPayload:
    context = info.context

    async def act() -> Answer:
        key = key_of(str(input.run), "ClearingRun", "run")
        request = context.request(operation, input.idempotency_key, {"run": key})
        return await step(context.platform, context.subject, request, key)

    answer, errors = await answered(act())
    return ClearingRunPayload(run=await run_in_scope(info, str(answer["id"])) if answer else None, user_errors=errors)


@strawberry.type
class ClearingMutation:
    @strawberry.mutation(
        description="Start a run (发起结算). Of two starts for one period one makes a run, the other gets a typed refusal; "
        "the same key gives the same run. Role: city_settlement_clerk."
    )
    async def clearing_run_start(self, info: Info, input: ClearingRunStartInput) -> ClearingRunStartPayload:
        context = info.context
        order = runs.StartRun(
            kind=runs.RunKind(input.kind.value),
            insurance=input.insurance.value,
            pool_scope=input.pool_scope.value,
            year=input.year,
            period=input.period,
        )
        request = context.request(
            "clearingRunStart",
            input.idempotency_key,
            {
                "kind": order.kind.value,
                "insurance": order.insurance,
                "pool_scope": order.pool_scope,
                "year": order.year,
                "period": order.period,
            },
        )
        live: str | None = None

        async def act() -> Answer:
            nonlocal live
            try:
                return await runs.start_run(context.platform, context.subject, request, order)
            except runs.AlreadyRunning as refusal:
                live = str(refusal.run_id)
                raise

        answer, errors = await answered(act())
        return ClearingRunStartPayload(
            run=await run_in_scope(info, str(answer["id"])) if answer else None,
            already_running=await run_in_scope(info, live) if live else None,
            user_errors=errors,
        )

    @strawberry.mutation(
        description="Approve a run, as another person than who started it: a month or quarter when it is computed, a year when every "
        "statement is answered (审批结算). Role: city_settlement_approver."
    )
    async def clearing_run_approve(self, info: Info, input: ClearingRunStepInput) -> ClearingRunPayload:
        return await _step(info, input, "clearingRunApprove", runs.approve_run)

    @strawberry.mutation(
        description="Publish an approved run; it never changes again (公布结算). "
        "Roles: city_settlement_approver, city_settlement_clerk."
    )
    async def clearing_run_publish(self, info: Info, input: ClearingRunStepInput) -> ClearingRunPayload:
        return await _step(info, input, "clearingRunPublish", runs.publish_run)

    @strawberry.mutation(
        description="Void a run that is not published (作废结算). Roles: city_settlement_approver, city_settlement_clerk."
    )
    async def clearing_run_void(self, info: Info, input: ClearingRunStepInput) -> ClearingRunPayload:
        return await _step(info, input, "clearingRunVoid", runs.void_run)
