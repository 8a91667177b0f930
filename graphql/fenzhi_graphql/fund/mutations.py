"""Fund mutations (基金): budgets, payments, audit deductions."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import strawberry

from fenzhi.rules.fund.budget import BudgetMethod, SetAside
from fenzhi.rules.refusals import DataRefused, Refusal
from fenzhi.services.acts import as_id
from fenzhi.services.fund import budgets, deductions, payments
from fenzhi.services.fund.composition import Composition
from fenzhi_graphql.context import Info
from fenzhi_graphql.fund.budget_types import BudgetChangeGround, BudgetMethodName, BudgetSetAside
from fenzhi_graphql.fund.types import AuditDeduction, FundBudget, Insurance, Payment, PaymentPart, PoolScope
from fenzhi_graphql.outcomes import ERRORS, UserError, answered
from fenzhi_graphql.paging import key_of
from fenzhi_graphql.scalars import ExactDecimal, Fen

_KEY = "A fresh random key; the same when retrying (幂等键)."


@strawberry.input(description="One thing that is kept back or paid by other means (一项预留或单列).")
class SetAsideInput:
    part: BudgetSetAside = strawberry.field(description="What (项目).")
    fen: Fen = strawberry.field(description="Amount, in fen (金额，分).")


@strawberry.input(description="What a budget is made of (预算构成): item by item, by last year's share, or by growth.")
class FundBudgetCompositionInput:
    method: BudgetMethodName = strawberry.field(description="Method (编制方法).")
    set_asides: list[SetAsideInput] = strawberry.field(description="What leaves first, each once (预留与单列).")
    inpatient_fen: Fen = strawberry.field(default=Fen(0), description="Inpatient fund; itemised, share (住院基金，分).")
    outpatient_fen: Fen = strawberry.field(default=Fen(0), description="Ordinary outpatient fund (普通门诊，分).")
    chronic_outpatient_fen: Fen = strawberry.field(
        default=Fen(0), description="Chronic outpatient fund (门诊慢特病，分)."
    )
    risk_reserve_fen: Fen = strawberry.field(default=Fen(0), description="Risk reserve of the whole (风险储备，分).")
    last_dip_fen: Fen = strawberry.field(
        default=Fen(0), description="Last year's DIP fund; share, growth (上年DIP基金，分)."
    )
    last_inpatient_fen: Fen = strawberry.field(
        default=Fen(0), description="Last year's inpatient fund; share (上年住院基金，分)."
    )
    growth: ExactDecimal = strawberry.field(
        default=ExactDecimal(Decimal(0)), description="Growth, such as 0.05; growth (增长率)."
    )


@strawberry.input(description="Propose the next version of a pool's budget (编制预算).")
class FundBudgetProposeInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    pool_scope: PoolScope = strawberry.field(description="Local or out of area (范围).")
    year: int = strawberry.field(description="Fund year (年度).")
    curve: list[ExactDecimal] = strawberry.field(
        description="Four cumulative shares, 0 < c1 ≤ c2 ≤ c3 ≤ c4 = 1, at most 10 decimals (季度累计进度)."
    )
    document: str = strawberry.field(description="Policy document (文件依据).")
    reason: str = strawberry.field(description="Why this version (理由).")
    annual_fen: Fen | None = strawberry.field(
        default=None, description="Annual DIP fund, in fen; with a composition it follows from it (年度DIP基金，分)."
    )
    composition: FundBudgetCompositionInput | None = strawberry.field(
        default=None, description="What the budget is made of (预算构成)."
    )
    change_ground: BudgetChangeGround | None = strawberry.field(
        default=None, description="Why it changes; needed once runs of the year are published (调整事由)."
    )
    is_constructed: bool = strawberry.field(
        default=False, description="Whether the document was made up for a demonstration (是否构造)."
    )


@strawberry.input(description="Decide a proposed budget, as another person (审批预算).")
class FundBudgetDecideInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    budget: strawberry.ID = strawberry.field(description="The proposed budget (预算).")


@strawberry.type(description="The budget, or what stood in the way.")
class FundBudgetPayload:
    budget: FundBudget | None = strawberry.field(description="The budget (预算).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.input(description="Record a payment on a published statement (登记拨付).")
class PaymentRecordInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    run: strawberry.ID = strawberry.field(description="The published run (结算).")
    hospital: str = strawberry.field(description="Institution code (机构编码).")
    voucher: str = strawberry.field(description="Voucher number, once per hospital (凭证号).")
    paid_on: date = strawberry.field(description="Day of payment, not in the future (拨付日期).")
    amount_fen: Fen = strawberry.field(description="Amount paid, in fen (拨付额，分).")
    returned_fen: Fen = strawberry.field(default=Fen(0), description="Amount that came back, in fen (退回额，分).")
    part: PaymentPart = strawberry.field(
        default=PaymentPart.STATEMENT,
        description="The statement's transfer, or what is paid beside the points (所付部分).",
    )


@strawberry.type(description="The payment, or what stood in the way.")
class PaymentPayload:
    payment: Payment | None = strawberry.field(description="The payment (拨付).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.input(description="Reverse a payment recorded wrongly (冲正拨付).")
class PaymentReverseInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    payment: strawberry.ID = strawberry.field(description="The payment (拨付).")
    reason: str = strawberry.field(description="Why (理由).")


@strawberry.input(description="Enter an audit deduction (录入审核扣款).")
class AuditDeductionEnterInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    hospital: str = strawberry.field(description="Institution code (机构编码).")
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    pool_scope: PoolScope = strawberry.field(description="Local or out of area (范围).")
    year: int = strawberry.field(description="Fund year (年度).")
    month: int = strawberry.field(description="Settlement month it belongs to, 1 to 12 (结算月份).")
    amount_fen: Fen = strawberry.field(description="Amount, in fen, above 0 (扣款额，分).")
    reason: str = strawberry.field(description="Why (原因).")
    document: str = strawberry.field(description="Document (文件依据).")


@strawberry.input(description="Decide an audit deduction, as another person (审批扣款).")
class AuditDeductionDecideInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    deduction: strawberry.ID = strawberry.field(description="The deduction (扣款).")


@strawberry.type(description="The deduction, or what stood in the way.")
class AuditDeductionPayload:
    deduction: AuditDeduction | None = strawberry.field(description="The deduction (扣款).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


async def _decide_budget(info: Info, input: FundBudgetDecideInput, operation: str, approve: bool) -> FundBudgetPayload:
    context = info.context

    async def act() -> dict[str, object]:
        key = key_of(str(input.budget), "FundBudget", "budget")
        request = context.request(operation, input.idempotency_key, {"budget": key})
        return await budgets.decide_budget(context.platform, context.subject, request, key, approve=approve)

    answer, errors = await answered(act())
    return FundBudgetPayload(budget=await _budget(info, answer), user_errors=errors)


async def _budget(info: Info, answer: dict[str, object] | None) -> FundBudget | None:
    if answer is None:
        return None
    view = await budgets.budget(info.context.platform, info.context.subject, as_id(str(answer["id"]), "budget"))
    return FundBudget.of(view) if view else None


async def _decide_deduction(
    info: Info, input: AuditDeductionDecideInput, operation: str, approve: bool
) -> AuditDeductionPayload:
    context = info.context

    async def act() -> dict[str, object]:
        key = key_of(str(input.deduction), "AuditDeduction", "deduction")
        request = context.request(operation, input.idempotency_key, {"deduction": key})
        return await deductions.decide_deduction(context.platform, context.subject, request, key, approve=approve)

    answer, errors = await answered(act())
    return AuditDeductionPayload(deduction=await _deduction(info, answer), user_errors=errors)


async def _deduction(info: Info, answer: dict[str, object] | None) -> AuditDeduction | None:
    if answer is None:
        return None
    view = await deductions.deduction(
        info.context.platform, info.context.subject, as_id(str(answer["id"]), "deduction")
    )
    return AuditDeduction.of(view) if view else None


def _composition(given: FundBudgetCompositionInput | None) -> Composition | None:
    if given is None:
        return None
    parts = [SetAside(one.part.value) for one in given.set_asides]
    twice = sorted({part.value for part in parts if parts.count(part) > 1})
    if twice:
        raise DataRefused(
            tuple(
                Refusal("SET_ASIDE_TWICE", "composition.setAsides", part, "同一预留或单列项目出现两次。",
                        "A set-aside stands in the composition twice.", "合并为一项。", "Give each once.")
                for part in twice
            )
        )  # fmt: skip
    return Composition(
        method=BudgetMethod(given.method.value),
        set_asides=dict(zip(parts, (one.fen for one in given.set_asides), strict=True)),
        inpatient_fen=given.inpatient_fen,
        outpatient_fen=given.outpatient_fen,
        chronic_outpatient_fen=given.chronic_outpatient_fen,
        risk_reserve_fen=given.risk_reserve_fen,
        last_dip_fen=given.last_dip_fen,
        last_inpatient_fen=given.last_inpatient_fen,
        growth=Fraction(given.growth),
    )


@strawberry.type
class FundMutation:
    @strawberry.mutation(
        description="Propose the next version of a pool's budget (编制预算). Role: city_settlement_clerk."
    )
    async def fund_budget_propose(self, info: Info, input: FundBudgetProposeInput) -> FundBudgetPayload:
        context = info.context

        async def act() -> dict[str, object]:
            order = budgets.ProposeBudget(
                insurance=input.insurance.value,
                pool_scope=input.pool_scope.value,
                year=input.year,
                annual_fen=input.annual_fen,
                curve=tuple(input.curve),
                document=input.document,
                reason=input.reason,
                is_constructed=input.is_constructed,
                composition=_composition(input.composition),
                change_ground=input.change_ground.value if input.change_ground else None,
            )
            request = context.request(
                "fundBudgetPropose",
                input.idempotency_key,
                {
                    "insurance": order.insurance,
                    "pool_scope": order.pool_scope,
                    "year": order.year,
                    "annual_fen": str(order.annual_fen),
                    "composition": order.composition.plain() if order.composition else None,
                    "change_ground": order.change_ground,
                    "curve": [str(share) for share in order.curve],
                    "document": order.document,
                    "reason": order.reason,
                    "is_constructed": order.is_constructed,
                },
            )
            return await budgets.propose_budget(context.platform, context.subject, request, order)

        answer, errors = await answered(act())
        return FundBudgetPayload(budget=await _budget(info, answer), user_errors=errors)

    @strawberry.mutation(
        description="Approve a proposed budget, as another person than its proposer (批准预算). Role: city_settlement_approver."
    )
    async def fund_budget_approve(self, info: Info, input: FundBudgetDecideInput) -> FundBudgetPayload:
        return await _decide_budget(info, input, "fundBudgetApprove", True)

    @strawberry.mutation(
        description="Reject a proposed budget, as another person than its proposer (驳回预算). Role: city_settlement_approver."
    )
    async def fund_budget_reject(self, info: Info, input: FundBudgetDecideInput) -> FundBudgetPayload:
        return await _decide_budget(info, input, "fundBudgetReject", False)

    @strawberry.mutation(
        description="Record a payment (登记拨付). Roles: city_settlement_clerk, county_settlement_clerk for its hospitals."
    )
    async def payment_record(self, info: Info, input: PaymentRecordInput) -> PaymentPayload:
        context = info.context

        async def act() -> dict[str, object]:
            run_id = key_of(str(input.run), "ClearingRun", "run")
            order = payments.RecordPayment(
                run_id=run_id,
                hospital=input.hospital,
                voucher=input.voucher,
                paid_on=input.paid_on,
                amount_fen=input.amount_fen,
                returned_fen=input.returned_fen,
                part="" if input.part is PaymentPart.STATEMENT else input.part.value,
            )
            request = context.request(
                "paymentRecord",
                input.idempotency_key,
                {
                    "run": run_id,
                    "hospital": order.hospital,
                    "voucher": order.voucher,
                    "paid_on": order.paid_on.isoformat(),
                    "amount_fen": str(order.amount_fen),
                    "returned_fen": str(order.returned_fen),
                    **({"part": order.part} if order.part else {}),
                },
            )
            return await payments.record_payment(context.platform, context.subject, request, order)

        answer, errors = await answered(act())
        view = None
        if answer:
            key = as_id(str(answer["id"]), "payment")
            view = await payments.payment(context.platform, context.subject, key)
        return PaymentPayload(payment=Payment.of(view) if view else None, user_errors=errors)

    @strawberry.mutation(
        description="Reverse a payment recorded wrongly: it stays, an opposite one stands beside it (冲正拨付). "
        "Roles: city_settlement_clerk, county_settlement_clerk for its hospitals."
    )
    async def payment_reverse(self, info: Info, input: PaymentReverseInput) -> PaymentPayload:
        context = info.context

        async def act() -> dict[str, object]:
            key = key_of(str(input.payment), "Payment", "payment")
            request = context.request("paymentReverse", input.idempotency_key, {"payment": key, "reason": input.reason})
            return await payments.reverse_payment(context.platform, context.subject, request, key, input.reason)

        answer, errors = await answered(act())
        view = None
        if answer:
            view = await payments.payment(context.platform, context.subject, as_id(str(answer["id"]), "payment"))
        return PaymentPayload(payment=Payment.of(view) if view else None, user_errors=errors)

    @strawberry.mutation(
        description="Enter an audit deduction (录入审核扣款). Roles: county_auditor for its hospitals, city_settlement_clerk."
    )
    async def audit_deduction_enter(self, info: Info, input: AuditDeductionEnterInput) -> AuditDeductionPayload:
        context = info.context
        order = deductions.EnterDeduction(
            hospital=input.hospital,
            insurance=input.insurance.value,
            pool_scope=input.pool_scope.value,
            year=input.year,
            month=input.month,
            amount_fen=input.amount_fen,
            reason=input.reason,
            document=input.document,
        )
        request = context.request(
            "auditDeductionEnter",
            input.idempotency_key,
            {
                "hospital": order.hospital,
                "insurance": order.insurance,
                "pool_scope": order.pool_scope,
                "year": order.year,
                "month": order.month,
                "amount_fen": str(order.amount_fen),
                "reason": order.reason,
                "document": order.document,
            },
        )
        answer, errors = await answered(deductions.enter_deduction(context.platform, context.subject, request, order))
        return AuditDeductionPayload(deduction=await _deduction(info, answer), user_errors=errors)

    @strawberry.mutation(
        description="Approve an audit deduction, as another person (批准扣款). "
        "Roles: city_settlement_approver, county_settlement_approver by delegation."
    )
    async def audit_deduction_approve(self, info: Info, input: AuditDeductionDecideInput) -> AuditDeductionPayload:
        return await _decide_deduction(info, input, "auditDeductionApprove", True)

    @strawberry.mutation(
        description="Reject an audit deduction, as another person (驳回扣款). "
        "Roles: city_settlement_approver, county_settlement_approver by delegation."
    )
    async def audit_deduction_reject(self, info: Info, input: AuditDeductionDecideInput) -> AuditDeductionPayload:
        return await _decide_deduction(info, input, "auditDeductionReject", False)
