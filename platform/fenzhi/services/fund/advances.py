"""Advances (预付金): about one month of the year's fund, shared by last year's amounts, paid at its start, set off at its end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from fractions import Fraction

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.fund.advance_payment import advance_payment, advances_by_hospital, reconcile_advance
from fenzhi.rules.fund.ledger import advance_entries
from fenzhi.rules.refusals import Conflict, DataRefused, NotFound, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act, as_id
from fenzhi.services.fund.books import post
from fenzhi.services.fund.faults import amount_fault, text_fault
from fenzhi.services.fund.year_entries import Ground, keys_of_hospital
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.repositories import clearing, fund, registry, year
from fenzhi.store.repositories.fund import Pool
from fenzhi.store.session import UnitOfWork


class NoWeights(Conflict):
    """Neither a cleared year nor history to share an advance by (缺少上年数据)."""

    code = "ADVANCE_NO_LAST_YEAR"


async def propose_advances(platform: Platform, clerk: Subject, request: Request, ground: Ground) -> Answer:
    """Share the advance of a pool's year over its hospitals (测算预付金): annual fund ÷ 12 × months × factor, by last year's cleared
    amounts, or by last year's booked history where the platform did not clear it.

    Policy on the day it is worked out: advance.months, advance.factor. Units: fen. Rounding: half up once, then largest remainder.
    Changes: advance (draft), one per hospital. Raises: DataRefused, NoWeights, Conflict BUDGET_NOT_APPROVED, ADVANCE_EXISTS.
    """
    faults = ground.faults()

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        await fund.lock_pool(uow, ground.pool)
        budget = await fund.budget_in_force(uow, ground.pool)
        if budget is None:
            raise Conflict("没有已批准的预算。", "There is no approved budget.", code="BUDGET_NOT_APPROVED")
        if await year.live_entries(uow, "Advance", ground.pool):
            raise Conflict(
                "该基金池本年度已有预付金。", "The pool has advances of the year already.", code="ADVANCE_EXISTS"
            )
        policy = await resolved_policy(uow, await uow.today(), insurance=ground.insurance)
        months = policy.fraction("advance.months")
        factor = policy.optional_fraction("advance.factor")
        factor = Fraction(1) if factor is None else factor
        total = advance_payment(budget.annual_fen, months, factor)
        basis, weights = await _weights(uow, ground.pool)
        hospitals = {row.hospital_id: row for row in await registry.hospitals(uow, 0, 1_000_000)}
        shares = advances_by_hospital(total, {hospitals[number].code: fen for number, fen in weights.items()})
        by_code = {row.code: row for row in hospitals.values()}
        ids = []
        for code, amount in shares.items():
            working = {
                "annual_fen": budget.annual_fen,
                "months": str(months),
                "factor": str(factor),
                "total_fen": total,
                "basis": basis,
                "weight_fen": weights[by_code[code].hospital_id],
            }
            values = keys_of_hospital(by_code[code]) | {"amount_fen": amount, "working": working}
            ids.append(await year.add_entry(uow, "Advance", ground.row() | values))
        return {"type": "Advance", "id": str(ids[0]), "ids": [str(one) for one in ids]}

    return await act(platform, clerk, Duty.ENTER_YEAR, request, effect)


async def _weights(uow: UnitOfWork, pool: Pool) -> tuple[str, Mapping[int, int]]:
    """What the advance is shared by: last year's cleared amounts, else last year's booked history; never below 0."""
    insurance, pool_scope, number = pool
    runs = await clearing.runs_of_pool(uow, (insurance, pool_scope, number - 1), ("published",))
    cleared = {
        row.hospital_id: max(0, row.cleared_fen)
        for row in await clearing.statements_of_runs(uow, [run.run_id for run in runs if run.kind == "year"])
    }
    if any(cleared.values()):
        return "cleared", cleared
    booked = await fund.booked_history(uow, insurance, number - 1)
    if not any(booked.values()):
        raise NoWeights(
            "没有上年清算额或历史记账金额，无法分配预付金。",
            "There is neither a cleared amount nor booked history of last year to share the advance by.",
            hint="先导入上年历史病例 / import the history of last year first",
        )
    return "booked_history", booked


async def move_advance(
    platform: Platform,
    clerk: Subject,
    request: Request,
    advance_id: str,
    kind: str,
    amount_fen: int,
    voucher: str,
    moved_on: date,
) -> Answer:
    """Record that an approved advance was paid, or that some of it came back (登记预付金收付). `kind`: paid or returned.

    Changes: advance_movement, ledger_entry. Raises: NotFound, DataRefused, Conflict ADVANCE_EXCEEDED when more is paid than granted or
    more returned than was paid, PERIOD_CLOSED once the year is cleared.
    """
    faults = amount_fault("amountFen", amount_fen, at_least=1)
    faults += text_fault("VOUCHER_MISSING", "voucher", voucher, "凭证号", "The voucher")

    async def effect(uow: UnitOfWork) -> Answer:
        if moved_on > await uow.today():
            faults.append(
                Refusal("PAID_IN_FUTURE", "movedOn", moved_on.isoformat(), "收付日期晚于今天。",
                        "The day of payment lies in the future.", "收付后再登记。", "Record it once it is paid.")
            )  # fmt: skip
        if faults:
            raise DataRefused(tuple(faults))
        key = as_id(advance_id, "advance")
        await year.lock_entry(uow, "Advance", key)
        row = await year.entry_by_id(uow, "Advance", key)
        if row is None or row.state != "approved":
            raise NotFound("没有该已批准的预付金。", "No such approved advance.")
        pool = (row.insurance, row.pool_scope, row.year)
        await refuse_closed(uow, pool)
        paid, returned = (await year.advance_sums(uow, [key])).get(key, (0, 0))
        paid, returned = (paid + amount_fen, returned) if kind == "paid" else (paid, returned + amount_fen)
        if paid > row.amount_fen or returned > paid:
            raise Conflict(
                "拨付额超过批准的预付金，或退回额超过已拨付。",
                "More would be paid than was granted, or more returned than was paid.",
                code="ADVANCE_EXCEEDED",
            )
        reconcile_advance(paid, returned, 0)
        movement_id = await year.add_advance_movement(
            uow,
            keys_of_hospital(row)
            | {"advance_id": key, "kind": kind, "amount_fen": amount_fen, "voucher": voucher, "moved_on": moved_on},
        )
        signed = amount_fen if kind == "paid" else -amount_fen
        entries = advance_entries(row.hospital_code, signed, f"预付金，凭证 {voucher}")
        await post(uow, pool, "advance", movement_id, entries, {row.hospital_code: row.hospital_id})
        return {"type": "Advance", "id": str(key)}

    return await act(platform, clerk, Duty.RECORD_PAYMENT, request, effect)


async def refuse_closed(uow: UnitOfWork, pool: Pool) -> None:
    """Refuse where the year of a pool is cleared (年度已清算). Raises: Conflict PERIOD_CLOSED."""
    for run in await clearing.runs_of_pool(uow, pool, ("published",)):
        if run.kind == "year":
            raise Conflict(
                "本年度已公布年度清算。",
                "The annual clearing of the year is published: the year is closed.",
                code="PERIOD_CLOSED",
            )
