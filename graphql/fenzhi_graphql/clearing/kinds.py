"""What a run settles and where it stands (结算类型与状态)."""

from __future__ import annotations

from enum import Enum

import strawberry


@strawberry.enum(
    description="What a run settles (结算类型): a month on account (月度预结算), a quarter (季度清算) or the year (年度清算)."
)
class ClearingKind(Enum):
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


@strawberry.enum(
    description="State of a run (结算状态): computing 计算中, computed 待审批, issued 年度结算单待机构答复, approved 待公布, published 已公布 (never changes), "
    "voided 已作废, stopped 已中止 (a law or a rule refused it; nothing was recorded)."
)
class ClearingState(Enum):
    COMPUTING = "computing"
    COMPUTED = "computed"
    ISSUED = "issued"
    APPROVED = "approved"
    PUBLISHED = "published"
    VOIDED = "voided"
    STOPPED = "stopped"
