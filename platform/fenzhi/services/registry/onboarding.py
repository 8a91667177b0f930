"""Onboarding of tenants (租户开通), by the operator, top down."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fenzhi.access.roles import Duty, TenantKind
from fenzhi.access.subject import Subject
from fenzhi.rules.refusals import Conflict, DataRefused, NotFound, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.services.registry.accounts import make_development_accounts
from fenzhi.store.repositories import registry
from fenzhi.store.session import UnitOfWork

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{1,29}", re.ASCII)
FIRST_YEAR, LAST_YEAR = 2018, 2035
"""Years for which case partitions are made; later discharges fall into the area's default partition until one is made."""


@dataclass(frozen=True, slots=True)
class NewTenant:
    """An order for a new tenant (租户开通单)."""

    kind: TenantKind
    code: str
    name: str
    parent: str = ""
    area_kind: str = "city"
    is_delegated: bool = False
    is_sandbox: bool = False


AREA_KINDS = ("city", "province")
"""Who holds the fund of a pooling area: a city, or the province itself for those it insures directly (市级、省本级)."""


class ProvinceLevelExists(Conflict):
    """A province has one pool of its own level (省本级已开通)."""

    code = "PROVINCE_LEVEL_EXISTS"


class TenantExists(Conflict):
    """The code is taken (租户编码已存在)."""

    code = "TENANT_EXISTS"


def _checked(order: NewTenant) -> None:
    faults = []
    if not _CODE.fullmatch(order.code):
        faults.append(
            Refusal(
                "TENANT_CODE_SHAPE",
                "code",
                order.code[:40],
                "租户编码须为 2 至 30 位字母、数字、连字符或下划线。",
                "A tenant code has 2 to 30 letters, digits, hyphens or underscores.",
                "改用行政区划代码或国家医疗机构编码。",
                "Use the division code or the national institution code.",
            )
        )
    if order.area_kind not in AREA_KINDS or (order.area_kind != "city" and order.kind is not TenantKind.CITY):
        faults.append(
            Refusal(
                "AREA_KIND_SHAPE",
                "areaKind",
                order.area_kind[:40],
                "只有统筹区可为省本级。",
                "Only a pooling area can be of province level.",
                "开通统筹区（CITY）时选择 areaKind。",
                "Choose areaKind when opening a pooling area (CITY).",
            )
        )
    if not 1 <= len(order.name.strip()) <= 200:
        faults.append(
            Refusal(
                "TENANT_NAME_SHAPE",
                "name",
                order.name[:40],
                "名称须为 1 至 200 字。",
                "A name has 1 to 200 characters.",
                "填写机构全称。",
                "Give the full name.",
            )
        )
    if faults:
        raise DataRefused(tuple(faults))


async def open_tenant(platform: Platform, operator: Subject, request: Request, order: NewTenant) -> Answer:
    """Open a province, city, county or hospital under its parent (开通租户).

    Changes: the tenant's table, tenant_number; for a pooling area also its partitions; in development the accounts of its roles.
    Raises: TenantExists, NotFound for the parent, DataRefused.
    """
    operator.scope_for(Duty.ONBOARD_TENANTS)
    _checked(order)

    async def effect(uow: UnitOfWork) -> Answer:
        if await registry.tenant_exists(uow, order.code):
            raise TenantExists(f"编码 {order.code} 已被使用。", f"The code {order.code} is taken.")
        number = await _add(uow, order)
        if platform.is_development:
            await make_development_accounts(uow, order.code, order.kind)
        return {"type": "Tenant", "id": order.code, "number": number}

    return await act(platform, operator, Duty.ONBOARD_TENANTS, request, effect)


async def _add(uow: UnitOfWork, order: NewTenant) -> int:
    missing = NotFound(f"没有上级租户：{order.parent}。", f"No such parent: {order.parent}.", code="PARENT_NOT_FOUND")
    match order.kind:
        case TenantKind.PROVINCE:
            return await registry.add_province(uow, order.code, order.name, order.is_sandbox)
        case TenantKind.CITY:
            parent = await registry.province_by_code(uow, order.parent)
            if parent is None:
                raise missing
            if order.area_kind == "province":
                known = await registry.province_level_area(uow, parent.province_id)
                if known is not None:
                    raise ProvinceLevelExists(
                        f"该省的省本级统筹区已开通：{known}。", f"The province has its own level already: {known}."
                    )
            years = (FIRST_YEAR, LAST_YEAR)
            return await registry.add_area(uow, parent.province_id, order.code, order.name, order.area_kind, years)
        case TenantKind.COUNTY:
            area = await registry.area_by_code(uow, order.parent)
            if area is None:
                raise missing
            return await registry.add_county(
                uow, area.area_id, area.province_id, order.code, order.name, order.is_delegated
            )
        case TenantKind.HOSPITAL:
            county = await registry.county_by_code(uow, order.parent)
            area = county or await registry.area_by_code(uow, order.parent)
            if area is None:
                raise missing
            county_id = county.county_id if county is not None else None
            return await registry.add_hospital(uow, area.area_id, county_id, area.province_id, order.code, order.name)
        case _:
            raise Conflict("运营方租户不可新建。", "The operator tenant cannot be opened.", code="OPERATOR_IS_ONE")
