"""Point values as the API shows them (点值)."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import strawberry

from fenzhi.services.point_value import lookups
from fenzhi_graphql.clearing.working import Step, steps_of
from fenzhi_graphql.context import Info
from fenzhi_graphql.fund.types import Insurance, PoolScope
from fenzhi_graphql.jobs.types import uuid_of
from fenzhi_graphql.node import Node, finds
from fenzhi_graphql.paging import global_id
from fenzhi_graphql.scalars import ExactDecimal, Fen, exact_points


@strawberry.enum(
    description="Kind of a point value (点值类别): budget (预算点值, from three years of history) or settlement (结算点值, from fund and points)."
)
class PointValueKind(Enum):
    BUDGET = "budget"
    SETTLEMENT = "settlement"
    BARGAINED = "bargained"


@strawberry.enum(description="What its yuan are yuan of (点值口径): total cost (医疗总费用) or fund (医保基金).")
class PointValueBasis(Enum):
    TOTAL_COST = "total_cost"
    FUND = "fund"


@strawberry.enum(
    description="State (状态): draft 待审批, approved 已批准; of a settlement point value computed 已计算, published 已公布."
)
class PointValueState(Enum):
    DRAFT = "draft"
    APPROVED = "approved"
    COMPUTED = "computed"
    PUBLISHED = "published"


@strawberry.type(
    description="Yuan per point, kept as the four integers it is made of (点值). What is printed is rounded; what is paid is apportioned."
)
class PointValue(Node):
    area_code: str = strawberry.field(description="Code of the pooling area (统筹区).")
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    pool_scope: PoolScope = strawberry.field(description="Local or out of area (范围).")
    year: int = strawberry.field(description="Fund year (年度).")
    kind: PointValueKind = strawberry.field(description="Budget, settlement or bargained (类别).")
    basis: PointValueBasis = strawberry.field(description="Basis (口径).")
    state: PointValueState = strawberry.field(description="State (状态).")
    fund_fen: Fen = strawberry.field(description="Fund, in fen; of a budget point value the weighted cost (基金，分).")
    cost_fen: Fen = strawberry.field(description="Total cost, in fen (医疗总费用，分).")
    booked_fen: Fen = strawberry.field(description="Booked basic fund, in fen (记账统筹基金，分).")
    points: ExactDecimal = strawberry.field(description="Points (总分值).")
    printed: str = strawberry.field(
        description="Yuan per point with the published decimals, half up (公布点值，元/分)."
    )
    edition_id: strawberry.ID = strawberry.field(description="The catalog edition it prices (目录版本).")
    run_id: strawberry.ID | None = strawberry.field(
        description="The run it came from, for a settlement point value (结算)."
    )
    steps: list[Step] = strawberry.field(description="How it came about (计算过程).")
    computed_at: datetime = strawberry.field(description="When it was computed (计算时间).")
    approved_at: datetime | None = strawberry.field(description="When it was approved (审批时间).")

    @staticmethod
    def of(view: lookups.PointValueView) -> PointValue:
        return PointValue(
            id=global_id("PointValue", view.point_value_id),
            area_code=view.area_code,
            insurance=Insurance(view.insurance),
            pool_scope=PoolScope(view.pool_scope),
            year=view.year,
            kind=PointValueKind(view.kind),
            basis=PointValueBasis(view.basis),
            state=PointValueState(view.state),
            fund_fen=Fen(view.fund_fen),
            cost_fen=Fen(view.cost_fen),
            booked_fen=Fen(view.booked_fen),
            points=exact_points(view.points, view.points_decimals),
            printed=view.printed,
            edition_id=global_id("CatalogEdition", view.edition_id),
            run_id=global_id("ClearingRun", view.run_id) if view.run_id else None,
            steps=steps_of(view.working.get("steps", [])),
            computed_at=view.recorded_at,
            approved_at=view.approved_at,
        )


@finds("PointValue")
async def find_point_value(info: Info, key: str) -> PointValue | None:
    """A point value of the caller's scope (按标识查点值)."""
    found = uuid_of(key)
    view = await lookups.point_value_by_id(info.context.platform, info.context.subject, found) if found else None
    return PointValue.of(view) if view else None
