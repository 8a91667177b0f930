"""What a passed case is worth (特例单议结果): valued by one person, approved by another, paid in score or beside the pool."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, func

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject, require_second_person
from fenzhi.rules.fund.ledger import off_pool_entries, payment_entries
from fenzhi.rules.refusals import Conflict, DataRefused, Refusal
from fenzhi.rules.review.outcome import SpecialFunding, award_points
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.services.clearing.freezing import price_of
from fenzhi.services.clearing.runs import local_pool
from fenzhi.services.fund.books import post
from fenzhi.services.fund.faults import amount_fault, text_fault
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.services.review.applications import found_case, moved
from fenzhi.services.review.cycles import year_is_closing
from fenzhi.store.repositories import cases, fund, point_value
from fenzhi.store.repositories.fund import Pool
from fenzhi.store.session import UnitOfWork

POINTS_MOST = Decimal(10) ** 9


@dataclass(frozen=True, slots=True)
class Value:
    """An order to value a passed case (拟定结果). A verdict of item takes an amount in fen, one of adjusted takes points."""

    award_fen: int | None
    award_points: Decimal | None
    document: str
    reason: str


def pool_of(row: Row[Any]) -> Pool:
    """The fund pool of an application (基金池)."""
    return (row.insurance, row.pool_scope, row.year)


async def value_case(platform: Platform, clerk: Subject, request: Request, special_case: str, order: Value) -> Answer:
    """Value a case as the panel voted (拟定特例单议结果).

    Item: in score, the amount is yuan of total cost and becomes points once, at the approved budget point value; off pool, it is what the
    fund pays beside the pool. Adjusted: the points the case has instead of its own. Policy: special_case.funding.
    Changes: special_case voted → valued. Raises: NotFound, DataRefused, Conflict SPECIAL_CASE_STATE, POINT_VALUE_NOT_APPROVED,
    BasisMismatch, PolicyNotEntered.
    """
    faults = text_fault("DOCUMENT_MISSING", "document", order.document, "依据文件", "The document")
    faults += text_fault("REASON_MISSING", "reason", order.reason, "理由", "The reason")

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        row = await found_case(uow, special_case)
        values = await _valued(uow, row, order) if row.state == "voted" else {}
        who = {"proposed_by_person": uuid.UUID(uow.scope.person_id), "document": order.document, "reason": order.reason}
        return await moved(uow, row, ("voted",), {"state": "valued"} | values | who)

    return await act(platform, clerk, Duty.RUN_REVIEW, request, effect)


async def _valued(uow: UnitOfWork, row: Row[Any], order: Value) -> dict[str, Any]:
    found = await point_value.budget_in_force(uow, local_pool(pool_of(row)))
    if found is None:
        raise Conflict(
            "该基金池没有已批准的预算点值。",
            "The pool has no approved budget point value.",
            code="POINT_VALUE_NOT_APPROVED",
        )
    price = price_of(found)
    priced = {"point_value_id": found.point_value_id, "points_decimals": price.points_decimals}
    if row.verdict == "adjusted":
        unit = Decimal(10) ** price.points_decimals
        points = order.award_points
        if points is None or order.award_fen is not None or not 0 <= points <= POINTS_MOST or points * unit % 1:
            raise DataRefused((Refusal("AWARD_POINTS", "awardPoints", str(points),
                f"表决为调整分值，须只填分值，至多 {price.points_decimals} 位小数。",
                f"The vote was for adjusted points: give points alone, with at most {price.points_decimals} decimals.",
                "按评审意见填写分值。", "Give the points of the panel."),))  # fmt: skip
        return priced | {
            "funding": SpecialFunding.IN_SCORE.value,
            "award_points": int(points * unit),
            "award_fen": None,
        }
    if order.award_fen is None or order.award_points is not None:
        raise DataRefused((Refusal("AWARD_FEN", "awardFen", str(order.award_fen), "表决为按项目付费，须只填金额。",
            "The vote was for item payment: give an amount alone.", "按评审意见填写金额。",
            "Give the amount of the panel."),))  # fmt: skip
    case = await cases.case_by_id(uow, row.case_id)
    if case is None or case.superseded_by is not None:
        raise Conflict("该病例已被更正的清单取代。", "A corrected list has replaced the case.", code="CASE_REPLACED")
    out_of_range = amount_fault("awardFen", order.award_fen, at_least=0)
    if order.award_fen > case.total_fen:
        out_of_range.append(Refusal("AWARD_ABOVE_COST", "awardFen", str(order.award_fen), "核定金额超过该病例的医疗总费用。",
                                    "The award exceeds the cost of the case.", "核对金额。", "Check the amount."))  # fmt: skip
    if out_of_range:
        raise DataRefused(tuple(out_of_range))
    policy = await resolved_policy(uow, case.discharge_date, insurance=row.insurance)
    funding = SpecialFunding(policy.method("special_case.funding"))
    points_of = award_points(order.award_fen, price) if funding is SpecialFunding.IN_SCORE else None
    return priced | {"funding": funding.value, "award_points": points_of, "award_fen": order.award_fen}


async def decide_value(
    platform: Platform, approver: Subject, request: Request, special_case: str, *, approve: bool
) -> Answer:
    """Approve a valued case, as another person, or send it back (批准或退回特例单议结果).

    Approved, it enters every later run of its year, once; an off-pool payment is owed to the hospital from now on. A year whose annual
    run has begun takes nothing more. Changes: special_case valued → approved | voted, ledger_entry.
    Raises: NotFound, SamePerson, Conflict SPECIAL_CASE_STATE, PERIOD_CLOSED.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        row = await found_case(uow, special_case)
        if row.proposed_by_person is not None:
            require_second_person(str(row.proposed_by_person), uow.scope.person_id)
        if not approve:
            empty = dict.fromkeys(("funding", "award_fen", "award_points", "points_decimals", "point_value_id"))
            return await moved(uow, row, ("valued",), {"state": "voted"} | empty)
        await fund.lock_pool(uow, pool_of(row))
        if await year_is_closing(uow, pool_of(row)):
            raise Conflict(
                "该年度清算已发起，不再接收特例单议结果。",
                "The annual clearing of the year has begun: it takes no more outcomes.",
                code="PERIOD_CLOSED",
                hint="先作废未公布的年度清算 / void the annual run if it is not published",
            )
        values = {
            "state": "approved",
            "approved_by_person": uuid.UUID(uow.scope.person_id),
            "approved_at": func.now(),
        }
        answer = await moved(uow, row, ("valued",), values)
        if row.funding == SpecialFunding.OFF_POOL.value:
            entries = off_pool_entries(row.hospital_code, row.award_fen, "特例单议池外支付")
            await post(uow, pool_of(row), "review", row.special_case_id, entries, {row.hospital_code: row.hospital_id})
        return answer

    return await act(platform, approver, Duty.APPROVE_REVIEW, request, effect)


