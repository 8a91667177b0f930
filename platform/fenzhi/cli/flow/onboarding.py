"""Setting a province up (开通): tenants top down, hospitals' standing by their city, policies by four eyes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from fenzhi.access.roles import Role
from fenzhi.cli.flow.client import Cast
from fenzhi.cli.synthetic.plan import PolicyPlan, ProvincePlan

OPERATOR = "operator"
_BATCH = 100


async def open_tenants(cast: Cast, plan: ProvincePlan, *, is_sandbox: bool = False) -> None:
    """Open the province, its cities, counties and hospitals (开通租户), as the operator."""
    operator = cast.actor(OPERATOR, Role.OPERATOR_ADMIN)

    async def opened(
        kind: str, code: str, name: str, parent: str, is_delegated: bool = False, area_kind: str = "city"
    ) -> None:
        order: dict[str, object] = {
            "kind": kind,
            "code": code,
            "name": name,
            "parent": parent,
            "areaKind": area_kind.upper(),
            "isDelegated": is_delegated,
            "isSandbox": is_sandbox and kind == "PROVINCE",
        }
        await operator.do("tenantOpen", "TenantOpenInput", order, "tenant")

    await opened("PROVINCE", plan.code, plan.name, "")
    for city in plan.cities:
        await opened("CITY", city.code, city.name, plan.code, area_kind=city.area_kind)
    for county in plan.counties:
        await opened("COUNTY", county.code, county.name, county.city_code, county.is_delegated)
    for hospital in plan.hospitals:
        await opened("HOSPITAL", hospital.code, hospital.name, hospital.county_code or hospital.city_code)


async def register_hospitals(cast: Cast, plan: ProvincePlan, document: str) -> None:
    """Register levels, coefficients and agreements (登记等级、系数与协议), as each city's clerk."""
    for hospital in plan.hospitals:
        clerk = cast.actor(hospital.city_code, Role.CITY_SETTLEMENT_CLERK)
        terms = {(a.valid_from, a.valid_to) for a in hospital.agreements}
        for valid_from, valid_to in sorted(terms):
            order = {
                "hospital": hospital.code,
                "effectiveFrom": min(valid_from, hospital.standing_from).isoformat(),
                "level": hospital.level,
                "coefficients": [
                    {"insurance": c.insurance, "coefficient": c.coefficient} for c in hospital.coefficients
                ],
                "agreementInsurances": [a.insurance for a in hospital.agreements if a.valid_from == valid_from],
                "agreementUntil": valid_to.isoformat(),
                "document": document,
            }
            await clerk.do("hospitalStandingRegister", "HospitalStandingRegisterInput", order, "hospital { code }")


async def enter_policies(cast: Cast, plan: ProvincePlan) -> None:
    """Enter every policy value the plan carries (录入政策参数): proposed by one person, put in force by another."""
    province = [p for p in plan.policies if p.layer == "province"]
    await _enter(cast, plan.code, (Role.PROVINCE_CATALOG_EDITOR, Role.PROVINCE_CATALOG_APPROVER), province)
    for city in plan.cities:
        mine = [p for p in plan.policies if p.layer == "area" and p.area_code in (None, city.code)]
        await _enter(cast, city.code, (Role.CITY_SETTLEMENT_CLERK, Role.CITY_SETTLEMENT_APPROVER), mine)


async def _enter(cast: Cast, tenant: str, roles: tuple[Role, Role], policies: Sequence[PolicyPlan]) -> None:
    by_document: dict[tuple[str, date], list[PolicyPlan]] = {}
    for policy in policies:
        by_document.setdefault((policy.document.title, policy.document.issued_on), []).append(policy)
    proposer, approver = (cast.actor(tenant, role) for role in roles)
    for (title, issued_on), values in by_document.items():
        for start in range(0, len(values), _BATCH):
            order = {
                "values": [
                    {"key": v.key, "value": as_text(v.value), "effectiveFrom": v.effective_from.isoformat()}
                    for v in values[start : start + _BATCH]
                ],
                "document": title,
                "issuedOn": issued_on.isoformat(),
                "isConstructed": values[0].document.standing == "constructed",
            }
            proposed = await proposer.do("policyPropose", "PolicyProposeInput", order, "entries { id }")
            ids = [entry["id"] for entry in proposed["entries"]]
            await approver.do("policyApprove", "PolicyApproveInput", {"ids": ids}, "entries { id }")


def as_text(value: Any) -> str:
    """A policy value as the API takes it: plain text, or JSON for a list, map or table (取值文本)."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
