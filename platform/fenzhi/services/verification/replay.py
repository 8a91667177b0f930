"""A run computed again from what it recorded (结算重演): manifest, graded cases, the runs before it. Anyone who can read the database can do it.

Nothing of the run's own result is an input: not its statements, not its summary, not its entries. What comes out is compared with them line
by line, and the whole with the result digest byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pyarrow as pa
from sqlalchemy import Row

from fenzhi.rules.clearing.annual_clearing import AnnualAccount
from fenzhi.rules.clearing.out_of_area import case_amounts, price_of_local_pool
from fenzhi.rules.clearing.scoped_clearing import PointValueScope
from fenzhi.rules.clearing.statement import Account, StatementLine
from fenzhi.rules.payment_modes.case_modes import purses
from fenzhi.rules.payment_modes.mode_of_case import PaymentMode
from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.rules.policy.resolved import ResolvedPolicy, from_canonical
from fenzhi.rules.refusals import FenzhiError, InvariantBroken
from fenzhi.services.clearing.changes import value_of
from fenzhi.services.clearing.claims import claims_of
from fenzhi.services.clearing.freezing import Position, position_among
from fenzhi.services.clearing.manifest import plain_line
from fenzhi.services.clearing.modes import BesideSums
from fenzhi.services.clearing.runs import RunKind
from fenzhi.services.clearing.scopes import NO_CASE_MONEY, SUMMED, CaseMoney, floor_acts, scope_of
from fenzhi.services.clearing.settling import Settled, settle
from fenzhi.services.clearing.year_inputs import YearInputs, read_described
from fenzhi.services.policy.resolution import definitions
from fenzhi.services.verification.findings import Verification
from fenzhi.store.repositories import verification as store
from fenzhi.store.session import UnitOfWork

CHECK = "run.replay"
_SHOWN = 40
"""Differences named of one run; all are counted."""


class NotRecorded(Exception):
    """Something the manifest names is not in the store any more (清单所列依据缺失)."""


@dataclass(frozen=True)
class _Recorded:
    """The ground of a run, read from its manifest (清单所载依据)."""

    kind: RunKind
    policy: ResolvedPolicy
    points_decimals: int
    hospitals: Mapping[int, tuple[str, int | None]]
    fund_fen: int | None
    price: PointValue | None
    last_year_ratio: Fraction | None
    deductions: Mapping[int, int]
    payments: Mapping[int, int]
    position: Position
    beside: YearInputs
    manifest: Mapping[str, Any]
    by_case: Fraction | None = None


async def verify_replay(
    found: Verification,
    uow: UnitOfWork,
    run: Row[Any],
    place: str,
    codes: Mapping[int, str],
    stored: Mapping[str, StatementLine],
    statements: Sequence[Row[Any]],
    cases: pa.Table,
) -> None:
    """Compute a run again and name everything in which what is stored differs (重演核对).

    `stored`: its statement lines by hospital code; `cases`: what the result digest covers of its cases.
    """
    try:
        ground = await _recorded(uow, run, codes)
        frozen, sums = await _case_sums(uow, run, codes)
        if ground.by_case is not None:
            for row in await store.run_case_points(uow, run.run_id):
                (fen,) = case_amounts([int(row.points)], ground.by_case)
                held = sums[codes[row.hospital_id]]
                held["case_priced_fen"] = held.get("case_priced_fen", 0) + fen * int(row.cases)
        money = await _case_money(uow, run, ground, codes)
        settled = settle(ground, claims_of(ground, frozen, sums), await _beside(uow, run), money)
    except InvariantBroken as broken:
        found.saw(CHECK, False, f"{place} {broken.account or 'run'}", str(broken))
        return
    except (FenzhiError, NotRecorded, KeyError, ValueError, TypeError) as exc:
        found.saw(CHECK, False, place, f"it cannot be computed again: {type(exc).__name__} {exc}")
        return
    differences = [
        *_lines(settled, stored),
        *_below_payable(settled, statements),
        *_accounts(run, settled),
        *_point_value(await store.point_value_of(uow, run.run_id), ground, settled),
        *_entries(await store.posted(uow, [run.run_id]), settled, codes),
    ]
    for account, was, due in differences[:_SHOWN]:
        found.same(CHECK, f"{place} {account}", was, due)
    digest = settled.result_sha256(cases).hex()
    found.same(CHECK, f"{place} result digest", (run.result_sha256 or b"").hex(), digest)


async def _recorded(uow: UnitOfWork, run: Row[Any], codes: Mapping[int, str]) -> _Recorded:
    manifest = run.manifest
    policy = from_canonical(definitions().fields, manifest["policy"])
    price, budget = manifest["point_value"], manifest["budget"]
    ids = {code: number for number, code in codes.items()}
    earlier = {
        str(row.run_id): row for row in await store.runs_named(uow, [one[0] for one in manifest["earlier_runs"]])
    }
    for number, digest in manifest["earlier_runs"]:
        if number not in earlier or (earlier[number].result_sha256 or b"").hex() != digest:
            raise NotRecorded(f"the earlier run {number} is not what it was")
    in_order = [earlier[number] for number, _ in manifest["earlier_runs"]]
    return _Recorded(
        kind=RunKind(run.kind),
        policy=policy,
        points_decimals=int(manifest.get("points_decimals", run.summary["points_decimals"])),
        hospitals={number: (code, None) for number, code in codes.items()},
        fund_fen=None if budget is None else int(budget["fund_fen"]),
        price=None if price is None else value_of(price),
        last_year_ratio=None if price is None else Fraction(price["last_year_ratio"]),
        deductions=await _by_hospital(uow, "audit_deduction", manifest["deductions"]),
        payments=await _by_hospital(uow, "payment", manifest["payments"]),
        position=await position_among(uow, run, policy, in_order),
        beside=read_described(manifest["beside"], ids),
        manifest=manifest,
        by_case=_price_of_local(manifest),
    )


async def _beside(uow: UnitOfWork, run: Row[Any]) -> BesideSums:
    """What was paid beside the points, from the cases and what the manifest says was set aside."""
    by_hospital: dict[int, int] = {}
    withheld: dict[int, int] = {}
    paid: dict[PaymentMode, int] = {}
    for row in await store.run_case_beside(uow, run.run_id):
        by_hospital[row.hospital_id] = by_hospital.get(row.hospital_id, 0) + int(row.fen)
        if row.held_fen:
            withheld[row.hospital_id] = withheld.get(row.hospital_id, 0) + int(row.held_fen)
        mode = PaymentMode(row.mode)
        paid[mode] = paid.get(mode, 0) + int(row.fen)
    held = purses(paid, run.manifest.get("modes", {}).get("set_asides", {}))
    return BesideSums(by_hospital, sum(one.from_pool_fen for one in held), withheld)


@dataclass(frozen=True)
class _StoredCases:
    """The cleared cases of a run as stored, for parts and floors (已存病例)."""

    sums: Mapping[str, Mapping[str, Mapping[str, int]]]
    cases: Sequence[Row[Any]]
    codes: Mapping[int, str]

    def parts(self) -> Mapping[str, Mapping[str, Mapping[str, int]]]:
        """Scope → hospital code → sums."""
        return self.sums

    def below(self, part: str | None, fen_per_unit: Fraction) -> Mapping[str, Sequence[tuple[int, int]]]:
        """Hospital code → points and other payers of the cases below what others paid."""
        found: dict[str, list[tuple[int, int]]] = {}
        for row in self.cases:
            if (part is None or row.part == part) and row.patient_fen > row.points * fen_per_unit:
                found.setdefault(self.codes[row.hospital_id], []).append((row.points, row.patient_fen))
        return found


async def _case_money(uow: UnitOfWork, run: Row[Any], ground: _Recorded, codes: Mapping[int, str]) -> CaseMoney:
    """What parts and floors are made of, from the run's stored cases; nothing where the policy asks for neither."""
    if ground.kind is RunKind.MONTH or ground.by_case is not None:
        return NO_CASE_MONEY
    sums: dict[str, dict[str, dict[str, int]]] = {}
    if scope_of(ground.policy) is not PointValueScope.POOL:
        for row in await store.run_part_sums(uow, run.run_id):
            held = {name: int(getattr(row, name)) for name in SUMMED}
            sums.setdefault(str(row.part), {})[codes[row.hospital_id]] = held
    cases = await store.run_case_payers(uow, run.run_id) if floor_acts(ground.policy) else []
    return _StoredCases(sums, cases, codes)


