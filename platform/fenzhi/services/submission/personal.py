"""Personal fields (个人信息): never in any other answer; revealed case by case, for a stated purpose, and written down first."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.refusals import DataRefused, NotFound, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.store.repositories import audit
from fenzhi.store.repositories import submission as store
from fenzhi.store.session import UnitOfWork

REASON_LEAST, REASON_MOST = 4, 200


class Purpose(StrEnum):
    """What personal fields may be revealed for (查看用途)."""

    REVIEW = "review"  # 审核
    CORRECTION = "correction"  # 更正
    APPEAL = "appeal"  # 申诉
    INSPECTION = "inspection"  # 稽核检查
    PATIENT_REQUEST = "patient_request"  # 本人申请


@dataclass(frozen=True, slots=True)
class RevealOrder:
    """A request to see the personal fields of one case (查看申请)."""

    case_id: uuid.UUID
    purpose: Purpose
    reason: str


@dataclass(frozen=True, slots=True)
class PersonalFields:
    """Personal fields of one case as its list gave them (个人信息)."""

    case_id: uuid.UUID
    person_no: str | None
    person_name: str | None
    certificate_no: str | None
    birth_date: str | None
    record_no: str | None
    visit_id: str | None


async def reveal(platform: Platform, subject: Subject, request: Request, order: RevealOrder) -> PersonalFields:
    """The personal fields of a case of the scope (查看个人信息).

    The event of the reveal commits in the transaction that reads them, before anything is answered. A repeated key shows them again and is
    written down again; the stored answer holds the case's id alone. Changes: audit_event. Raises: Forbidden, NotFound, DataRefused.
    """
    shown: list[PersonalFields] = []

    async def effect(uow: UnitOfWork) -> Answer:
        shown.append(await _revealed(platform, subject, request, order, uow))
        return {"type": "InpatientCase", "id": str(order.case_id)}

    await act(platform, subject, Duty.REVEAL_PERSONAL, request, effect)
    if not shown:
        async with platform.database.unit_of_work(subject.scope_for(Duty.REVEAL_PERSONAL)) as uow:
            shown.append(await _revealed(platform, subject, request, order, uow))
    return shown[0]


async def _revealed(
    platform: Platform, subject: Subject, request: Request, order: RevealOrder, uow: UnitOfWork
) -> PersonalFields:
    _require_reason(order.reason)
    row = await store.personal_of_case(uow, order.case_id)
    if row is None:
        raise NotFound("没有该病例。", "No such case.")
    sealed = platform.keyring.unseal(row.area_id, row.key_id, row.sealed_fields, order.case_id.bytes)
    said = msgspec.json.decode(sealed, type=dict[str, str | None])
    if any(value and len(value) > 1 and value in order.reason for value in said.values()):
        raise _refused(
            "REASON_PERSONAL",
            "事由中含有该病例的个人信息。",
            "The reason repeats a personal field of the case.",
            "事由写明依据，不写姓名和号码。",
            "State the grounds without names or numbers.",
        )
    await audit.note(
        uow,
        role=subject.role.value,
        kind="reveal",
        action=request.operation,
        object_type="InpatientCase",
        object_id=str(order.case_id),
        request_id=request.request_id,
        purpose=order.purpose.value,
        reason=order.reason,
        field_class="personal",
        subjects=(order.case_id,),
    )
    return PersonalFields(
        case_id=order.case_id,
        person_no=said.get("psn_no"),
        person_name=said.get("psn_name"),
        certificate_no=said.get("certno"),
        birth_date=said.get("brdy"),
        record_no=said.get("medcasno"),
        visit_id=said.get("mdtrt_id"),
    )


def _require_reason(reason: str) -> None:
    if not REASON_LEAST <= len(reason.strip()) or len(reason) > REASON_MOST or not reason.isprintable():
        raise _refused(
            "REASON_SHAPE",
            f"事由须为 {REASON_LEAST} 至 {REASON_MOST} 个可见字符。",
            f"A reason has {REASON_LEAST} to {REASON_MOST} printable characters.",
            "写明查看依据，如受理单号。",
            "State the grounds, such as the number of the request.",
        )


def _refused(code: str, zh: str, en: str, remedy_zh: str, remedy_en: str) -> DataRefused:
    return DataRefused((Refusal(code, "reason", "", zh, en, remedy_zh, remedy_en),))
