"""Scorecards as the API shows them (考核评价)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum

import strawberry

from fenzhi.services.scorecard import lookups
from fenzhi_graphql.context import Info
from fenzhi_graphql.jobs.types import uuid_of
from fenzhi_graphql.node import Node, finds
from fenzhi_graphql.paging import global_id
from fenzhi_graphql.scalars import ExactDecimal


@strawberry.enum(description="A light (三色预警).")
class TrafficLight(Enum):
    GREEN = strawberry.enum_value("green", description="绿")
    YELLOW = strawberry.enum_value("yellow", description="黄")
    RED = strawberry.enum_value("red", description="红")
    GREY = strawberry.enum_value("grey", description="Cannot be judged (无法判定).")


@strawberry.type(description="One indicator with both of its parts (指标).")
class ScorecardIndicator:
    code: str = strawberry.field(description="Code, such as cmi (代码).")
    name: str = strawberry.field(description="Name in Chinese (名称).")
    name_en: str = strawberry.field(description="Name in English.")
    formula: str = strawberry.field(description="How it is computed (公式).")
    unit: str = strawberry.field(description="Unit: ratio, share or yuan (单位).")
    numerator: ExactDecimal = strawberry.field(description="Numerator, printed with six places (分子).")
    denominator: ExactDecimal = strawberry.field(description="Denominator, printed with six places (分母).")
    value: ExactDecimal | None = strawberry.field(
        description="Value with four places, half up; null without a denominator (值)."
    )
    light: TrafficLight = strawberry.field(
        description="Light of this indicator; grey where policy judges it not (预警)."
    )
    reason: str = strawberry.field(description="Why there is no value, else blank (无值原因).")


@strawberry.type(description="A hospital's scorecard of one quarter (考核评价).")
class Scorecard(Node):
    hospital_code: str = strawberry.field(description="Institution code (机构编码).")
    hospital_name: str = strawberry.field(description="Name (机构名称).")
    year: int = strawberry.field(description="Year (年度).")
    quarter: int = strawberry.field(description="Quarter, 1 to 4 (季度).")
    state: str = strawberry.field(description="draft, approved, published or withdrawn (状态).")
    light: TrafficLight = strawberry.field(description="Overall light (总体预警).")
    policy_fingerprint: str = strawberry.field(description="SHA-256 of the policy it was judged by (政策指纹).")
    published_at: datetime | None = strawberry.field(description="When it was published (公布时间).")
    indicators: list[ScorecardIndicator] = strawberry.field(description="Indicators in order (指标).")
    hospital_number: strawberry.Private[int]

    @staticmethod
    def of(view: lookups.ScorecardView) -> Scorecard:
        return Scorecard(
            id=global_id("Scorecard", view.scorecard_id),
            hospital_code=view.hospital_code,
            hospital_name=view.hospital_name,
            year=view.year,
            quarter=view.quarter,
            state=view.state,
            light=TrafficLight(view.light),
            policy_fingerprint=view.policy_fingerprint,
            published_at=view.published_at,
            indicators=[
                ScorecardIndicator(
                    code=line.code,
                    name=line.zh,
                    name_en=line.en,
                    formula=line.formula,
                    unit=line.unit,
                    numerator=ExactDecimal(line.numerator),
                    denominator=ExactDecimal(line.denominator),
                    value=ExactDecimal(Decimal(line.value)) if line.value else None,
                    light=TrafficLight(line.light),
                    reason=line.reason,
                )
                for line in view.indicators
            ],
            hospital_number=view.hospital_id,
        )


async def scorecard_in_scope(info: Info, key: str) -> Scorecard | None:
    """A scorecard of the caller's scope."""
    scorecard_id = uuid_of(key)
    if scorecard_id is None:
        return None
    view = await lookups.scorecard_by_id(info.context.platform, info.context.subject, scorecard_id)
    return Scorecard.of(view) if view else None


@finds("Scorecard")
async def find_scorecard(info: Info, key: str) -> Scorecard | None:
    """A scorecard of the caller's scope (按标识查评价)."""
    return await scorecard_in_scope(info, key)