def _price_of_local(manifest: Mapping[str, Any]) -> Fraction | None:
    """What a unit of points earned in the local pool, where the run priced its cases by it."""
    local = manifest.get("local_pool")
    return None if local is None else price_of_local_pool(local["shared_fen"], local["points"])


async def _by_hospital(uow: UnitOfWork, table: str, named: Sequence[Sequence[Any]]) -> dict[int, int]:
    """The amounts of the manifest on the hospitals of the rows it names."""
    hospitals = await store.hospitals_of_rows(uow, table, [one[0] for one in named])
    found: dict[int, int] = {}
    for number, amount in named:
        if number not in hospitals:
            raise NotRecorded(f"{table} {number} is gone")
        found[hospitals[number]] = found.get(hospitals[number], 0) + amount
    return found


async def _case_sums(
    uow: UnitOfWork, run: Row[Any], codes: Mapping[int, str]
) -> tuple[dict[int, int], dict[str, dict[str, int]]]:
    frozen: dict[int, int] = {}
    sums: dict[str, dict[str, int]] = {}
    for row in await store.run_case_sums(uow, run.run_id):
        frozen[row.hospital_id] = frozen.get(row.hospital_id, 0) + int(row.cases)
        if row.is_cleared:
            names = ("cases", "points", "cost_fen", "booked_fen", "patient_fen")
            sums[codes[row.hospital_id]] = {name: int(getattr(row, name)) for name in names}
    return frozen, sums


