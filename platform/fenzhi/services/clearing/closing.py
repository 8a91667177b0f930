"""Closing a year (年度结账): statements approved and posted with their run, debts set up, balances carried over."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row

from fenzhi.access.scope import DatabaseRole
from fenzhi.rules.clearing.statement_life import (
    StatementAct,
    StatementParty,
    StatementState,
    may_approve_run,
    next_state,
)
from fenzhi.rules.fund.ledger import CARRIED, Entry, LedgerAccount, opening_entries, receivable_entries
from fenzhi.rules.refusals import Conflict
from fenzhi.services.fund.books import post
from fenzhi.store.repositories import clearing, fund, registry, year
from fenzhi.store.repositories.fund import Pool
from fenzhi.store.session import UnitOfWork, new_id

_STATEMENTS = 1_000_000


class StatementsUnanswered(Conflict):
    """Statements that no hospital has answered yet, or that are disputed (结算单未全部答复)."""

    code = "STATEMENTS_UNANSWERED"


def pool_of(run: Row[Any]) -> Pool:
    """The fund pool of a run (基金池)."""
    return (run.insurance, run.pool_scope, run.year)


async def approve_statements(uow: UnitOfWork, run: Row[Any]) -> None:
    """Every answered statement of a year becomes approved (审批结算单). Raises: StatementsUnanswered."""
    last = await year.last_acts(uow, run.run_id)
    states = [StatementState(row.to_state) for row in last]
    if not states or not may_approve_run(states):
        waiting = [s for s in states if s in (StatementState.ISSUED, StatementState.DISPUTED)]
        raise StatementsUnanswered(
            f"{len(waiting)} 份结算单尚未确认或存在未处理的异议。",
            f"{len(waiting)} statements are not confirmed yet or disputed.",
            hint="等待机构确认、处理异议或期限届满 / wait for the hospitals, resolve the disputes, or let the clock run out",
        )
    await _move_all(uow, last, StatementAct.APPROVE, StatementParty.APPROVER)


async def _move_all(uow: UnitOfWork, last: Sequence[Row[Any]], act: StatementAct, party: StatementParty) -> None:
    rows = []
    for row in last:
        to = next_state(StatementState(row.to_state), act, party)
        rows.append(act_row(row, row.seq + 1, act, party, to))
    await year.add_acts(uow, rows)


def act_row(
    of: Row[Any], seq: int, act: StatementAct | str, party: StatementParty, to: StatementState, reason: str = ""
) -> dict[str, Any]:
    """A row of the acts on a statement (操作记录行). `of`: any row with the statement's keys."""
    return {
        "area_id": of.area_id,
        "county_id": of.county_id,
        "hospital_id": of.hospital_id,
        "run_id": of.run_id,
        "seq": seq,
        "act": act.value if isinstance(act, StatementAct) else act,
        "party": party.value,
        "to_state": to.value,
        "reason": reason,
        "due_on": None,
    }


async def take_offsets(uow: UnitOfWork, run: Row[Any]) -> None:
    """What the statements of a published run took of earlier receivables leaves these (抵扣往年应收).

    Raises: Conflict RUN_OUT_OF_DATE when a receivable has become smaller since the run was computed.
    """
    taken: list[dict[str, Any]] = []
    left = {
        row.receivable_id: row.amount_fen - int(row.this_year_fen) - int(row.otherwise_fen)
        for row in await year.open_receivables(uow, pool_of(run))
    }
    today = await uow.today()
    for statement in await clearing.statements_of_runs(uow, [run.run_id]):
        for text, amount in statement.working.get("offsets", ()):
            receivable_id = uuid.UUID(text)
            if amount > left.get(receivable_id, 0):
                raise out_of_date()
            taken.append(
                {
                    "area_id": statement.area_id,
                    "county_id": statement.county_id,
                    "hospital_id": statement.hospital_id,
                    "receivable_id": receivable_id,
                    "kind": "offset",
                    "amount_fen": amount,
                    "year": run.year,
                    "run_id": run.run_id,
                    "moved_on": today,
                }
            )
    await year.add_receivable_movements(uow, taken)


def out_of_date() -> Conflict:
    """The refusal of a run whose ground has moved (结算依据已变动)."""
    return Conflict(
        "结算计算之后，拨付、预付金或应收款有变动，须作废后重新发起。",
        "Payments, advances or receivables have changed since the run was computed: void it and start it again.",
        code="RUN_OUT_OF_DATE",
    )


async def post_year(uow: UnitOfWork, run: Row[Any]) -> None:
    """Post a year (年度入账): its statements are posted, what a hospital owes becomes a receivable, balances open the next year.

    Raises: Conflict RUN_OUT_OF_DATE when money moved since the run was computed.
    """
    pool = pool_of(run)
    await _refuse_moved(uow, run, pool)
    await _move_all(uow, await year.last_acts(uow, run.run_id), StatementAct.POST, StatementParty.HANDLER)
    today = await uow.today()
    for statement in await clearing.statements_of_runs(uow, [run.run_id]):
        if statement.final_fen < 0:
            await _owe(uow, run, statement, today)
    await _carry(uow, run, pool)


async def _refuse_moved(uow: UnitOfWork, run: Row[Any], pool: Pool) -> None:
    codes = {row.hospital_id: row.code for row in await registry.hospitals(uow, 0, _STATEMENTS)}
    payments = [
        [str(r.payment_id), r.amount_fen - r.returned_fen] for r in await fund.payments_of_pool(uow, pool, None)
    ]
    advances = sorted([codes[number], fen] for number, fen in (await year.advances_of_pool(uow, pool)).items())
    if payments != run.manifest["payments"] or advances != run.manifest["beside"]["advances"]:
        raise out_of_date()


async def _owe(uow: UnitOfWork, run: Row[Any], statement: Row[Any], today: Any) -> None:
    """A negative final is what the hospital owes; it stays, to be offset or paid back."""
    memo = f"{run.year}年度清算应退回"
    row = {
        "area_id": statement.area_id,
        "county_id": statement.county_id,
        "hospital_id": statement.hospital_id,
        "insurance": run.insurance,
        "pool_scope": run.pool_scope,
        "year": run.year,
        "since": today,
        "amount_fen": -statement.final_fen,
        "run_id": run.run_id,
        "document": memo,
        "reason": memo,
        "approved_by": run.approved_by,
        "approved_by_person": run.approved_by_person,
        "entered_by": run.started_by,
        "entered_by_person": run.started_by_person,
    }
    async with uow.as_role(DatabaseRole.WORKER):
        receivable_id = await year.add_entry(uow, "Receivable", row, state="approved")
    code = statement.hospital_code
    entries = receivable_entries(code, statement.final_fen, memo)
    await post(uow, pool_of(run), "receivable", receivable_id, entries, {code: statement.hospital_id})


async def _carry(uow: UnitOfWork, run: Row[Any], pool: Pool) -> None:
    """What the pool's accounts hold at the end of the year opens the next one."""
    insurance, pool_scope, number = pool
    names = {account.value for account in CARRIED}
    held = {
        row.account: -int(row.amount_fen)
        for row in await clearing.books(uow, pool)
        if row.hospital_id is None and row.account in names
    }
    entries: list[Entry] = []
    for name, amount in sorted(held.items()):
        entries += opening_entries(LedgerAccount(name), amount, f"{number}年度结转")
    nobody: Mapping[str, int] = {}
    await post(uow, (insurance, pool_scope, number + 1), "opening", new_id(), entries, nobody)
