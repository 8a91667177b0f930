"""Fund as the API shows it (基金): budgets, payments, audit deductions."""

from __future__ import annotations

from datetime import date, datetime
from enum import Enum

import strawberry

from fenzhi.services.fund import budgets, deductions, payments
from fenzhi_graphql.context import Info
from fenzhi_graphql.fund.budget_types import BudgetChangeGround, BudgetComposition, BudgetEffect
from fenzhi_graphql.jobs.types import uuid_of
from fenzhi_graphql.node import Node, finds
from fenzhi_graphql.paging import global_id
from fenzhi_graphql.scalars import ExactDecimal, Fen


@strawberry.enum(description="Insurance type of a pool (险种): employee (职工医保) or resident (居民医保).")
class Insurance(Enum):
    EMPLOYEE = "employee"
    RESIDENT = "resident"


@strawberry.enum(description="Whose treatment a pool pays (基金池范围): within the area (本地) or outside it (异地).")
class PoolScope(Enum):
    LOCAL = "local"
    OUT_OF_AREA = "out_of_area"


@strawberry.enum(
    description="A proposal that another person decides (审批状态): draft 待审批, approved 已批准, rejected 已驳回."
)
class ProposalState(Enum):
    DRAFT = "draft"
    APPROVED = "approved"
    REJECTED = "rejected"


@strawberry.type(description="One version of a pool's budget with its quarterly curve (基金池预算).")
class FundBudget(Node):
    area_code: str = strawberry.field(description="Code of the pooling area (统筹区).")
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    pool_scope: PoolScope = strawberry.field(description="Local or out of area (范围).")
    year: int = strawberry.field(description="Fund year (年度).")
    version: int = strawberry.field(description="Version within the pool and year, from 1 (版本).")
    annual_fen: Fen = strawberry.field(description="Annual DIP fund, in fen (年度DIP基金，分).")
    curve: list[ExactDecimal] = strawberry.field(
        description="Cumulative share of the year opened by the end of each quarter, four of them, the last 1 (季度累计进度)."
    )
    state: ProposalState = strawberry.field(description="State (状态).")
    document: str = strawberry.field(description="Policy document (文件依据).")
    reason: str = strawberry.field(description="Why this version (理由).")
    is_constructed: bool = strawberry.field(
        description="Whether the document was made up for a demonstration (是否构造)."
    )
    approved_at: datetime | None = strawberry.field(description="When it was decided (审批时间).")
    composition: BudgetComposition | None = strawberry.field(
        description="What it is made of, null where the DIP fund was stated (预算构成)."
    )
    change_ground: BudgetChangeGround | None = strawberry.field(description="Why it changes the year (调整事由).")
    effect: BudgetEffect | None = strawberry.field(
        description="What it would do, null for the first version of a year (调整影响)."
    )

    @staticmethod
    def of(view: budgets.BudgetView) -> FundBudget:
        return FundBudget(
            id=global_id("FundBudget", view.budget_id),
            area_code=view.area_code,
            insurance=Insurance(view.insurance),
            pool_scope=PoolScope(view.pool_scope),
            year=view.year,
            version=view.version,
            annual_fen=Fen(view.annual_fen),
            curve=[ExactDecimal(share.normalize()) for share in view.curve],
            state=ProposalState(view.state),
            document=view.document,
            reason=view.reason,
            is_constructed=view.is_constructed,
            approved_at=view.approved_at,
            composition=BudgetComposition.of(view.composition) if view.composition else None,
            change_ground=BudgetChangeGround(view.change_ground) if view.change_ground else None,
            effect=BudgetEffect.of(view.effect) if view.effect else None,
        )


@strawberry.enum(
    description="What of a statement a payment pays (所付部分): statement 结算单拨付额, beside 分值以外支付; a run deducts the first only."
)
class PaymentPart(Enum):
    STATEMENT = "statement"
    BESIDE = "beside"


