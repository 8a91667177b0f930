"""Mutations of filed lists (清单流转变更)."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import date
from enum import Enum

import strawberry

from fenzhi.access.subject import Subject
from fenzhi.services.acts import Answer, Platform, Request, as_id
from fenzhi.services.submission import filing, freezing, returns
from fenzhi.services.submission.national.keys import NewMessageKey, register_message_key
from fenzhi.services.submission.national.signature import SignatureKind
from fenzhi_graphql.context import Info
from fenzhi_graphql.outcomes import ERRORS, UserError, answered
from fenzhi_graphql.paging import key_of
from fenzhi_graphql.submission.filing_types import CaseHold, FiledList, case_hold_in_scope, filed_list_in_scope
from fenzhi_graphql.submission.list_input import SettlementListInput, wire_line

_KEY = "A fresh random key; the same when retrying (幂等键)."
_LIST = "The filed list (清单)."


@strawberry.enum(description="How messages are signed (签名算法).")
class MessageSignature(Enum):
    SM3 = SignatureKind.SM3.value
    SM2 = SignatureKind.SM2.value


@strawberry.input(description="File a list as a draft, or a new version of one (填报).")
class FiledListSaveInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    list: SettlementListInput = strawberry.field(description="The list (结算清单).")


@strawberry.input(description="One step of a filed list (清单流转).")
class FiledListStepInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    filed_list: strawberry.ID = strawberry.field(description=_LIST)


@strawberry.input(description="Review a draft as a second person of the hospital (院内审核).")
class FiledListReviewInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    filed_list: strawberry.ID = strawberry.field(description=_LIST)
    approved: bool = strawberry.field(description="Approve it, or send it back to the department (是否通过).")
    reason: str = strawberry.field(default="", description="Why; needed when it is sent back (理由).")


@strawberry.input(
    description="Return a case to its hospital, take that back, or release a frozen one (退回、撤销退回、解除冻结)."
)
class CaseReturnInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    inpatient_case: strawberry.ID = strawberry.field(description="The case (病例).")
    reason: str = strawberry.field(description="Why, for the hospital to read (理由).")


@strawberry.input(description="Register what a hospital signs its national messages with (登记报文签名密钥).")
class MessageKeyRegisterInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    hospital: str = strawberry.field(description="Institution code (机构编码).")
    signature: MessageSignature = strawberry.field(description="SM3 or SM2 (签名算法).")
    secret: str = strawberry.field(
        description="For SM3 the shared secret, at least 16 characters; for SM2 the public key in hex (密钥). Never shown again."
    )
    valid_from: date = strawberry.field(description="First day it holds (起日).")
    valid_to: date = strawberry.field(description="Last day it holds (止日).")


@strawberry.type(description="The filed list, or what stood in the way.")
class FiledListPayload:
    filed_list: FiledList | None = strawberry.field(description="The list (清单).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type(description="The hold, or what stood in the way.")
class CaseHoldPayload:
    case_hold: CaseHold | None = strawberry.field(description="The hold (暂不结算记录).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type(description="Whether the key was registered, or what stood in the way.")
class MessageKeyPayload:
    registered: bool = strawberry.field(description="Whether it is registered (是否登记).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


async def _list(info: Info, answer: Answer | None, errors: list[UserError]) -> FiledListPayload:
    found = await filed_list_in_scope(info, str(answer["id"])) if answer else None
    return FiledListPayload(filed_list=found, user_errors=errors)


async def _hold(info: Info, answer: Answer | None, errors: list[UserError]) -> CaseHoldPayload:
    found = await case_hold_in_scope(info, str(answer["id"])) if answer else None
    return CaseHoldPayload(case_hold=found, user_errors=errors)


def _list_id(given: str) -> uuid.UUID:
    return as_id(key_of(given, "FiledList", "filedList"), "filedList")


ListStep = Callable[[Platform, Subject, Request, uuid.UUID], Awaitable[Answer]]
CaseAct = Callable[[Platform, Subject, Request, uuid.UUID, str], Awaitable[Answer]]


async def _step(info: Info, input: FiledListStepInput, operation: str, step: ListStep) -> FiledListPayload:
    context = info.context

    async def act() -> Answer:
        list_id = _list_id(input.filed_list)
        request = context.request(operation, input.idempotency_key, {"list": str(list_id)})
        return await step(context.platform, context.subject, request, list_id)

    return await _list(info, *await answered(act()))


async def _case_act(info: Info, input: CaseReturnInput, operation: str, step: CaseAct) -> CaseHoldPayload:
    context = info.context

    async def act() -> Answer:
        case_id = as_id(key_of(input.inpatient_case, "InpatientCase", "inpatientCase"), "inpatientCase")
        order: dict[str, object] = {"case": str(case_id), "reason": input.reason}
        request = context.request(operation, input.idempotency_key, order)
        return await step(context.platform, context.subject, request, case_id, input.reason)

    return await _hold(info, *await answered(act()))


@strawberry.type
class FilingMutation:
    @strawberry.mutation(
        description="File a list as a draft, or a new version of one (填报). Role: hospital_department, hospital_submitter."
    )
    async def filed_list_save(self, info: Info, input: FiledListSaveInput) -> FiledListPayload:
        context = info.context
        line = wire_line(input.list)
        order = filing.Filing(input.list.setl_id, input.list.psn_no, line, filing.ENTRY, True)
        request = context.request("filedListSave", input.idempotency_key, {"list": line.decode()})
        made = filing.save_list(context.platform, context.subject, request, order)
        return await _list(info, *await answered(made))

    @strawberry.mutation(
        description="Review a draft as a second person of the hospital (院内审核). Role: hospital_submitter."
    )
    async def filed_list_review(self, info: Info, input: FiledListReviewInput) -> FiledListPayload:
        context = info.context

        async def act() -> Answer:
            list_id = _list_id(input.filed_list)
            order = {"list": str(list_id), "approved": input.approved, "reason": input.reason}
            request = context.request("filedListReview", input.idempotency_key, order)
            return await filing.review_list(
                context.platform, context.subject, request, list_id, approved=input.approved, reason=input.reason
            )

        return await _list(info, *await answered(act()))

    @strawberry.mutation(description="Submit a filed list for its checks (提交). Role: hospital_submitter.")
    async def filed_list_submit(self, info: Info, input: FiledListStepInput) -> FiledListPayload:
        return await _step(info, input, "filedListSubmit", filing.submit_list)

    @strawberry.mutation(description="Take a list back to a draft (撤回). Role: hospital_submitter.")
    async def filed_list_take_back(self, info: Info, input: FiledListStepInput) -> FiledListPayload:
        return await _step(info, input, "filedListTakeBack", filing.take_list_back)

    @strawberry.mutation(
        description="Pass a checked list, where bureaus review every list (审核通过). Role: county_auditor, city_settlement_clerk."
    )
    async def filed_list_pass(self, info: Info, input: FiledListStepInput) -> FiledListPayload:
        return await _step(info, input, "filedListPass", returns.pass_list)

    @strawberry.mutation(
        description="Return a case to its hospital for correction; it enters no run meanwhile (退回). "
        "Role: county_auditor, city_settlement_clerk."
    )
    async def case_return(self, info: Info, input: CaseReturnInput) -> CaseHoldPayload:
        return await _case_act(info, input, "caseReturn", returns.return_case)

    @strawberry.mutation(
        description="Take a return back: the case counts again as it is (撤销退回). Role: county_auditor, city_settlement_clerk."
    )
    async def case_return_withdraw(self, info: Info, input: CaseReturnInput) -> CaseHoldPayload:
        return await _case_act(info, input, "caseReturnWithdraw", returns.withdraw_return)

    @strawberry.mutation(
        description="Release a case that a finding froze: it counts again as it is (解除冻结). Role: county_auditor, city_settlement_clerk."
    )
    async def case_release(self, info: Info, input: CaseReturnInput) -> CaseHoldPayload:
        return await _case_act(info, input, "caseRelease", freezing.release_case)

    @strawberry.mutation(
        description="Register what a hospital signs its national messages with (登记报文签名密钥). Role: city_settlement_clerk."
    )
    async def message_key_register(self, info: Info, input: MessageKeyRegisterInput) -> MessageKeyPayload:
        context = info.context
        order = NewMessageKey(
            input.hospital, SignatureKind(input.signature.value), input.secret, input.valid_from, input.valid_to
        )
        request = context.request(
            "messageKeyRegister",
            input.idempotency_key,
            {
                "hospital": order.hospital_code,
                "signature": order.kind.value,
                "secret": filing.hidden(order.secret),
                "valid_from": order.valid_from.isoformat(),
                "valid_to": order.valid_to.isoformat(),
            },
        )
        answer, errors = await answered(register_message_key(context.platform, context.subject, request, order))
        return MessageKeyPayload(registered=answer is not None, user_errors=errors)
