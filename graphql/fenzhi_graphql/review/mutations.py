"""Mutations of special-case review (特例单议办理)."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import date

import strawberry

from fenzhi.services.acts import Answer
from fenzhi.services.review import applications, cycles, experts, hearing, outcomes
from fenzhi_graphql.context import Info
from fenzhi_graphql.outcomes import ERRORS, UserError, answered
from fenzhi_graphql.paging import key_of
from fenzhi_graphql.review.types import (
    ReviewCycle,
    ReviewExpert,
    SpecialCase,
    SpecialCaseReason,
    VoteChoice,
    expert_in_scope,
    special_case_in_scope,
)
from fenzhi_graphql.scalars import ExactDecimal, Fen

_KEY = "A fresh random key; the same when retrying (幂等键)."
_CASE = "The application (特例单议申请)."


@strawberry.input(description="A piece of material (材料).")
class CaseEvidenceInput:
    title: str = strawberry.field(description="What it is (材料名称).")
    sha256: str = strawberry.field(description="SHA-256 of its bytes, 64 lower-case hex digits (摘要).")


@strawberry.input(description="Apply for special-case review (申请特例单议).")
class SpecialCaseApplyInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    inpatient_case: strawberry.ID = strawberry.field(description="The case (病例).")
    specialty: str = strawberry.field(description="Specialty of the experts to draw (专业).")
    reasons: list[SpecialCaseReason] = strawberry.field(description="Reasons, at least one (申请理由).")
    evidence: list[CaseEvidenceInput] = strawberry.field(description="Material with digests, 1 to 20 (材料).")
    statement: str = strawberry.field(description="The hospital's word, without personal data (申请说明).")


@strawberry.input(description="Enter an expert of the area's list (录入专家).")
class ReviewExpertEnterInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    code: str = strawberry.field(description="Code of the expert, not a name (专家编码).")
    own_hospital: str = strawberry.field(description="Own institution's code, never judged (所在机构编码).")
    specialties: list[str] = strawberry.field(description="Specialties, 1 to 50 (专业).")
    recused_from: list[str] = strawberry.field(description="Codes of other institutions never judged (回避机构编码).")
    document: str = strawberry.field(description="Document of the appointment (文件依据).")


@strawberry.input(description="Take an expert off the list (专家出库).")
class ReviewExpertRetireInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    expert: strawberry.ID = strawberry.field(description="The expert (专家).")


@strawberry.input(description="Close a cycle of review (关闭评审周期).")
class ReviewCycleCloseInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    year: int = strawberry.field(description="Year (年度).")
    cycle: int = strawberry.field(description="Cycle: a month or a quarter by policy (周期).")


@strawberry.input(description="One step of one application (特例单议操作).")
class SpecialCaseStepInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    special_case: strawberry.ID = strawberry.field(description=_CASE)


@strawberry.input(description="Appeal against a refusal (申诉).")
class SpecialCaseAppealInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    special_case: strawberry.ID = strawberry.field(description=_CASE)
    reason: str = strawberry.field(description="Why (申诉理由).")


@strawberry.input(description="Replace a member of the panel (回避重抽).")
class SpecialCaseRecuseInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    special_case: strawberry.ID = strawberry.field(description=_CASE)
    expert_code: str = strawberry.field(description="Code of the member who leaves (回避专家编码).")
    reason: str = strawberry.field(description="Why (回避理由).")


@strawberry.input(description="Record a vote from its signed sheet (登记表决).")
class SpecialCaseVoteInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    special_case: strawberry.ID = strawberry.field(description=_CASE)
    expert_code: str = strawberry.field(description="Code of the expert (专家编码).")
    step: int = strawberry.field(description="1: whether it is special; 2: how it is paid (步骤).")
    choice: VoteChoice = strawberry.field(description="The choice (表决).")
    sheet_sha256: str = strawberry.field(description="SHA-256 of the signed sheet (表决票摘要).")


@strawberry.input(description="Value a case as the panel voted (拟定特例单议结果).")
class SpecialCaseValueInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    special_case: strawberry.ID = strawberry.field(description=_CASE)
    award_fen: Fen | None = strawberry.field(
        default=None,
        description="For item: yuan of cost in score, or the fund's payment off pool, in fen (核定金额，分).",
    )
    award_points: ExactDecimal | None = strawberry.field(
        default=None, description="For adjusted: the points the case has instead of its own (核定分值)."
    )
    document: str = strawberry.field(description="Document of the outcome (文件依据).")
    reason: str = strawberry.field(description="Why (理由).")


@strawberry.input(description="Record that an off-pool award was paid (登记池外拨付).")
class SpecialCasePayInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    special_case: strawberry.ID = strawberry.field(description=_CASE)
    voucher: str = strawberry.field(description="Voucher number (凭证号).")
    paid_on: date = strawberry.field(description="Day of payment, not in the future (拨付日期).")


@strawberry.type(description="The application, or what stood in the way.")
class SpecialCasePayload:
    special_case: SpecialCase | None = strawberry.field(description=_CASE)
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type(description="The expert, or what stood in the way.")
class ReviewExpertPayload:
    expert: ReviewExpert | None = strawberry.field(description="The expert (专家).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type(description="The closed cycle, or what stood in the way.")
class ReviewCyclePayload:
    cycle: ReviewCycle | None = strawberry.field(description="The cycle (评审周期).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


async def _case(info: Info, act: Awaitable[Answer]) -> SpecialCasePayload:
    answer, errors = await answered(act)
    shown = await special_case_in_scope(info, str(answer["id"])) if answer else None
    return SpecialCasePayload(special_case=shown, user_errors=errors)


async def _expert(info: Info, act: Awaitable[Answer]) -> ReviewExpertPayload:
    answer, errors = await answered(act)
    return ReviewExpertPayload(
        expert=await expert_in_scope(info, str(answer["id"])) if answer else None, user_errors=errors
    )


def _key(special_case: strawberry.ID) -> str:
    return key_of(str(special_case), "SpecialCase", "specialCase")


@strawberry.type
class ReviewMutation:
    @strawberry.mutation(
        description="Apply for the review of a case with the digests of its material (申请特例单议). Role: hospital_submitter."
    )
    async def special_case_apply(self, info: Info, input: SpecialCaseApplyInput) -> SpecialCasePayload:
        context = info.context

        async def act() -> Answer:
            order = applications.Apply(
                key_of(str(input.inpatient_case), "InpatientCase", "inpatientCase"),
                input.specialty,
                tuple(one.value for one in input.reasons),
                tuple(applications.Evidence(one.title, one.sha256) for one in input.evidence),
                input.statement,
            )
            asked: dict[str, object] = {
                "case": order.case_id,
                "specialty": order.specialty,
                "reasons": list(order.reasons),
                "evidence": [[one.title, one.sha256] for one in order.evidence],
                "statement": order.statement,
            }
            request = context.request("specialCaseApply", input.idempotency_key, asked)
            return await applications.apply_for(context.platform, context.subject, request, order)

        return await _case(info, act())

    @strawberry.mutation(
        description="Appeal against a refusal, once and within the clock (申诉). Role: hospital_submitter."
    )
    async def special_case_appeal(self, info: Info, input: SpecialCaseAppealInput) -> SpecialCasePayload:
        context = info.context

        async def act() -> Answer:
            key = _key(input.special_case)
            request = context.request("specialCaseAppeal", input.idempotency_key, {"case": key, "reason": input.reason})
            return await applications.appeal(context.platform, context.subject, request, key, input.reason)

        return await _case(info, act())

    @strawberry.mutation(description="Enter an expert of the area's list (录入专家). Role: city_settlement_clerk.")
    async def review_expert_enter(self, info: Info, input: ReviewExpertEnterInput) -> ReviewExpertPayload:
        context = info.context
        order = experts.EnterExpert(
            input.code, input.own_hospital, tuple(input.specialties), tuple(input.recused_from), input.document
        )
        asked: dict[str, object] = {
            "code": order.code,
            "hospital": order.hospital,
            "specialties": list(order.specialties),
            "recused_from": list(order.recused_from),
            "document": order.document,
        }
        request = context.request("reviewExpertEnter", input.idempotency_key, asked)
        return await _expert(info, experts.enter_expert(context.platform, context.subject, request, order))

    @strawberry.mutation(
        description="Take an expert off the list (专家出库); panels drawn stand. Role: city_settlement_clerk."
    )
    async def review_expert_retire(self, info: Info, input: ReviewExpertRetireInput) -> ReviewExpertPayload:
        context = info.context

        async def act() -> Answer:
            key = key_of(str(input.expert), "ReviewExpert", "expert")
            request = context.request("reviewExpertRetire", input.idempotency_key, {"expert": key})
            return await experts.retire_expert(context.platform, context.subject, request, key)

        return await _expert(info, act())

    @strawberry.mutation(
        description="Close a cycle: judge applications and admit up to the area's cap (关闭评审周期). Role: city_settlement_clerk."
    )
    async def review_cycle_close(self, info: Info, input: ReviewCycleCloseInput) -> ReviewCyclePayload:
        context = info.context
        request = context.request("reviewCycleClose", input.idempotency_key, {"year": input.year, "cycle": input.cycle})
        answer, errors = await answered(
            cycles.close_cycle(context.platform, context.subject, request, input.year, input.cycle)
        )
        found = await cycles.cycles(context.platform, context.subject, input.year) if answer else []
        shown = next((ReviewCycle.of(view) for view in found if view.cycle == input.cycle), None)
        return ReviewCyclePayload(cycle=shown, user_errors=errors)

    @strawberry.mutation(
        description="Draw the panel of an admitted case by lot, once a round (抽取专家组). Role: city_settlement_clerk."
    )
    async def special_case_draw(self, info: Info, input: SpecialCaseStepInput) -> SpecialCasePayload:
        context = info.context

        async def act() -> Answer:
            key = _key(input.special_case)
            request = context.request("specialCaseDraw", input.idempotency_key, {"case": key})
            return await hearing.draw(context.platform, context.subject, request, key)

        return await _case(info, act())

    @strawberry.mutation(
        description="Replace a member who recuses or is challenged by the next lot (回避重抽). Role: city_settlement_clerk."
    )
    async def special_case_recuse(self, info: Info, input: SpecialCaseRecuseInput) -> SpecialCasePayload:
        context = info.context

        async def act() -> Answer:
            key = _key(input.special_case)
            asked: dict[str, object] = {"case": key, "expert": input.expert_code, "reason": input.reason}
            request = context.request("specialCaseRecuse", input.idempotency_key, asked)
            return await hearing.recuse(
                context.platform, context.subject, request, key, input.expert_code, input.reason
            )

        return await _case(info, act())

    @strawberry.mutation(description="Record a vote from its signed sheet (登记表决). Role: city_settlement_clerk.")
    async def special_case_vote(self, info: Info, input: SpecialCaseVoteInput) -> SpecialCasePayload:
        context = info.context

        async def act() -> Answer:
            key = _key(input.special_case)
            ballot = hearing.Ballot(input.expert_code, input.step, input.choice.value, input.sheet_sha256)
            asked: dict[str, object] = {
                "case": key,
                "expert": ballot.expert,
                "step": ballot.step,
                "choice": ballot.choice,
                "sheet": ballot.sheet_sha256,
            }
            request = context.request("specialCaseVote", input.idempotency_key, asked)
            return await hearing.record_vote(context.platform, context.subject, request, key, ballot)

        return await _case(info, act())

    @strawberry.mutation(description="Value a case as the panel voted (拟定特例单议结果). Role: city_settlement_clerk.")
    async def special_case_value(self, info: Info, input: SpecialCaseValueInput) -> SpecialCasePayload:
        context = info.context

        async def act() -> Answer:
            key = _key(input.special_case)
            order = outcomes.Value(input.award_fen, input.award_points, input.document, input.reason)
            asked: dict[str, object] = {
                "case": key,
                "fen": "" if order.award_fen is None else str(order.award_fen),
                "points": "" if order.award_points is None else str(order.award_points),
                "document": order.document,
                "reason": order.reason,
            }
            request = context.request("specialCaseValue", input.idempotency_key, asked)
            return await outcomes.value_case(context.platform, context.subject, request, key, order)

        return await _case(info, act())

    @strawberry.mutation(
        description="Approve a valued case, as another person; it enters its year once (批准特例单议结果). "
        "Role: city_settlement_approver."
    )
    async def special_case_approve(self, info: Info, input: SpecialCaseStepInput) -> SpecialCasePayload:
        return await _decide(info, input, "specialCaseApprove", approve=True)

    @strawberry.mutation(
        description="Send a valued case back, as another person (退回特例单议结果). Role: city_settlement_approver."
    )
    async def special_case_send_back(self, info: Info, input: SpecialCaseStepInput) -> SpecialCasePayload:
        return await _decide(info, input, "specialCaseSendBack", approve=False)

    @strawberry.mutation(
        description="Record that an off-pool award was paid (登记池外拨付). Role: city_settlement_clerk."
    )
    async def special_case_pay(self, info: Info, input: SpecialCasePayInput) -> SpecialCasePayload:
        context = info.context

        async def act() -> Answer:
            key = _key(input.special_case)
            asked: dict[str, object] = {"case": key, "voucher": input.voucher, "paid_on": input.paid_on.isoformat()}
            request = context.request("specialCasePay", input.idempotency_key, asked)
            return await outcomes.pay_case(
                context.platform, context.subject, request, key, input.voucher, input.paid_on
            )

        return await _case(info, act())


async def _decide(info: Info, input: SpecialCaseStepInput, operation: str, *, approve: bool) -> SpecialCasePayload:
    context = info.context

    async def act() -> Answer:
        key = _key(input.special_case)
        request = context.request(operation, input.idempotency_key, {"case": key})
        return await outcomes.decide_value(context.platform, context.subject, request, key, approve=approve)

    return await _case(info, act())
