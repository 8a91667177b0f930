"""A hospital's dated standing (机构等级、系数与协议), kept by its city."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.refusals import DataRefused, NotFound, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.store.repositories import registry
from fenzhi.store.session import UnitOfWork

AGREEMENT_MODES = ("dip", "per_diem", "item", "drg", "capitation")
LEVELS = ("tertiary", "secondary", "primary")


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A hospital coefficient of one insurance type (医疗机构系数)."""

    insurance: str
    coefficient: Decimal


@dataclass(frozen=True, slots=True)
class RegisterStanding:
    """An order to register a hospital's level, coefficients and agreements from a date on (登记等级与系数)."""

    hospital: str
    effective_from: date
    level: str
    coefficients: tuple[Coefficient, ...]
    agreement_insurances: tuple[str, ...]
    agreement_until: date
    document: str
    agreement_mode: str = "dip"
    """How the agreement says its cases are paid."""


def _faults(order: RegisterStanding) -> list[Refusal]:
    found: list[Refusal] = []
    if order.level not in LEVELS:
        found.append(
            Refusal(
                "LEVEL_UNKNOWN",
                "level",
                order.level,
                "等级须为 tertiary、secondary 或 primary。",
                "The level is tertiary, secondary or primary.",
                "按定点协议填写。",
                "Use the level of the agreement.",
            )
        )
    for i, item in enumerate(order.coefficients):
        exponent = item.coefficient.as_tuple().exponent
        if not Decimal(0) < item.coefficient <= Decimal(10) or not isinstance(exponent, int) or exponent < -4:
            found.append(
                Refusal(
                    "COEFFICIENT_RANGE",
                    f"coefficients[{i}]",
                    str(item.coefficient),
                    "系数须大于 0、不超过 10，至多四位小数。",
                    "A coefficient is above 0, at most 10, with at most 4 decimals.",
                    "按文件公布的系数填写。",
                    "Enter the published coefficient.",
                )
            )
    if order.agreement_mode not in AGREEMENT_MODES:
        found.append(
            Refusal(
                "PAYMENT_MODE_UNKNOWN",
                "agreementMode",
                order.agreement_mode,
                "协议支付方式须为 dip、per_diem、item、drg 或 capitation。",
                "The mode of an agreement is dip, per_diem, item, drg or capitation.",
                "按定点协议填写。",
                "Use the mode of the agreement.",
            )
        )
    if order.agreement_until < order.effective_from:
        found.append(
            Refusal(
                "DATES_REVERSED",
                "agreementUntil",
                str(order.agreement_until),
                "协议止期早于起期。",
                "The agreement ends before it begins.",
                "核对协议起止日期。",
                "Check the dates of the agreement.",
            )
        )
    if not order.document.strip():
        found.append(
            Refusal(
                "DOCUMENT_MISSING",
                "document",
                "",
                "须注明政策依据文件。",
                "The policy document must be named.",
                "填写文号。",
                "Give the document number.",
            )
        )
    return found


async def register_standing(platform: Platform, clerk: Subject, request: Request, order: RegisterStanding) -> Answer:
    """Register a hospital's level, coefficients and agreements from a date on (登记等级、系数与协议).

    Earlier entries stay; what applies to a case is the last entry on or before its discharge date.
    Changes: hospital_standing, hospital_coefficient, agreement. Raises: Forbidden before anything else, NotFound, DataRefused.
    """
    clerk.scope_for(Duty.EDIT_REGISTRY)
    faults = _faults(order)
    if faults:
        raise DataRefused(tuple(faults))

    async def effect(uow: UnitOfWork) -> Answer:
        hospital = await registry.hospital_by_code(uow, order.hospital)
        if hospital is None:
            raise NotFound(f"没有该医院：{order.hospital}。", f"No such hospital: {order.hospital}.")
        place = {
            "area_id": hospital.area_id,
            "county_id": hospital.county_id,
            "hospital_id": hospital.hospital_id,
            "document": order.document,
            "recorded_by": uuid.UUID(uow.scope.account_id),
        }
        await registry.add_standing(uow, place | {"effective_from": order.effective_from, "level": order.level})
        for item in order.coefficients:
            await registry.add_coefficient(
                uow,
                place
                | {
                    "insurance": item.insurance,
                    "effective_from": order.effective_from,
                    "coefficient": item.coefficient,
                },
            )
        for insurance in order.agreement_insurances:
            await registry.add_agreement(
                uow,
                place
                | {
                    "insurance": insurance,
                    "valid_from": order.effective_from,
                    "valid_to": order.agreement_until,
                    "payment_mode": order.agreement_mode,
                },
            )
        return {"type": "Hospital", "id": str(hospital.hospital_id)}

    return await act(platform, clerk, Duty.EDIT_REGISTRY, request, effect)
