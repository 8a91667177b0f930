"""Audit deductions (审核扣款): entered by the auditor, approved by another person, taken by the runs of their period."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject, require_second_person
from fenzhi.rules.fund.delegation import DelegatedDuty
from fenzhi.rules.refusals import Conflict, DataRefused, NotFound, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act, as_id, looking
from fenzhi.services.fund.faults import amount_fault, pool_faults, text_fault
from fenzhi.services.registry.delegation import require_delegation
from fenzhi.store.repositories import fund, registry
from fenzhi.store.session import UnitOfWork


@dataclass(frozen=True, slots=True)
class EnterDeduction:
    """An order to enter an audit deduction (录入扣款). Units: fen, above 0; `month` is the settlement month it belongs to."""

    hospital: str
    insurance: str
    pool_scope: str
    year: int
    month: int
    amount_fen: int
    reason: str
    document: str


@dataclass(frozen=True, slots=True)
class DeductionView:
    """An audit deduction (审核扣款). Units: fen."""

    deduction_id: uuid.UUID
    hospital_code: str
    insurance: str
    pool_scope: str
    year: int
    month: int
    amount_fen: int
    reason: str
    document: str
    state: str
    recorded_at: datetime
    approved_at: datetime | None


def _view(row: Row[Any]) -> DeductionView:
    return DeductionView(
        row.deduction_id,
        row.hospital_code,
        row.insurance,
        row.pool_scope,
        row.year,
        row.month,
        row.amount_fen,
        row.reason,
        row.document,
        row.state,
        row.recorded_at,
        row.approved_at,
    )


def _faults(order: EnterDeduction) -> list[Refusal]:
    found = pool_faults(order.insurance, order.pool_scope, order.year)
    if not 1 <= order.month <= 12:
        found.append(
            Refusal("MONTH_RANGE", "month", str(order.month), "月份须为 1 至 12。", "A month is 1 to 12.",
                    "核对月份。", "Check the month.")
        )  # fmt: skip
    found += amount_fault("amountFen", order.amount_fen, at_least=1)
    found += text_fault("REASON_MISSING", "reason", order.reason, "扣款原因", "The reason")
    found += text_fault("DOCUMENT_MISSING", "document", order.document, "依据文件", "The document")
    return found


async def enter_deduction(platform: Platform, auditor: Subject, request: Request, order: EnterDeduction) -> Answer:
    """Enter an audit deduction of a hospital's settlement month (录入审核扣款); it counts once approved.

    Changes: audit_deduction (draft). Raises: NotFound, DataRefused with every fault at once.
    """
    faults = _faults(order)

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        hospital = await registry.hospital_by_code(uow, order.hospital)
        if hospital is None:
            raise NotFound(f"没有该医院：{order.hospital}。", f"No such hospital: {order.hospital}.")
        deduction_id = await fund.add_deduction(
            uow,
            {
                "area_id": hospital.area_id,
                "county_id": hospital.county_id,
                "hospital_id": hospital.hospital_id,
                "insurance": order.insurance,
                "pool_scope": order.pool_scope,
                "year": order.year,
                "month": order.month,
                "amount_fen": order.amount_fen,
                "reason": order.reason,
                "document": order.document,
                "entered_by": uuid.UUID(uow.scope.account_id),
                "entered_by_person": uuid.UUID(uow.scope.person_id),
            },
        )
        return {"type": "AuditDeduction", "id": str(deduction_id)}

    return await act(platform, auditor, Duty.RECORD_DEDUCTION, request, effect)


async def decide_deduction(
    platform: Platform, approver: Subject, request: Request, deduction_id: str, *, approve: bool
) -> Answer:
    """Approve or reject an audit deduction (审批扣款), by another person than who entered it.

    Changes: audit_deduction draft → approved | rejected. Raises: NotFound, SamePerson, Conflict DEDUCTION_NOT_DRAFT.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        await require_delegation(uow, DelegatedDuty.DEDUCTION)
        key = as_id(deduction_id, "deduction")
        row = await fund.deduction_by_id(uow, key)
        if row is None:
            raise NotFound("没有该扣款。", "No such deduction.")
        require_second_person(str(row.entered_by_person), uow.scope.person_id)
        if not await fund.decide_deduction(uow, key, "approved" if approve else "rejected"):
            raise Conflict(
                f"扣款已处于 {row.state} 状态。", f"The deduction is {row.state} already.", code="DEDUCTION_NOT_DRAFT"
            )
        return {"type": "AuditDeduction", "id": str(key)}

    return await act(platform, approver, Duty.APPROVE_DEDUCTION, request, effect)


async def deductions(
    platform: Platform, subject: Subject, after: uuid.UUID | None, limit: int, *, year: int | None = None
) -> Sequence[DeductionView]:
    """One page of the audit deductions the subject sees (扣款列表); a hospital sees its approved ones."""
    async with looking(platform, subject, Duty.READ_CLEARING) as uow:
        return [_view(row) for row in await fund.deductions(uow, after, limit, year=year)]


async def deduction(platform: Platform, subject: Subject, deduction_id: uuid.UUID) -> DeductionView | None:
    """One audit deduction, or none in this scope (扣款)."""
    async with looking(platform, subject, Duty.READ_CLEARING) as uow:
        row = await fund.deduction_by_id(uow, deduction_id)
        return None if row is None else _view(row)
