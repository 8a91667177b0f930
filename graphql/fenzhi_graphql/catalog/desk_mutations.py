"""Mutations of the catalog desk (目录维护): taking an edition back, opinions and answers, previews."""

from __future__ import annotations

import strawberry

from fenzhi.services.acts import Answer
from fenzhi.services.catalog import opinions, preview, withdrawal
from fenzhi_graphql.catalog.desk_types import OpinionOutcome
from fenzhi_graphql.catalog.mutations import (
    CatalogEditionPayload,
    CatalogJobPayload,
    edition_id_of,
    edition_payload,
    job_payload,
)
from fenzhi_graphql.context import Info
from fenzhi_graphql.outcomes import ERRORS, UserError, answered

_KEY = "A fresh random key; the same when retrying (幂等键)."


@strawberry.input(description="Propose to take a published edition back (提议撤回目录).")
class CatalogEditionWithdrawProposeInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    edition: strawberry.ID = strawberry.field(description="A published edition (已发布的目录).")
    reason: str = strawberry.field(description="Why (理由).")
    document: str = strawberry.field(description="Document (文件依据).")


@strawberry.input(description="Take an edition back as a second person (审批撤回).")
class CatalogEditionWithdrawApproveInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    edition: strawberry.ID = strawberry.field(description="An edition whose withdrawal is proposed (待撤回的目录).")


@strawberry.input(description="Say what your hospital thinks of a group (提出病种意见).")
class GroupOpinionGiveInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    edition: strawberry.ID = strawberry.field(description="A published edition (已发布的目录).")
    group_code: str = strawberry.field(description="Group code (病种编码).")
    opinion: str = strawberry.field(description="1 to 2,000 characters, no patient's name (意见, 不得含患者信息).")
    cases: int | None = strawberry.field(default=None, description="Own cases it rests on (依据例数).")


@strawberry.input(description="Answer every opinion on a group with the next edition (答复病种意见).")
class GroupOpinionsAnswerInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    edition: strawberry.ID = strawberry.field(description="The edition the opinions are about (意见所指目录).")
    group_code: str = strawberry.field(description="Group code (病种编码).")
    next_edition_code: str = strawberry.field(description="Code of the draft the answer goes with (下一版编码).")
    outcome: OpinionOutcome = strawberry.field(description="What became of them (处理结果).")
    answer: str = strawberry.field(description="1 to 2,000 characters (答复).")


@strawberry.input(description="Preview an edition before publishing (影响预演).")
class CatalogEditionPreviewInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    edition: strawberry.ID = strawberry.field(description="A draft or an edition in review (未发布的目录).")
    year: int = strawberry.field(description="Year of the history (历史年份).")


@strawberry.type(description="The opinion was kept, or what stood in the way.")
class GroupOpinionPayload:
    given: bool = strawberry.field(description="Whether it was kept (是否登记).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type
class CatalogDeskMutation:
    @strawberry.mutation(
        description="Propose to take a published edition back (提议撤回目录). Role: province_catalog_editor."
    )
    async def catalog_edition_withdraw_propose(
        self, info: Info, input: CatalogEditionWithdrawProposeInput
    ) -> CatalogEditionPayload:
        context = info.context

        async def run() -> Answer:
            edition_id = edition_id_of(input.edition)
            order: dict[str, object] = {
                "edition": str(edition_id),
                "reason": input.reason,
                "document": input.document,
            }
            request = context.request("catalogEditionWithdrawPropose", input.idempotency_key, order)
            return await withdrawal.propose_withdrawal(
                context.platform, context.subject, request, edition_id, input.reason, input.document
            )

        answer, errors = await answered(run())
        return await edition_payload(context, answer, errors)

    @strawberry.mutation(
        description="Take an edition back as a second person; the one before it speaks again (审批撤回). "
        "Role: province_catalog_approver."
    )
    async def catalog_edition_withdraw_approve(
        self, info: Info, input: CatalogEditionWithdrawApproveInput
    ) -> CatalogEditionPayload:
        context = info.context

        async def run() -> Answer:
            edition_id = edition_id_of(input.edition)
            request = context.request(
                "catalogEditionWithdrawApprove", input.idempotency_key, {"edition": str(edition_id)}
            )
            return await withdrawal.approve_withdrawal(context.platform, context.subject, request, edition_id)

        answer, errors = await answered(run())
        return await edition_payload(context, answer, errors)

    @strawberry.mutation(
        description="Say what your hospital thinks of a group of a published edition (提出病种意见). Role: hospital_submitter."
    )
    async def group_opinion_give(self, info: Info, input: GroupOpinionGiveInput) -> GroupOpinionPayload:
        context = info.context

        async def run() -> Answer:
            edition_id = edition_id_of(input.edition)
            order: dict[str, object] = {
                "edition": str(edition_id),
                "group_code": input.group_code,
                "opinion": input.opinion,
                "cases": input.cases,
            }
            request = context.request("groupOpinionGive", input.idempotency_key, order)
            return await opinions.give_opinion(
                context.platform, context.subject, request, edition_id, input.group_code, input.opinion, input.cases
            )

        answer, errors = await answered(run())
        return GroupOpinionPayload(given=answer is not None, user_errors=errors)

    @strawberry.mutation(
        description="Answer every opinion on a group with the next edition (答复病种意见). Role: province_catalog_editor."
    )
    async def group_opinions_answer(self, info: Info, input: GroupOpinionsAnswerInput) -> CatalogEditionPayload:
        context = info.context

        async def run() -> Answer:
            edition_id = edition_id_of(input.edition)
            outcome = str(input.outcome.value)
            order: dict[str, object] = {
                "edition": str(edition_id),
                "group_code": input.group_code,
                "next": input.next_edition_code,
                "outcome": outcome,
                "answer": input.answer,
            }
            request = context.request("groupOpinionsAnswer", input.idempotency_key, order)
            return await opinions.answer_opinions(
                context.platform,
                context.subject,
                request,
                edition_id,
                input.group_code,
                input.next_edition_code,
                outcome,
                input.answer,
            )

        answer, errors = await answered(run())
        return await edition_payload(context, answer, errors)

    @strawberry.mutation(
        description="Work a year's cases under a draft and under the edition in force, as a job (影响预演). "
        "Role: province_catalog_editor."
    )
    async def catalog_edition_preview(self, info: Info, input: CatalogEditionPreviewInput) -> CatalogJobPayload:
        context = info.context

        async def run() -> Answer:
            edition_id = edition_id_of(input.edition)
            order: dict[str, object] = {"edition": str(edition_id), "year": input.year}
            request = context.request("catalogEditionPreview", input.idempotency_key, order)
            return await preview.start_preview(context.platform, context.subject, request, edition_id, input.year)

        answer, errors = await answered(run())
        return await job_payload(info, answer, errors)
