"""Registry mutations (机构登记): tenants, a hospital's standing."""

from __future__ import annotations

from datetime import date
from enum import Enum

import strawberry

from fenzhi.access.roles import TenantKind
from fenzhi.services.registry import lookups, onboarding, standing
from fenzhi_graphql.context import Info
from fenzhi_graphql.outcomes import ERRORS, UserError, answered
from fenzhi_graphql.registry.types import Hospital
from fenzhi_graphql.scalars import ExactDecimal


@strawberry.enum(description="A level of the tenant tree that can be opened (租户层级).")
class NewTenantKind(Enum):
    PROVINCE = "province"
    CITY = "city"
    COUNTY = "county"
    HOSPITAL = "hospital"


@strawberry.enum(
    description="Who holds the fund of a pooling area (统筹区类型): a city (市级统筹), or the province itself for those it insures directly, one in "
    "each province (省本级)."
)
class AreaKind(Enum):
    CITY = "city"
    PROVINCE = "province"


@strawberry.input(description="Open a tenant under its parent (开通租户).")
class TenantOpenInput:
    idempotency_key: str = strawberry.field(description="A fresh random key; the same when retrying (幂等键).")
    kind: NewTenantKind = strawberry.field(description="Level (层级).")
    code: str = strawberry.field(description="Division or institution code, unique (编码).")
    name: str = strawberry.field(description="Full name (名称).")
    parent: str = strawberry.field(
        default="", description="Code of the parent tenant; blank for a province (上级编码)."
    )
    area_kind: AreaKind = strawberry.field(
        default=AreaKind.CITY,
        description="For kind CITY, a pooling area: whether a city or the province holds its fund (统筹区类型).",
    )
    is_delegated: bool = strawberry.field(
        default=False, description="For a county: it settles by delegation (受委托结算)."
    )
    is_sandbox: bool = strawberry.field(
        default=False, description="For a province: a sandbox without real data (沙箱)."
    )


@strawberry.type(description="The opened tenant, or what stood in the way.")
class TenantOpenPayload:
    tenant: str | None = strawberry.field(description="Code of the opened tenant (租户编码).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.input(description="A coefficient of one insurance type (系数).")
class CoefficientInput:
    insurance: str = strawberry.field(description="employee or resident (险种).")
    coefficient: ExactDecimal = strawberry.field(description="Exact decimal, at most 4 places (系数).")


@strawberry.input(
    description="Register a hospital's level, coefficients and agreements from a day on (登记等级、系数与协议)."
)
class HospitalStandingRegisterInput:
    idempotency_key: str = strawberry.field(description="A fresh random key; the same when retrying (幂等键).")
    hospital: str = strawberry.field(description="Institution code (机构编码).")
    effective_from: date = strawberry.field(description="In force from this day (生效日期).")
    level: str = strawberry.field(description="tertiary, secondary or primary (等级).")
    coefficients: list[CoefficientInput] = strawberry.field(description="By insurance type (系数).")
    agreement_insurances: list[str] = strawberry.field(description="Insurance types under agreement (协议险种).")
    agreement_until: date = strawberry.field(description="Last day of the agreement (协议止期).")
    document: str = strawberry.field(description="Policy document (文件依据).")
    agreement_mode: str = strawberry.field(
        default="dip", description="How the agreement pays: dip, per_diem, item, drg or capitation (协议支付方式)."
    )


@strawberry.type(description="The hospital, or what stood in the way.")
class HospitalPayload:
    hospital: Hospital | None = strawberry.field(description="The hospital (医院).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type
class RegistryMutation:
    @strawberry.mutation(description="Open a tenant (开通租户). Role: operator_admin.")
    async def tenant_open(self, info: Info, input: TenantOpenInput) -> TenantOpenPayload:
        context = info.context
        order = onboarding.NewTenant(
            kind=TenantKind(input.kind.value),
            code=input.code,
            name=input.name,
            parent=input.parent,
            area_kind=input.area_kind.value,
            is_delegated=input.is_delegated,
            is_sandbox=input.is_sandbox,
        )
        request = context.request(
            "tenantOpen",
            input.idempotency_key,
            {
                "kind": order.kind.value,
                "code": order.code,
                "name": order.name,
                "parent": order.parent,
                "is_delegated": order.is_delegated,
                "is_sandbox": order.is_sandbox,
                **({} if order.area_kind == "city" else {"area_kind": order.area_kind}),
            },
        )
        answer, errors = await answered(onboarding.open_tenant(context.platform, context.subject, request, order))
        return TenantOpenPayload(tenant=str(answer["id"]) if answer else None, user_errors=errors)

    @strawberry.mutation(
        description="Register a hospital's dated standing (登记等级、系数与协议). Role: city_settlement_clerk."
    )
    async def hospital_standing_register(self, info: Info, input: HospitalStandingRegisterInput) -> HospitalPayload:
        context = info.context
        order = standing.RegisterStanding(
            hospital=input.hospital,
            effective_from=input.effective_from,
            level=input.level,
            coefficients=tuple(standing.Coefficient(c.insurance, c.coefficient) for c in input.coefficients),
            agreement_insurances=tuple(input.agreement_insurances),
            agreement_until=input.agreement_until,
            document=input.document,
            agreement_mode=input.agreement_mode,
        )
        request = context.request(
            "hospitalStandingRegister",
            input.idempotency_key,
            {
                "hospital": order.hospital,
                "effective_from": order.effective_from.isoformat(),
                "level": order.level,
                "coefficients": [[c.insurance, str(c.coefficient)] for c in order.coefficients],
                "agreements": list(order.agreement_insurances),
                "until": order.agreement_until.isoformat(),
                "document": order.document,
                **({} if order.agreement_mode == "dip" else {"mode": order.agreement_mode}),
            },
        )
        answer, errors = await answered(standing.register_standing(context.platform, context.subject, request, order))
        view = await lookups.hospital(context.platform, context.subject, int(answer["id"])) if answer else None
        return HospitalPayload(hospital=Hospital.of(view) if view else None, user_errors=errors)
