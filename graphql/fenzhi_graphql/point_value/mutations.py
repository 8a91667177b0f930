"""Point value mutations (点值): compute and approve a budget point value."""

from __future__ import annotations

import strawberry

from fenzhi.services.acts import Answer, as_id
from fenzhi.services.point_value import bargained, budget, lookups
from fenzhi_graphql.context import Info
from fenzhi_graphql.fund.types import Insurance, PoolScope
from fenzhi_graphql.jobs.types import Job, job_in_scope, uuid_of
from fenzhi_graphql.outcomes import ERRORS, UserError, answered
from fenzhi_graphql.paging import key_of
from fenzhi_graphql.point_value.types import PointValue
from fenzhi_graphql.scalars import ExactDecimal

_KEY = "A fresh random key; the same when retrying (幂等键)."


@strawberry.input(description="Compute the budget point value of a pool under an edition (测算预算点值).")
class BudgetPointValueComputeInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    pool_scope: PoolScope = strawberry.field(description="Local or out of area (范围).")
    year: int = strawberry.field(description="Fund year it prices; the three years before are its history (年度).")
    edition: strawberry.ID = strawberry.field(
        description="The published edition the history is regrouped under (目录版本)."
    )


@strawberry.type(description="The job that computes it, or what stood in the way.")
class BudgetPointValueComputePayload:
    job: Job | None = strawberry.field(
        description="The job; the draft appears in `pointValues` when it is done (作业)."
    )
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.input(description="Approve a computed budget point value, as another person (批准预算点值).")
class BudgetPointValueApproveInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    point_value: strawberry.ID = strawberry.field(description="The draft (点值).")


@strawberry.type(description="The point value, or what stood in the way.")
class PointValuePayload:
    point_value: PointValue | None = strawberry.field(description="The point value (点值).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.input(description="Enter the point value the parties of a pool settled (录入协商点值).")
class BargainedPointValueProposeInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    pool_scope: PoolScope = strawberry.field(description="Local or out of area (范围).")
    year: int = strawberry.field(description="Fund year (年度).")
    value: ExactDecimal = strawberry.field(
        description="Yuan of total cost per point, at most 6 decimals (协商点值，元/分)."
    )
    document: str = strawberry.field(description="Minutes or agreement (文件依据).")
    higher_approval: str = strawberry.field(
        default="", description="Document of the higher level that allows a value beyond the space (上级批准文件)."
    )


@strawberry.type
class PointValueMutation:
    @strawberry.mutation(
        description="Enter the point value the parties of a pool settled (录入协商点值); `budgetPointValueApprove` approves it. "
        "Role: city_settlement_clerk."
    )
    async def bargained_point_value_propose(
        self, info: Info, input: BargainedPointValueProposeInput
    ) -> PointValuePayload:
        context = info.context
        pool = (input.insurance.value, input.pool_scope.value, input.year)
        request = context.request(
            "bargainedPointValuePropose",
            input.idempotency_key,
            {
                "pool": list(pool),
                "value": str(input.value),
                "document": input.document,
                "higher_approval": input.higher_approval,
            },
        )
        answer, errors = await answered(
            bargained.propose_bargained(
                context.platform,
                context.subject,
                request,
                pool,
                input.value,
                input.document,
                input.higher_approval,
            )
        )
        view = None
        if answer:
            key = as_id(str(answer["id"]), "pointValue")
            view = await lookups.point_value_by_id(context.platform, context.subject, key)
        return PointValuePayload(point_value=PointValue.of(view) if view else None, user_errors=errors)

    @strawberry.mutation(description="Have a budget point value computed (测算预算点值). Role: city_settlement_clerk.")
    async def budget_point_value_compute(
        self, info: Info, input: BudgetPointValueComputeInput
    ) -> BudgetPointValueComputePayload:
        context = info.context

        async def act() -> Answer:
            order = budget.ComputeBudgetPointValue(
                insurance=input.insurance.value,
                pool_scope=input.pool_scope.value,
                year=input.year,
                edition_id=key_of(str(input.edition), "CatalogEdition", "edition"),
            )
            request = context.request(
                "budgetPointValueCompute",
                input.idempotency_key,
                {
                    "insurance": order.insurance,
                    "pool_scope": order.pool_scope,
                    "year": order.year,
                    "edition": order.edition_id,
                },
            )
            return await budget.want_budget_point_value(context.platform, context.subject, request, order)

        answer, errors = await answered(act())
        job = await job_in_scope(info, uuid_of(str(answer["id"]))) if answer else None
        return BudgetPointValueComputePayload(job=job, user_errors=errors)

    @strawberry.mutation(
        description="Approve a budget point value, as another person than who had it computed (批准预算点值). "
        "Role: city_settlement_approver."
    )
    async def budget_point_value_approve(self, info: Info, input: BudgetPointValueApproveInput) -> PointValuePayload:
        context = info.context

        async def act() -> Answer:
            key = key_of(str(input.point_value), "PointValue", "pointValue")
            request = context.request("budgetPointValueApprove", input.idempotency_key, {"point_value": key})
            return await budget.approve_point_value(context.platform, context.subject, request, key)

        answer, errors = await answered(act())
        view = None
        if answer:
            key = as_id(str(answer["id"]), "pointValue")
            view = await lookups.point_value_by_id(context.platform, context.subject, key)
        return PointValuePayload(point_value=PointValue.of(view) if view else None, user_errors=errors)
