"""How a budget is made up and what changing it would do, as the API shows it (预算构成与调整影响)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import strawberry

from fenzhi.rules.fund.budget import SetAside
from fenzhi_graphql.scalars import Fen


@strawberry.enum(description="How the DIP fund is found (编制方法): itemised 分项法, share 占比法, growth 增长率法.")
class BudgetMethodName(Enum):
    ITEMISED = "itemised"
    SHARE = "share"
    GROWTH = "growth"


@strawberry.enum(
    description="What leaves the inpatient fund before the points share it (预留与单列): reserve 预留金, adjustment 区域调节金, risk 风险金, "
    "out_of_area 异地就医, per_diem 床日付费, single_pay_drugs 单独支付药品, capitation 按人头包干, chronic_bundle 慢病打包, "
    "high_value_items 必需高值项目, single_disease 单病种, item 按项目, drg, icu_days 重症监护床日补充, rare_disease 罕见病."
)
class BudgetSetAside(Enum):
    RESERVE = "reserve"
    ADJUSTMENT = "adjustment"
    RISK = "risk"
    OUT_OF_AREA = "out_of_area"
    PER_DIEM = "per_diem"
    SINGLE_PAY_DRUGS = "single_pay_drugs"
    CAPITATION = "capitation"
    CHRONIC_BUNDLE = "chronic_bundle"
    HIGH_VALUE_ITEMS = "high_value_items"
    SINGLE_DISEASE = "single_disease"
    ITEM = "item"
    DRG = "drg"
    ICU_DAYS = "icu_days"
    RARE_DISEASE = "rare_disease"


@strawberry.enum(
    description="Why a budget changes within its year (调整事由): income 实际收入, visits 就诊量, benefit_change 待遇调整, "
    "epidemic 疫情, correction 更正."
)
class BudgetChangeGround(Enum):
    INCOME = "income"
    VISITS = "visits"
    BENEFIT_CHANGE = "benefit_change"
    EPIDEMIC = "epidemic"
    CORRECTION = "correction"


@strawberry.type(description="One thing kept back or paid by other means (一项预留或单列).")
class BudgetPart:
    part: BudgetSetAside = strawberry.field(description="What (项目).")
    zh: str = strawberry.field(description="Name in Chinese (中文名称).")
    fen: Fen = strawberry.field(description="Amount, in fen (金额，分).")


@strawberry.type(
    description="What a budget is made of; its parts and the DIP fund add up to the inpatient fund (预算构成)."
)
class BudgetComposition:
    method: BudgetMethodName = strawberry.field(description="Method (编制方法).")
    dip_fen: Fen = strawberry.field(description="DIP fund, in fen (DIP基金，分).")
    inpatient_fen: Fen = strawberry.field(description="Inpatient fund, in fen (住院基金，分).")
    total_fen: Fen = strawberry.field(description="Everything the fund may spend, in fen (基金总盘，分).")
    outpatient_fen: Fen = strawberry.field(description="Ordinary outpatient, in fen (普通门诊，分).")
    chronic_outpatient_fen: Fen = strawberry.field(description="Chronic outpatient, in fen (门诊慢特病，分).")
    risk_reserve_fen: Fen = strawberry.field(description="Risk reserve, in fen (风险储备，分).")
    parts: list[BudgetPart] = strawberry.field(description="What leaves first (预留与单列).")

    @staticmethod
    def of(plain: Mapping[str, Any]) -> BudgetComposition:
        return BudgetComposition(
            method=BudgetMethodName(plain["method"]),
            dip_fen=Fen(plain["dip_fen"]),
            inpatient_fen=Fen(plain["inpatient_fen"]),
            total_fen=Fen(plain["total_fen"]),
            outpatient_fen=Fen(plain["outpatient_fen"]),
            chronic_outpatient_fen=Fen(plain["chronic_outpatient_fen"]),
            risk_reserve_fen=Fen(plain["risk_reserve_fen"]),
            parts=[
                BudgetPart(part=BudgetSetAside(name), zh=SetAside(name).zh, fen=Fen(amount))
                for name, amount in sorted(plain["set_asides"].items())
            ],
        )


@strawberry.type(
    description="What a changed budget would make of one hospital in the last published quarter (机构影响)."
)
class BudgetHospitalEffect:
    hospital_code: str = strawberry.field(description="Institution code (机构编码).")
    gross_before_fen: Fen = strawberry.field(description="Gross as published, in fen (原应付，分).")
    gross_after_fen: Fen = strawberry.field(description="Gross it would be, in fen (调整后应付，分).")
    payable_before_fen: Fen = strawberry.field(description="Payable as published, in fen (原应拨付，分).")
    payable_after_fen: Fen = strawberry.field(description="Payable it would be, in fen (调整后应拨付，分).")


@strawberry.type(description="What a changed budget would do, worked out when it was proposed (调整影响).")
class BudgetEffect:
    annual_before_fen: Fen = strawberry.field(description="DIP fund in force then, in fen (原年度基金，分).")
    annual_after_fen: Fen = strawberry.field(description="DIP fund proposed, in fen (调整后年度基金，分).")
    quarter: int | None = strawberry.field(description="The last published quarter, by which it is shown (对照季度).")
    fund_before_fen: Fen | None = strawberry.field(description="Fund that quarter shared, in fen (原可分配基金，分).")
    fund_after_fen: Fen | None = strawberry.field(description="Fund it would share, in fen (调整后可分配基金，分).")
    point_value_before: str | None = strawberry.field(description="Point value as published (原点值).")
    point_value_after: str | None = strawberry.field(description="Point value it would be (调整后点值).")
    hospitals: list[BudgetHospitalEffect] = strawberry.field(description="Every hospital, by code (各机构影响).")

    @staticmethod
    def of(stored: Mapping[str, Any]) -> BudgetEffect:
        has_run = stored.get("run") is not None
        return BudgetEffect(
            annual_before_fen=Fen(stored["annual_before_fen"]),
            annual_after_fen=Fen(stored["annual_after_fen"]),
            quarter=stored["period"] if has_run else None,
            fund_before_fen=Fen(stored["fund_before_fen"]) if has_run else None,
            fund_after_fen=Fen(stored["fund_after_fen"]) if has_run else None,
            point_value_before=stored.get("point_value_before"),
            point_value_after=stored.get("point_value_after"),
            hospitals=[
                BudgetHospitalEffect(
                    hospital_code=code,
                    gross_before_fen=Fen(gross_before),
                    gross_after_fen=Fen(gross_after),
                    payable_before_fen=Fen(payable_before),
                    payable_after_fen=Fen(payable_after),
                )
                for code, gross_before, gross_after, payable_before, payable_after in stored.get("hospitals", ())
            ],
        )
