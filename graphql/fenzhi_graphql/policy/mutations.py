"""Policy mutations (政策参数): propose, approve, reject."""

from __future__ import annotations

import uuid
from datetime import date

import strawberry

from fenzhi.services.acts import Answer, as_id
from fenzhi.services.policy import proposals
from fenzhi_graphql.context import Context, Info
from fenzhi_graphql.outcomes import ERRORS, UserError, answered
from fenzhi_graphql.paging import key_of
from fenzhi_graphql.policy.types import PolicyEntry


@strawberry.input(description="One value of a proposal (一项取值).")
class PolicyValueInput:
    key: str = strawberry.field(description="Key of the parameter (键).")
    value: str | None = strawberry.field(
        default=None,
        description="The value as text; lists, maps and tables as JSON text with text leaves; null withdraws (取值).",
    )
    effective_from: date = strawberry.field(description="In force from this day (施行日期).")
    insurance: str = strawberry.field(default="", description="employee, resident, or blank for all (险种).")


@strawberry.input(description="Propose the values that one document sets (提议政策参数).")
class PolicyProposeInput:
    idempotency_key: str = strawberry.field(description="A fresh random key; the same when retrying (幂等键).")
    values: list[PolicyValueInput] = strawberry.field(description="1 to 200 values (取值).")
    document: str = strawberry.field(description="Title and number of the document (文件依据).")
    issued_on: date = strawberry.field(description="Day of issue (发文日期).")
    is_constructed: bool = strawberry.field(
        default=False, description="Whether the document was made up for a demonstration (构造文件)."
    )


@strawberry.input(description="Approve policy entries, all or none (审批政策参数).")
class PolicyApproveInput:
    idempotency_key: str = strawberry.field(description="A fresh random key; the same when retrying (幂等键).")
    ids: list[strawberry.ID] = strawberry.field(description="Entries to put in force (条目标识).")


@strawberry.input(description="Reject policy entries, all or none (驳回政策参数).")
class PolicyRejectInput:
    idempotency_key: str = strawberry.field(description="A fresh random key; the same when retrying (幂等键).")
    ids: list[strawberry.ID] = strawberry.field(description="Entries to reject (条目标识).")


@strawberry.type(description="The entries, or what stood in the way.")
class PolicyPayload:
    entries: list[PolicyEntry] = strawberry.field(
        description="The entries concerned, in the order of the input (条目)."
    )
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


async def _payload(context: Context, answer: Answer | None, errors: list[UserError]) -> PolicyPayload:
    if answer is None:
        return PolicyPayload(entries=[], user_errors=errors)
    ids = [uuid.UUID(one) for one in answer["ids"]]
    views = await proposals.entries(context.platform, context.subject, state=None, after=None, limit=len(ids), ids=ids)
    by_id = {view.policy_id: view for view in views}
    return PolicyPayload(entries=[PolicyEntry.of(by_id[one]) for one in ids if one in by_id], user_errors=errors)


async def _decide(context: Context, operation: str, key: str, ids: list[strawberry.ID], approve: bool) -> PolicyPayload:
    async def act() -> Answer:
        wanted = [as_id(key_of(one, "PolicyEntry", f"ids.{i}"), f"ids.{i}") for i, one in enumerate(ids)]
        request = context.request(operation, key, {"ids": [str(one) for one in wanted]})
        return await proposals.decide(context.platform, context.subject, request, wanted, approve=approve)

    answer, errors = await answered(act())
    return await _payload(context, answer, errors)


@strawberry.type
class PolicyMutation:
    @strawberry.mutation(
        description="Propose values of your own layer (提议政策参数). "
        "Roles: province_catalog_editor for the province, city_settlement_clerk for the area."
    )
    async def policy_propose(self, info: Info, input: PolicyProposeInput) -> PolicyPayload:
        context = info.context
        proposal = proposals.Proposal(
            values=tuple(
                proposals.ProposedValue(one.key, one.value, one.effective_from, one.insurance) for one in input.values
            ),
            document=input.document,
            issued_on=input.issued_on,
            is_constructed=input.is_constructed,
        )
        request = context.request(
            "policyPropose",
            input.idempotency_key,
            {
                "values": [[v.key, v.value, v.effective_from.isoformat(), v.insurance] for v in proposal.values],
                "document": proposal.document,
                "issued_on": proposal.issued_on.isoformat(),
                "is_constructed": proposal.is_constructed,
            },
        )
        answer, errors = await answered(proposals.propose(context.platform, context.subject, request, proposal))
        return await _payload(context, answer, errors)

    @strawberry.mutation(
        description="Put proposed values in force as a second person (审批政策参数). "
        "Roles: province_catalog_approver, city_settlement_approver."
    )
    async def policy_approve(self, info: Info, input: PolicyApproveInput) -> PolicyPayload:
        return await _decide(info.context, "policyApprove", input.idempotency_key, input.ids, True)

    @strawberry.mutation(
        description="Reject proposed values as a second person (驳回政策参数). "
        "Roles: province_catalog_approver, city_settlement_approver."
    )
    async def policy_reject(self, info: Info, input: PolicyRejectInput) -> PolicyPayload:
        return await _decide(info.context, "policyReject", input.idempotency_key, input.ids, False)