@strawberry.type(description="A payment as it was made (拨付记录).")
class Payment(Node):
    run_id: strawberry.ID = strawberry.field(description="The run whose statement it pays (所属结算).")
    hospital_code: str = strawberry.field(description="Institution code (机构编码).")
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    pool_scope: PoolScope = strawberry.field(description="Local or out of area (范围).")
    year: int = strawberry.field(description="Fund year it counts in (年度).")
    voucher: str = strawberry.field(description="Voucher number, once per hospital (凭证号).")
    paid_on: date = strawberry.field(description="Day of payment (拨付日期).")
    amount_fen: Fen = strawberry.field(description="Amount paid, in fen (拨付额，分).")
    returned_fen: Fen = strawberry.field(description="Amount that came back, in fen (退回额，分).")
    recorded_at: datetime = strawberry.field(description="When it was recorded (登记时间).")
    part: PaymentPart = strawberry.field(description="What of the statement it pays (所付部分).")
    reverses: strawberry.ID | None = strawberry.field(description="The payment it reverses, if any (所冲正拨付).")
    reason: str = strawberry.field(description="Why it reverses, blank otherwise (冲正理由).")

    @staticmethod
    def of(view: payments.PaymentView) -> Payment:
        return Payment(
            id=global_id("Payment", view.payment_id),
            run_id=global_id("ClearingRun", view.run_id),
            hospital_code=view.hospital_code,
            insurance=Insurance(view.insurance),
            pool_scope=PoolScope(view.pool_scope),
            year=view.year,
            voucher=view.voucher,
            paid_on=view.paid_on,
            amount_fen=Fen(view.amount_fen),
            returned_fen=Fen(view.returned_fen),
            recorded_at=view.recorded_at,
            part=PaymentPart(view.part or "statement"),
            reverses=global_id("Payment", view.reverses) if view.reverses else None,
            reason=view.reason,
        )


@strawberry.type(description="An audit deduction of a hospital's settlement month (审核扣款).")
class AuditDeduction(Node):
    hospital_code: str = strawberry.field(description="Institution code (机构编码).")
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    pool_scope: PoolScope = strawberry.field(description="Local or out of area (范围).")
    year: int = strawberry.field(description="Fund year (年度).")
    month: int = strawberry.field(description="Settlement month, 1 to 12 (结算月份).")
    amount_fen: Fen = strawberry.field(description="Amount deducted, in fen, above 0 (扣款额，分).")
    reason: str = strawberry.field(description="Why (原因).")
    document: str = strawberry.field(description="Document (文件依据).")
    state: ProposalState = strawberry.field(description="State; only approved ones count (状态).")
    recorded_at: datetime = strawberry.field(description="When it was entered (录入时间).")
    approved_at: datetime | None = strawberry.field(description="When it was decided (审批时间).")

    @staticmethod
    def of(view: deductions.DeductionView) -> AuditDeduction:
        return AuditDeduction(
            id=global_id("AuditDeduction", view.deduction_id),
            hospital_code=view.hospital_code,
            insurance=Insurance(view.insurance),
            pool_scope=PoolScope(view.pool_scope),
            year=view.year,
            month=view.month,
            amount_fen=Fen(view.amount_fen),
            reason=view.reason,
            document=view.document,
            state=ProposalState(view.state),
            recorded_at=view.recorded_at,
            approved_at=view.approved_at,
        )


@finds("FundBudget")
async def find_budget(info: Info, key: str) -> FundBudget | None:
    """A budget of the caller's scope (按标识查预算)."""
    found = uuid_of(key)
    view = await budgets.budget(info.context.platform, info.context.subject, found) if found else None
    return FundBudget.of(view) if view else None


@finds("Payment")
async def find_payment(info: Info, key: str) -> Payment | None:
    """A payment of the caller's scope (按标识查拨付)."""
    found = uuid_of(key)
    view = await payments.payment(info.context.platform, info.context.subject, found) if found else None
    return Payment.of(view) if view else None


@finds("AuditDeduction")
async def find_deduction(info: Info, key: str) -> AuditDeduction | None:
    """An audit deduction of the caller's scope (按标识查扣款)."""
    found = uuid_of(key)
    view = await deductions.deduction(info.context.platform, info.context.subject, found) if found else None
    return AuditDeduction.of(view) if view else None
