"""How far an administrator reaches (管理范围): the operator to administrators, a province to its own staff, a city to its area."""

from __future__ import annotations

import uuid
from typing import Any

from fenzhi.access.roles import (
    ADMINISTRATORS,
    AUDIT_ADMINS,
    KIND_OF_ROLE,
    SECURITY_ADMINS,
    SYSTEM_ADMINS,
    Role,
    TenantKind,
)
from fenzhi.access.subject import Subject
from fenzhi.rules.refusals import Conflict, DataRefused, NotFound, Refusal
from fenzhi.services.registry.accounts import OPERATOR_TENANT, ids_of_tenant
from fenzhi.store.repositories import identity
from fenzhi.store.session import UnitOfWork

_KINDS = {
    TenantKind.OPERATOR: frozenset({TenantKind.OPERATOR, TenantKind.PROVINCE, TenantKind.CITY}),
    TenantKind.PROVINCE: frozenset({TenantKind.PROVINCE}),
    TenantKind.CITY: frozenset({TenantKind.CITY, TenantKind.COUNTY, TenantKind.HOSPITAL}),
}
"""Level of an administrator → levels of tenants whose accounts it manages."""


class RoleExclusive(Conflict):
    """System, security, audit administrator and operator exclude every other role of the same person (三权分立)."""

    code = "ROLE_EXCLUSIVE"

    def __init__(self) -> None:
        super().__init__(
            "系统、安全、审计管理员及平台运营由不同的人担任，且不得兼任其他角色。",
            "System, security and audit administrator and operator are different persons, and hold no other role.",
            hint="请授予另一位人员，或先撤销其现有角色 / grant it to another person, or revoke the roles held first",
        )


def office_of(role: Role) -> str:
    """The power a role belongs to (所属权力): system, security, audit, operator or business; as the store's constraint has it."""
    for office, roles in (("system", SYSTEM_ADMINS), ("security", SECURITY_ADMINS), ("audit", AUDIT_ADMINS)):
        if role in roles:
            return office
    return "operator" if role is Role.OPERATOR_ADMIN else "business"


def may_manage(administrator: Subject, role: Role) -> None:
    """Refuse a role that this administrator does not manage (可管理的角色).

    The operator manages administrators and operators; province and city manage everybody else of theirs.
    Raises: Conflict ROLE_NOT_MANAGED.
    """
    is_of_operator = role in ADMINISTRATORS or role is Role.OPERATOR_ADMIN
    is_theirs = is_of_operator == (administrator.tenant_kind is TenantKind.OPERATOR)
    if not is_theirs or KIND_OF_ROLE[role] not in _KINDS[administrator.tenant_kind]:
        raise Conflict(
            f"角色 {role} 不由此管理员管理。",
            f"The role {role} is not this administrator's to manage.",
            code="ROLE_NOT_MANAGED",
            hint="管理员与运营角色由平台运营授予；其余角色由所在省、市的管理员授予 / administrators and operators are "
            "the operator's, other roles their own province's or city's",
        )


async def tenant_ids(uow: UnitOfWork, administrator: Subject, tenant: str, kind: TenantKind) -> dict[str, Any]:
    """The ids of a tenant within the administrator's reach (范围内租户). Raises: NotFound, alike for one elsewhere and none."""
    missing = NotFound(f"没有该租户：{tenant}。", f"No such tenant: {tenant}.")
    if kind not in _KINDS[administrator.tenant_kind] or (kind is TenantKind.OPERATOR and tenant != OPERATOR_TENANT):
        raise missing
    ids: dict[str, Any] = await ids_of_tenant(uow, tenant, kind)
    match administrator.tenant_kind:
        case TenantKind.PROVINCE if ids["province_id"] != administrator.province_id:
            raise missing
        case TenantKind.CITY if ids["area_id"] != administrator.area_id:
            raise missing
        case _:
            return ids


def home_of(administrator: Subject) -> dict[str, int | None]:
    """Where an account or client that this administrator opens belongs (所属). The operator's belong nowhere below."""
    return {"province_id": administrator.province_id, "area_id": administrator.area_id}


async def require_exclusive(uow: UnitOfWork, person_id: uuid.UUID, role: Role) -> None:
    """Refuse a role that its person's other roles exclude, as far as the scope sees (三权分立校验). Raises: RoleExclusive."""
    held = {Role(name) for name in await identity.live_roles_of_person(uow, person_id)} - {role}
    offices = {office_of(other) for other in held}
    if offices and (office_of(role) != "business" or offices != {"business"}):
        raise RoleExclusive


def text_fault(where: str, saw: str, most: int) -> list[Refusal]:
    """The fault of a text that is blank, too long or not printable (文字校验)."""
    if 1 <= len(saw.strip()) <= most and saw.isprintable():
        return []
    return [
        Refusal(
            "IDENTITY_TEXT_SHAPE",
            where,
            saw[:40],
            f"须为 1 至 {most} 个可见字符。",
            f"1 to {most} printable characters.",
            "按签发方登记的原文填写。",
            "Write it exactly as the issuer has it.",
        )
    ]


def refuse_faults(*faults: list[Refusal]) -> None:
    """Raise all faults at once. Raises: DataRefused."""
    found = tuple(fault for of_one in faults for fault in of_one)
    if found:
        raise DataRefused(found)