Difference = tuple[str, object, object]
"""Account, as stored, as computed again."""


def _lines(settled: Settled, stored: Mapping[str, StatementLine]) -> Iterator[Difference]:
    own = {line.hospital: line for line in settled.lines}
    for hospital in sorted({*own, *stored}):
        if hospital not in stored or hospital not in own:
            yield f"{hospital}/statement", hospital in stored, hospital in own
            continue
        was, due = plain_line(stored[hospital]), plain_line(own[hospital])
        for name, amount in due.items():
            if was[name] != amount:
                yield f"{hospital}/{name.removesuffix('_fen')}", was[name], amount


def _below_payable(settled: Settled, statements: Sequence[Row[Any]]) -> Iterator[Difference]:
    for row in statements:
        line = settled.annual.get(row.hospital_code)
        for account in AnnualAccount:
            was, due = int(getattr(row, f"{account.value}_fen")), line.amount(account) if line else 0
            if was != due:
                yield f"{row.hospital_code}/{account.value}", was, due


def _accounts(run: Row[Any], settled: Settled) -> Iterator[Difference]:
    summary = run.summary or {}
    stated = {one["name"]: int(one["fen"]) for one in summary.get("accounts", ())}
    due: dict[str, int] = {account.value: fen for account, fen in settled.accounts.items()}
    if settled.annual:
        due |= {a.value: sum(line.amount(a) for line in settled.annual.values()) for a in AnnualAccount}
    due |= {f"drawn_from_{name}": fen for name, fen in settled.bonus_draws.items()}
    for name in sorted({*stated, *due}):
        if stated.get(name) != due.get(name):
            yield name, stated.get(name), due.get(name)
    for name, value in (
        ("fund_ratio", str(settled.fund_ratio)),
        ("point_value_printed", settled.printed),
        ("unexplained_fen", settled.balance.unexplained_fen),
    ):
        if summary.get(name) != value:
            yield name, summary.get(name), value
    if run.pool_fen != settled.accounts[Account.POOL]:
        yield "pool", run.pool_fen, settled.accounts[Account.POOL]


def _point_value(row: Row[Any] | None, ground: _Recorded, settled: Settled) -> Iterator[Difference]:
    if ground.kind is RunKind.MONTH:
        return
    value = settled.point_value
    for name in ("fund_fen", "cost_fen", "booked_fen", "points", "points_decimals"):
        was = None if row is None else getattr(row, name)
        if was != getattr(value, name):
            yield f"point_value/{name}", was, getattr(value, name)


def _entries(
    posted: Mapping[tuple[int | None, str], int], settled: Settled, codes: Mapping[int, str]
) -> Iterator[Difference]:
    due = {(hospital, account): fen for hospital, account, fen in settled.entries}
    held = {key: fen for key, fen in posted.items() if fen}
    for key in sorted({*due, *held}, key=lambda one: (one[0] or 0, one[1])):
        if held.get(key, 0) != due.get(key, 0):
            who = "pool" if key[0] is None else codes.get(key[0], f"hospital {key[0]}")
            yield f"ledger {who}/{key[1]}", held.get(key, 0), due.get(key, 0)
