"""Simulated rule changes in GraphQL (质控规则模拟)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import strawberry

from fenzhi.services.submission import qc_simulation
from fenzhi_graphql.context import Info
from fenzhi_graphql.jobs.types import Job, JobState, job_in_scope, uuid_of
from fenzhi_graphql.outcomes import ERRORS, UserError, answered
from fenzhi_graphql.paging import Connection, connection, global_id, keys_of, page_size
from fenzhi_graphql.scalars import ExactDecimal, Fen

_KEY = "A parameter of submission, such as submission.optional_checks (参数)."
_VALUE = "Its value as policyPropose takes it; null to do without (取值)."


@strawberry.input(description="One parameter as it would be (拟变更的参数).")
class QcChangeInput:
    key: str = strawberry.field(description=_KEY)
    value: str | None = strawberry.field(default=None, description=_VALUE)


@strawberry.input(description="Try a rule change on a month (模拟质控规则变更).")
class QcSimulateInput:
    idempotency_key: str = strawberry.field(description="A fresh random key; the same when retrying (幂等键).")
    changes: list[QcChangeInput] = strawberry.field(description="What would be otherwise, 1 to 20 parameters (变更).")
    settlement_month: int | None = strawberry.field(
        default=None, description="yyyymm; the last calendar month where none is named (结算年月)."
    )


@strawberry.type(description="The job that tries it, or what stood in the way.")
class QcSimulatePayload:
    job: Job | None = strawberry.field(description="The job (作业).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type(description="One parameter as it was tried (模拟的参数).")
class QcChange:
    key: str = strawberry.field(description=_KEY)
    value: str | None = strawberry.field(description=_VALUE)


@strawberry.type(description="What would change for one hospital by one code (模拟结果).")
class QcSimulationLine:
    hospital_code: str = strawberry.field(description="Institution code (机构编码).")
    rule: str = strawberry.field(description="Rule, such as Q09 (规则).")
    code: str = strawberry.field(description="Code of the finding (代码).")
    newly_failing: int = strawberry.field(
        description="Lists that pass today and would fail, by the error that decides (新不通过份数)."
    )
    newly_passing: int = strawberry.field(
        description="Lists that fail today and would pass, by the error that decided (新通过份数)."
    )
    newly_warned: int = strawberry.field(description="Lists with a warning they do not have today (新提示份数).")
    points: ExactDecimal = strawberry.field(description="Points of the newly failing lists (涉及分值).")
    total_cost_fen: Fen = strawberry.field(
        description="The same at the budget point value, in fen of total cost (涉及医疗总费用, 分)."
    )
    basic_fund_fen: Fen = strawberry.field(
        description="The same at the budget point value, in fen of the basic fund (涉及统筹基金, 分)."
    )
    unpriced: int = strawberry.field(description="Newly failing lists that cannot be priced (无法定价份数).")


@strawberry.type(description="A rule change tried on a month; nothing of it is in force (规则模拟).")
class QcSimulation:
    job_id: strawberry.ID = strawberry.field(description="Its job (作业).")
    state: JobState = strawberry.field(description="State of the job; the lines are there once it is done (状态).")
    settlement_month: int = strawberry.field(description="yyyymm (结算年月).")
    changes: list[QcChange] = strawberry.field(description="What would be otherwise (变更).")
    lists: int = strawberry.field(description="Lists judged by both (判定份数).")
    lines: list[QcSimulationLine] = strawberry.field(description="By hospital, rule and code (结果).")
    asked_at: datetime = strawberry.field(description="When it was asked for (申请时点).")

    @staticmethod
    def of(view: qc_simulation.SimulationView) -> QcSimulation:
        return QcSimulation(
            job_id=global_id("Job", view.job_id),
            state=JobState(view.state),
            settlement_month=view.settlement_month,
            changes=[QcChange(key=key, value=value) for key, value in view.changes],
            lists=view.lists,
            lines=[
                QcSimulationLine(
                    hospital_code=one.hospital_code,
                    rule=one.rule,
                    code=one.code,
                    newly_failing=one.newly_failing,
                    newly_passing=one.newly_passing,
                    newly_warned=one.newly_warned,
                    points=ExactDecimal(Decimal(one.points)),
                    total_cost_fen=Fen(one.total_cost_fen),
                    basic_fund_fen=Fen(one.basic_fund_fen),
                    unpriced=one.unpriced,
                )
                for one in view.lines
            ],
            asked_at=view.asked_at,
        )


@strawberry.type
class QcSimulationQuery:
    @strawberry.field(
        description="Rule changes your area tried, the newest first (规则模拟列表). "
        "Role: city_settlement_clerk, city_settlement_approver."
    )
    async def qc_simulations(self, info: Info, first: int, after: str | None = None) -> Connection[QcSimulation]:
        context = info.context
        size = page_size(first)
        keys = keys_of(context, "qcSimulations", after)
        last = uuid_of(str(keys[0])) if keys else None
        views = await qc_simulation.simulations(context.platform, context.subject, last, size + 1)
        return connection(context, "qcSimulations", views, size, QcSimulation.of, lambda view: [str(view.job_id)])


@strawberry.type
class QcSimulationMutation:
    @strawberry.mutation(
        description="Try a rule change on a month: which lists would newly fail or pass, and what that endangers; see qcSimulations. "
        "Nothing is put in force, so nobody else need approve (模拟质控规则变更). Role: city_settlement_clerk, city_settlement_approver."
    )
    async def qc_simulate(self, info: Info, input: QcSimulateInput) -> QcSimulatePayload:
        context = info.context
        changes = [(one.key, one.value) for one in input.changes]
        order: dict[str, object] = {"month": input.settlement_month, "changes": [list(one) for one in changes]}
        request = context.request("qcSimulate", input.idempotency_key, order)
        made = qc_simulation.want_simulation(
            context.platform, context.subject, request, input.settlement_month, changes
        )
        answer, errors = await answered(made)
        job = await job_in_scope(info, uuid_of(str(answer["id"]))) if answer else None
        return QcSimulatePayload(job=job, user_errors=errors)
