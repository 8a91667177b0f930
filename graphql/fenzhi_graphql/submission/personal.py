"""Revealing personal fields (查看个人信息): one case, one purpose, written down before it is answered."""

from __future__ import annotations

import uuid
from enum import Enum

import strawberry

from fenzhi.rules.refusals import FenzhiError
from fenzhi.services.acts import as_id
from fenzhi.services.audit.sight import Sight
from fenzhi.services.submission import personal
from fenzhi_graphql.context import Info
from fenzhi_graphql.outcomes import ERRORS, NOT_THE_CALLERS_BUSINESS, UserError, user_errors
from fenzhi_graphql.paging import global_id, key_of
from fenzhi_graphql.sight import Shows

_P = personal.Purpose


@strawberry.enum(description="What personal fields may be revealed for (查看用途).")
class RevealPurpose(Enum):
    REVIEW = strawberry.enum_value(_P.REVIEW, description="Review of the case (审核).")
    CORRECTION = strawberry.enum_value(_P.CORRECTION, description="Correction of the list (更正).")
    APPEAL = strawberry.enum_value(_P.APPEAL, description="An appeal (申诉).")
    INSPECTION = strawberry.enum_value(_P.INSPECTION, description="An inspection (稽核检查).")
    PATIENT_REQUEST = strawberry.enum_value(_P.PATIENT_REQUEST, description="The patient asked (本人申请).")


@strawberry.input(description="Ask for the personal fields of one case (查看个人信息).")
class PersonalFieldsRevealInput:
    idempotency_key: str = strawberry.field(description="A fresh random key; the same when retrying (幂等键).")
    case: strawberry.ID = strawberry.field(description="The case (病例).")
    purpose: RevealPurpose = strawberry.field(description="What for (用途).")
    reason: str = strawberry.field(
        description="Grounds, 4 to 200 characters, such as the number of the request; no names, no numbers of persons (事由)."
    )


@strawberry.type(description="Personal fields of one case, as its list gave them (个人信息).")
class PersonalFields(Shows):
    case: strawberry.ID = strawberry.field(description="The case (病例).")
    person_no: str | None = strawberry.field(description="Number of the insured person (人员编号).")
    person_name: str | None = strawberry.field(description="Name (姓名).")
    certificate_no: str | None = strawberry.field(description="Number of the certificate (证件号码).")
    birth_date: str | None = strawberry.field(description="Date of birth (出生日期).")
    record_no: str | None = strawberry.field(description="Medical record number (病案号).")
    visit_id: str | None = strawberry.field(description="Visit (就诊号).")
    key: strawberry.Private[uuid.UUID]

    def show(self, sight: Sight) -> None:
        """The case, with personal fields."""
        sight.case(self.key)
        sight.personal()

    @staticmethod
    def of(found: personal.PersonalFields) -> PersonalFields:
        return PersonalFields(
            case=global_id("InpatientCase", found.case_id),
            person_no=found.person_no,
            person_name=found.person_name,
            certificate_no=found.certificate_no,
            birth_date=found.birth_date,
            record_no=found.record_no,
            visit_id=found.visit_id,
            key=found.case_id,
        )


@strawberry.type(description="The personal fields, or what stood in the way.")
class PersonalFieldsRevealPayload:
    personal_fields: PersonalFields | None = strawberry.field(description="The fields (个人信息).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type
class PersonalMutation:
    @strawberry.mutation(
        description="Reveal the personal fields of one case; who, when, why is written down first (查看个人信息). "
        "Role: city_settlement_clerk, city_settlement_approver, hospital_submitter."
    )
    async def personal_fields_reveal(self, info: Info, input: PersonalFieldsRevealInput) -> PersonalFieldsRevealPayload:
        context = info.context
        try:
            case_id = as_id(key_of(input.case, "InpatientCase", "case"), "case")
            purpose = personal.Purpose(str(input.purpose.value))
            request = context.request(
                "personalFieldsReveal",
                input.idempotency_key,
                {"case": str(case_id), "purpose": purpose.value, "reason": input.reason},
            )
            order = personal.RevealOrder(case_id, purpose, input.reason)
            found = await personal.reveal(context.platform, context.subject, request, order)
        except FenzhiError as exc:
            if exc.code in NOT_THE_CALLERS_BUSINESS:
                raise
            return PersonalFieldsRevealPayload(personal_fields=None, user_errors=user_errors(exc))
        return PersonalFieldsRevealPayload(personal_fields=PersonalFields.of(found), user_errors=[])