async def pay_case(
    platform: Platform, clerk: Subject, request: Request, special_case: str, voucher: str, paid_on: date
) -> Answer:
    """Record that an off-pool award was paid (登记池外拨付). It is no payment on a statement and no run deducts it.

    Changes: special_case approved → paid, ledger_entry. Raises: NotFound, DataRefused, Conflict SPECIAL_CASE_STATE, NOT_OFF_POOL,
    VOUCHER_USED.
    """
    faults = text_fault("VOUCHER_MISSING", "voucher", voucher, "拨付凭证号", "The voucher")

    async def effect(uow: UnitOfWork) -> Answer:
        found = list(faults)
        if paid_on > await uow.today():
            found.append(Refusal("PAID_IN_FUTURE", "paidOn", paid_on.isoformat(), "拨付日期晚于今天。",
                                 "The day of payment lies in the future.", "拨付后再登记。", "Record it once it is paid."))  # fmt: skip
        if found:
            raise DataRefused(tuple(found))
        row = await found_case(uow, special_case)
        if row.funding == SpecialFunding.IN_SCORE.value:
            raise Conflict(
                "该结果已折算分值，随结算单拨付。",
                "The award is in the points: its statement pays it.",
                code="NOT_OFF_POOL",
            )
        if await fund.voucher_used(uow, row.hospital_id, voucher):
            raise Conflict(f"凭证号 {voucher} 已登记。", f"Voucher {voucher} is recorded already.", code="VOUCHER_USED")
        answer = await moved(uow, row, ("approved",), {"state": "paid", "voucher": voucher, "paid_on": paid_on})
        entries = payment_entries(row.hospital_code, row.award_fen, f"特例单议拨付，凭证 {voucher}")
        await post(uow, pool_of(row), "review", row.special_case_id, entries, {row.hospital_code: row.hospital_id})
        return answer

    return await act(platform, clerk, Duty.PAY_SPECIAL_CASE, request, effect)
