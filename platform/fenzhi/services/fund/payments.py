"""Payments as they were made (拨付登记): what is deducted later is what was paid, never what was payable."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.fund.delegation import DelegatedDuty
from fenzhi.rules.fund.ledger import payment_entries, reversal
from fenzhi.rules.refusals import Conflict, DataRefused, NotFound, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act, as_id, looking
from fenzhi.services.deadlines.clocks import meet_payment
from fenzhi.services.fund.advances import refuse_closed
from fenzhi.services.fund.books import post
from fenzhi.services.fund.faults import amount_fault, text_fault
from fenzhi.services.registry.delegation import require_delegation
from fenzhi.store.repositories import clearing, fund, registry
from fenzhi.store.session import UnitOfWork


@dataclass(frozen=True, slots=True)
class RecordPayment:
    """An order to record a payment (登记拨付). Units: fen. Money that came back is `returned_fen`."""

    run_id: str
    hospital: str
    voucher: str
    paid_on: date
    amount_fen: int
    returned_fen: int
    part: str = ""
    """`beside`: what is paid beside the points; blank: the statement's transfer."""


@dataclass(frozen=True, slots=True)
class PaymentView:
    """A payment as recorded (拨付记录). Units: fen."""

    payment_id: uuid.UUID
    run_id: uuid.UUID
    hospital_code: str
    insurance: str
    pool_scope: str
    year: int
    voucher: str
    paid_on: date
    amount_fen: int
    returned_fen: int
    recorded_at: datetime
    reverses: uuid.UUID | None
    reason: str
    part: str


def _view(row: Row[Any]) -> PaymentView:
    return PaymentView(
        row.payment_id,
        row.run_id,
        row.hospital_code,
        row.insurance,
        row.pool_scope,
        row.year,
        row.voucher,
        row.paid_on,
        row.amount_fen,
        row.returned_fen,
        row.recorded_at,
        row.reverses,
        row.reason,
        row.part,
    )


def _faults(order: RecordPayment, today: date) -> list[Refusal]:
    found = text_fault("VOUCHER_MISSING", "voucher", order.voucher, "拨付凭证号", "The voucher")
    found += amount_fault("amountFen", order.amount_fen, at_least=0)
    found += amount_fault("returnedFen", order.returned_fen, at_least=0)
    if order.amount_fen == 0 and order.returned_fen == 0:
        found.append(
            Refusal("AMOUNT_RANGE", "amountFen", "0", "拨付额与退回额不能同时为 0。",
                    "Amount and amount returned are both 0.", "核对金额。", "Check the amounts.")
        )  # fmt: skip
    if order.paid_on > today:
        found.append(
            Refusal("PAID_IN_FUTURE", "paidOn", order.paid_on.isoformat(), "拨付日期晚于今天。",
                    "The day of payment lies in the future.", "拨付后再登记。", "Record it once it is paid.")
        )  # fmt: skip
    return found


