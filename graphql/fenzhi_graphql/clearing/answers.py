"""The answer to an annual statement (年度结算单的确认与异议) as the API shows it, and the acts on it."""

from __future__ import annotations

import strawberry

from fenzhi.services.acts import Answer
from fenzhi.services.clearing import lookups, statement_acts
from fenzhi.services.clearing.statement_acts import Step
from fenzhi_graphql.clearing.runs import ClearingRun, run_in_scope
from fenzhi_graphql.clearing.statements import HospitalStatement
from fenzhi_graphql.context import Info
from fenzhi_graphql.outcomes import ERRORS, UserError, answered
from fenzhi_graphql.paging import key_of

_KEY = "A fresh random key; the same when retrying (幂等键)."


@strawberry.input(description="Send a computed year to its hospitals (发出年度结算单).")
class ClearingRunIssueInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    run: strawberry.ID = strawberry.field(description="The computed annual run (年度清算).")


@strawberry.type(description="The run, or what stood in the way.")
class ClearingRunIssuePayload:
    run: ClearingRun | None = strawberry.field(description="The run (结算).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.input(description="One act on one annual statement (结算单操作).")
class StatementActInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    statement: strawberry.ID = strawberry.field(description="The statement (结算单).")
    reason: str = strawberry.field(default="", description="Why; needed to dispute, uphold and reject (理由).")


@strawberry.type(description="The statement, or what stood in the way.")
class StatementActPayload:
    statement: HospitalStatement | None = strawberry.field(description="The statement (结算单).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


async def _act(info: Info, input: StatementActInput, operation: str, step: Step) -> StatementActPayload:
    context = info.context

    async def act() -> Answer:
        key = key_of(str(input.statement), "HospitalStatement", "statement")
        request = context.request(operation, input.idempotency_key, {"statement": key, "reason": input.reason})
        return await step(context.platform, context.subject, request, key, input.reason)

    answer, errors = await answered(act())
    view = None
    if answer:
        view = await lookups.statement(context.platform, context.subject, str(answer["id"]))
    return StatementActPayload(statement=HospitalStatement.of(view) if view else None, user_errors=errors)


@strawberry.type
class StatementMutation:
    @strawberry.mutation(
        description="Send the statements of a computed year to their hospitals, who see and answer them from now on "
        "(发出年度结算单). Role: city_settlement_clerk."
    )
    async def clearing_run_issue(self, info: Info, input: ClearingRunIssueInput) -> ClearingRunIssuePayload:
        context = info.context

        async def act() -> Answer:
            key = key_of(str(input.run), "ClearingRun", "run")
            request = context.request("clearingRunIssue", input.idempotency_key, {"run": key})
            return await statement_acts.issue_run(context.platform, context.subject, request, key)

        answer, errors = await answered(act())
        return ClearingRunIssuePayload(
            run=await run_in_scope(info, str(answer["id"])) if answer else None, user_errors=errors
        )

    @strawberry.mutation(description="Confirm your annual statement (确认结算单). Role: hospital_submitter.")
    async def statement_confirm(self, info: Info, input: StatementActInput) -> StatementActPayload:
        return await _act(info, input, "statementConfirm", statement_acts.confirm)

    @strawberry.mutation(
        description="Dispute your annual statement, with the reason (提出异议). Role: hospital_submitter."
    )
    async def statement_dispute(self, info: Info, input: StatementActInput) -> StatementActPayload:
        return await _act(info, input, "statementDispute", statement_acts.dispute)

    @strawberry.mutation(description="Withdraw your dispute (撤回异议). Role: hospital_submitter.")
    async def statement_dispute_withdraw(self, info: Info, input: StatementActInput) -> StatementActPayload:
        return await _act(info, input, "statementDisputeWithdraw", statement_acts.withdraw)

    @strawberry.mutation(
        description="Follow a dispute: the run is voided, so that the year is put right and cleared anew (异议成立). "
        "Role: city_settlement_clerk."
    )
    async def statement_dispute_uphold(self, info: Info, input: StatementActInput) -> StatementActPayload:
        return await _act(info, input, "statementDisputeUphold", statement_acts.uphold)

    @strawberry.mutation(
        description="Do not follow a dispute, with the reason (异议不成立). Role: city_settlement_clerk."
    )
    async def statement_dispute_reject(self, info: Info, input: StatementActInput) -> StatementActPayload:
        return await _act(info, input, "statementDisputeReject", statement_acts.reject)

    @strawberry.mutation(
        description="Take a statement that nobody answered in time as confirmed (逾期视为确认). Role: city_settlement_clerk."
    )
    async def statement_lapse(self, info: Info, input: StatementActInput) -> StatementActPayload:
        return await _act(info, input, "statementLapse", statement_acts.lapse)

    @strawberry.mutation(
        description="Lock a posted statement once it is settled (锁定结算单). Role: city_settlement_approver."
    )
    async def statement_lock(self, info: Info, input: StatementActInput) -> StatementActPayload:
        return await _act(info, input, "statementLock", statement_acts.lock)
