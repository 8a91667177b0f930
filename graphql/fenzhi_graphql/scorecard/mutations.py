"""Scorecard mutations (评价): drafted by a worker, approved by a second person, published."""

from __future__ import annotations

import strawberry

from fenzhi.services.acts import Answer
from fenzhi.services.scorecard import draft_scorecards
from fenzhi_graphql.context import Info
from fenzhi_graphql.jobs.types import Job, job_in_scope, uuid_of
from fenzhi_graphql.outcomes import ERRORS, UserError, answered


@strawberry.input(description="A quarter of your pooling area (季度).")
class ScorecardsQuarterInput:
    idempotency_key: str = strawberry.field(description="A fresh random key; the same when retrying (幂等键).")
    year: int = strawberry.field(description="Year (年度).")
    quarter: int = strawberry.field(description="Quarter, 1 to 4 (季度).")


@strawberry.type(description="The drafting job, or what stood in the way.")
class ScorecardsDraftPayload:
    job: Job | None = strawberry.field(description="The job that drafts (作业).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type(description="How many scorecards moved, or what stood in the way.")
class ScorecardsPayload:
    moved: int = strawberry.field(description="Scorecards that took the step (处理份数).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


def _payload(answer: Answer | None, errors: list[UserError]) -> ScorecardsPayload:
    return ScorecardsPayload(moved=int(answer["moved"]) if answer else 0, user_errors=errors)


@strawberry.type
class ScorecardMutation:
    @strawberry.mutation(
        description="Have the scorecards of a published quarter drafted (起草). Role: city_settlement_clerk."
    )
    async def scorecards_draft(self, info: Info, input: ScorecardsQuarterInput) -> ScorecardsDraftPayload:
        context = info.context
        request = context.request(
            "scorecardsDraft", input.idempotency_key, {"year": input.year, "quarter": input.quarter}
        )
        answer, errors = await answered(
            draft_scorecards.want_drafts(context.platform, context.subject, request, input.year, input.quarter)
        )
        job = await job_in_scope(info, uuid_of(str(answer["id"]))) if answer else None
        return ScorecardsDraftPayload(job=job, user_errors=errors)

    @strawberry.mutation(
        description="Approve a quarter's drafts as a second person (审批). Role: city_settlement_approver."
    )
    async def scorecards_approve(self, info: Info, input: ScorecardsQuarterInput) -> ScorecardsPayload:
        context = info.context
        request = context.request(
            "scorecardsApprove", input.idempotency_key, {"year": input.year, "quarter": input.quarter}
        )
        act = draft_scorecards.approve(context.platform, context.subject, request, input.year, input.quarter)
        return _payload(*await answered(act))

    @strawberry.mutation(description="Publish a quarter's approved scorecards (公布). Role: city_settlement_approver.")
    async def scorecards_publish(self, info: Info, input: ScorecardsQuarterInput) -> ScorecardsPayload:
        context = info.context
        request = context.request(
            "scorecardsPublish", input.idempotency_key, {"year": input.year, "quarter": input.quarter}
        )
        act = draft_scorecards.publish(context.platform, context.subject, request, input.year, input.quarter)
        return _payload(*await answered(act))

    @strawberry.mutation(description="Withdraw a quarter's unpublished scorecards (撤回). Role: city_settlement_clerk.")
    async def scorecards_withdraw(self, info: Info, input: ScorecardsQuarterInput) -> ScorecardsPayload:
        context = info.context
        request = context.request(
            "scorecardsWithdraw", input.idempotency_key, {"year": input.year, "quarter": input.quarter}
        )
        act = draft_scorecards.withdraw(context.platform, context.subject, request, input.year, input.quarter)
        return _payload(*await answered(act))