async def record_payment(platform: Platform, clerk: Subject, request: Request, order: RecordPayment) -> Answer:
    """Record a payment on a published run's statement, or money that a hospital returned (登记拨付).

    A county records by delegation and only for its own hospitals. Changes: payment (append-only).
    Raises: NotFound for a run that is not published or a hospital without a statement in it, Conflict VOUCHER_USED, DataRefused.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        await require_delegation(uow, DelegatedDuty.PAYMENT)
        faults = _faults(order, await uow.today())
        if faults:
            raise DataRefused(tuple(faults))
        run = await clearing.run_by_id(uow, as_id(order.run_id, "run"))
        if run is None or run.state != "published":
            raise NotFound("没有该已公布的结算。", "No such published run.", hint="只能就已公布的结算登记拨付。")
        hospital = await registry.hospital_by_code(uow, order.hospital)
        if hospital is None or await clearing.statement(uow, run.run_id, hospital.hospital_id) is None:
            raise NotFound("该结算中没有此医院的结算单。", "The run has no statement of this hospital.")
        if await fund.voucher_used(uow, hospital.hospital_id, order.voucher):
            raise Conflict(
                f"凭证号 {order.voucher} 已登记。", f"Voucher {order.voucher} is recorded already.", code="VOUCHER_USED"
            )
        payment_id = await fund.add_payment(
            uow,
            {
                "area_id": hospital.area_id,
                "county_id": hospital.county_id,
                "hospital_id": hospital.hospital_id,
                "run_id": run.run_id,
                "insurance": run.insurance,
                "pool_scope": run.pool_scope,
                "year": run.year,
                "voucher": order.voucher,
                "part": order.part,
                "paid_on": order.paid_on,
                "amount_fen": order.amount_fen,
                "returned_fen": order.returned_fen,
                "recorded_by": uuid.UUID(uow.scope.account_id),
                "recorded_by_person": uuid.UUID(uow.scope.person_id),
            },
        )
        entries = payment_entries(hospital.code, order.amount_fen - order.returned_fen, f"拨付，凭证 {order.voucher}")
        pool = (run.insurance, run.pool_scope, run.year)
        await post(uow, pool, "payment", payment_id, entries, {hospital.code: hospital.hospital_id})
        if run.kind == "month" and order.amount_fen and not order.part:
            await meet_payment(uow, pool, run.period, hospital.hospital_id, order.paid_on)
        return {"type": "Payment", "id": str(payment_id)}

    return await act(platform, clerk, Duty.RECORD_PAYMENT, request, effect)


async def reverse_payment(platform: Platform, clerk: Subject, request: Request, payment_id: str, reason: str) -> Answer:
    """Reverse a payment recorded wrongly (冲正拨付): it stays, an opposite one stands beside it, and the right one is recorded anew.

    Changes: payment, ledger_entry. Raises: NotFound, DataRefused, Conflict PAYMENT_REVERSED, PERIOD_CLOSED for a payment before the
    year was cleared.
    """
    faults = text_fault("REASON_MISSING", "reason", reason, "冲正理由", "The reason")

    async def effect(uow: UnitOfWork) -> Answer:
        await require_delegation(uow, DelegatedDuty.PAYMENT)
        if faults:
            raise DataRefused(tuple(faults))
        key = as_id(payment_id, "payment")
        row = await fund.payment_by_id(uow, key)
        if row is None:
            raise NotFound("没有该拨付。", "No such payment.")
        if row.reverses is not None or await fund.reversal_of(uow, key) is not None:
            raise Conflict("该拨付已冲正。", "The payment is reversed already.", code="PAYMENT_REVERSED")
        run = await clearing.run_by_id(uow, row.run_id)
        if run is not None and run.kind != "year":
            await refuse_closed(uow, (row.insurance, row.pool_scope, row.year))
        net = row.amount_fen - row.returned_fen
        reversal_id = await fund.add_payment(
            uow,
            {
                "area_id": row.area_id,
                "county_id": row.county_id,
                "hospital_id": row.hospital_id,
                "run_id": row.run_id,
                "insurance": row.insurance,
                "pool_scope": row.pool_scope,
                "year": row.year,
                "voucher": f"R:{row.voucher}",
                "part": row.part,
                "paid_on": await uow.today(),
                "amount_fen": -net,
                "returned_fen": 0,
                "reverses": key,
                "reason": reason,
                "recorded_by": uuid.UUID(uow.scope.account_id),
                "recorded_by_person": uuid.UUID(uow.scope.person_id),
            },
        )
        memo = f"冲正拨付，凭证 {row.voucher}：{reason}"
        entries = reversal(payment_entries(row.hospital_code, net, ""), memo)
        pool = (row.insurance, row.pool_scope, row.year)
        await post(uow, pool, "payment", reversal_id, entries, {row.hospital_code: row.hospital_id})
        return {"type": "Payment", "id": str(reversal_id)}

    return await act(platform, clerk, Duty.RECORD_PAYMENT, request, effect)


async def payments(
    platform: Platform,
    subject: Subject,
    after: uuid.UUID | None,
    limit: int,
    *,
    year: int | None = None,
    hospital: str = "",
) -> Sequence[PaymentView]:
    """One page of the payments the subject sees, in order of recording (拨付列表)."""
    async with looking(platform, subject, Duty.READ_CLEARING) as uow:
        return [_view(r) for r in await fund.payments(uow, after, limit, year=year, hospital_code=hospital)]


async def payment(platform: Platform, subject: Subject, payment_id: uuid.UUID) -> PaymentView | None:
    """One payment, or none in this scope (拨付)."""
    async with looking(platform, subject, Duty.READ_CLEARING) as uow:
        row = await fund.payment_by_id(uow, payment_id)
        return None if row is None else _view(row)
