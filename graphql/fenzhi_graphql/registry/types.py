"""Registry as the API shows it (机构登记)."""

from __future__ import annotations

from datetime import date

import strawberry

from fenzhi.services.registry import lookups
from fenzhi_graphql.context import Info
from fenzhi_graphql.node import Node, finds
from fenzhi_graphql.paging import global_id
from fenzhi_graphql.scalars import ExactDecimal


@strawberry.type(description="A pooling area: the tenant that holds the money (统筹区).")
class PoolingArea(Node):
    code: str = strawberry.field(description="Division code (区划代码).")
    name: str = strawberry.field(description="Name (名称).")
    kind: str = strawberry.field(description="city, province or county (层级).")

    @staticmethod
    def of(view: lookups.AreaView) -> PoolingArea:
        return PoolingArea(id=global_id("PoolingArea", view.area_id), code=view.code, name=view.name, kind=view.kind)


@strawberry.type(description="A county that audits and, by delegation, settles (县区).")
class County(Node):
    code: str = strawberry.field(description="Division code (区划代码).")
    name: str = strawberry.field(description="Name (名称).")
    area_code: str = strawberry.field(description="Code of its pooling area (所属统筹区).")
    is_delegated: bool = strawberry.field(
        description="Whether settlement is delegated to it where the policy delegation.counties says nothing (登记的委托结算标志)."
    )

    @staticmethod
    def of(view: lookups.CountyView) -> County:
        return County(
            id=global_id("County", view.county_id),
            code=view.code,
            name=view.name,
            area_code=view.area_code,
            is_delegated=view.is_delegated,
        )


@strawberry.type(description="A dated level of a hospital (医院等级).")
class Standing:
    effective_from: date = strawberry.field(description="In force from this day (生效日期).")
    level: str = strawberry.field(description="tertiary, secondary or primary (等级).")
    document: str = strawberry.field(description="Policy document (文件依据).")


@strawberry.type(description="A dated hospital coefficient of one insurance type (医疗机构系数).")
class HospitalCoefficient:
    insurance: str = strawberry.field(description="employee or resident (险种).")
    effective_from: date = strawberry.field(description="In force from this day (生效日期).")
    coefficient: ExactDecimal = strawberry.field(description="Exact decimal, at most 4 places (系数).")
    document: str = strawberry.field(description="Policy document (文件依据).")


@strawberry.type(description="An agreement of a hospital for one insurance type (医保服务协议).")
class Agreement:
    insurance: str = strawberry.field(description="employee or resident (险种).")
    valid_from: date = strawberry.field(description="First day (起期).")
    valid_to: date = strawberry.field(description="Last day (止期).")
    payment_mode: str = strawberry.field(description="dip, or another mode settled elsewhere (支付方式).")


@strawberry.type(description="A hospital (定点医疗机构).")
class Hospital(Node):
    code: str = strawberry.field(description="National institution code (机构编码).")
    name: str = strawberry.field(description="Name (名称).")
    area_code: str = strawberry.field(description="Code of its pooling area (统筹区).")
    county_code: str | None = strawberry.field(description="Code of its county, if it has one (县区).")
    number: strawberry.Private[int]
    area_number: strawberry.Private[int]

    @strawberry.field(description="Dated levels (等级沿革).")
    async def standings(self, info: Info) -> list[Standing]:
        history = await self._history(info)
        return [
            Standing(effective_from=s.effective_from, level=s.level, document=s.document) for s in history.standings
        ]

    @strawberry.field(description="Dated coefficients by insurance type (系数沿革).")
    async def coefficients(self, info: Info) -> list[HospitalCoefficient]:
        history = await self._history(info)
        return [
            HospitalCoefficient(
                insurance=c.insurance,
                effective_from=c.effective_from,
                coefficient=ExactDecimal(c.coefficient),
                document=c.document,
            )
            for c in history.coefficients
        ]

    @strawberry.field(description="Agreements by insurance type (协议).")
    async def agreements(self, info: Info) -> list[Agreement]:
        history = await self._history(info)
        return [
            Agreement(insurance=a.insurance, valid_from=a.valid_from, valid_to=a.valid_to, payment_mode=a.payment_mode)
            for a in history.agreements
        ]

    async def _history(self, info: Info) -> lookups.HospitalHistory:
        context = info.context
        return await lookups.hospital_history(context.platform, context.subject, self.area_number, self.number)

    @staticmethod
    def of(view: lookups.HospitalView) -> Hospital:
        return Hospital(
            id=global_id("Hospital", view.hospital_id),
            code=view.code,
            name=view.name,
            area_code=view.area_code,
            county_code=view.county_code,
            number=view.hospital_id,
            area_number=view.area_id,
        )


@finds("Hospital")
async def find_hospital(info: Info, key: str) -> Hospital | None:
    """A hospital of the caller's scope (按标识查医院)."""
    view = await lookups.hospital(info.context.platform, info.context.subject, int(key)) if key.isdecimal() else None
    return Hospital.of(view) if view else None


@finds("PoolingArea")
async def find_area(info: Info, key: str) -> PoolingArea | None:
    """A pooling area of the caller's scope (按标识查统筹区)."""
    views = await lookups.areas(info.context.platform, info.context.subject)
    return next((PoolingArea.of(view) for view in views if str(view.area_id) == key), None)


@finds("County")
async def find_county(info: Info, key: str) -> County | None:
    """A county of the caller's scope (按标识查县区)."""
    views = await lookups.counties(info.context.platform, info.context.subject)
    return next((County.of(view) for view in views if str(view.county_id) == key), None)
