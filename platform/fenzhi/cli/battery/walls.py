"""Section walls (隔离墙变异): every wall of the database and every permission weakened in turn; what checks them must turn red each time."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg

from fenzhi.cli.battery.duty_matrix import try_permissions
from fenzhi.cli.battery.stage import open_tenants, staged
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.servers import ServerAddresses
from fenzhi.store.tables import metadata
from fenzhi.store.wall_check import Probe, check_catalog, check_walls
from fenzhi.store.wall_halves import HALVES, plain

_SETTING = re.compile(r"current_setting\('fenzhi\.(\w+)'::text, true\)")
_COLUMN = {"area_ids": "('{' || area_id || '}')"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One wall weakened (变异): how, and the statement that does it."""

    kind: str
    where: str
    statement: str

    @property
    def table(self) -> str:
        """The table whose wall it is."""
        return self.where.partition(" ")[0].partition(".")[0]


async def run(addresses: ServerAddresses, seed: int, rounds: int) -> Tally:
    """`rounds` mutants of each kind and `rounds` duties, by seed; default all (隔离墙测试组)."""
    tally = Tally()
    async with staged(addresses) as stage:
        await open_tenants(stage.cast)
        probes = await check_walls(addresses.owner_dsn, addresses.app_dsn)
        tally.saw("untouched", all(p.held for p in probes), str([p for p in probes if not p.held][:3]))
        await try_walls(addresses.owner_dsn, tally, seed, rounds)
        await try_permissions(stage, tally, seed, rounds)
    return tally


async def mutants(owner: Any) -> list[Mutant]:
    """Every policy weakened, unbound level by level, or dropped; every table without its wall (全部变异)."""
    found = []
    for policy in await owner.fetch(
        "select * from pg_policies where schemaname = 'public' order by tablename, policyname"
    ):
        name, table = policy["policyname"], policy["tablename"]
        texts = {p: policy[column] for p, column in (("using", "qual"), ("with check", "with_check")) if policy[column]}
        if all(text == "true" for text in texts.values()):
            # Bound to nobody by declaration (tenants and accounts for the operator): weaker it cannot be.
            found.append(Mutant("policy dropped", f"{table}.{name}", f"drop policy {name} on {table}"))
            continue
        where = f"{table}.{name}"
        alter = f"alter policy {name} on {table}"
        found.append(Mutant("policy dropped", where, f"drop policy {name} on {table}"))
        for part, text in texts.items():
            if text == "true":
                continue  # Nothing is asked here of a changed row beyond what was asked of it before.
            found.append(Mutant("policy true", where, f"{alter} {part} (true)"))
            found.append(Mutant("policy or true", where, f"{alter} {part} (({text}) or true)"))
            found.append(Mutant("policy or not false", where, f"{alter} {part} (({text}) or not false)"))
            for setting in sorted(set(_SETTING.findall(text))):
                column = _COLUMN.get(setting, f"{setting}::text")
                unbound = text.replace(f"current_setting('fenzhi.{setting}'::text, true)", column)
                found.append(Mutant("level unbound", f"{where} {setting}", f"{alter} {part} ({unbound})"))
        for part, text in texts.items():
            command = f"{policy['cmd']} CHECK" if part == "with check" and "using" in texts else policy["cmd"]
            half = HALVES.get((table, command, policy["roles"][0]), "")
            found += [Mutant("half dropped", where, f"{alter} {part} ({rest})") for rest in _without_a_half(text, half)]
        found.append(Mutant("policy for all", where, f"{alter} to public"))
    for table in metadata.sorted_tables:
        found.append(Mutant("wall disabled", table.name, f"alter table {table.name} disable row level security"))
        found.append(Mutant("wall not forced", table.name, f"alter table {table.name} no force row level security"))
        found.append(Mutant("granted to the login", table.name, f"grant select on {table.name} to fenzhi_app"))
        found.append(Mutant("granted to everybody", table.name, f"grant select on {table.name} to public"))
    return found


def _without_a_half(text: str, half: str) -> Iterator[str]:
    """A policy's condition without one of the conditions that it asks beyond the scope (去掉附加条件)."""
    whole = plain(text)
    for part in half.split(" && "):
        if part and part in whole:
            yield whole.replace(_closed(whole[whole.index(part) :], len(part)), "true")


def _closed(text: str, least: int) -> str:
    """The beginning of a text, at least so long, up to where every bracket opened in it is closed (括号配平)."""
    end, is_open = least, text.count("(", 0, least) - text.count(")", 0, least)
    while is_open > 0:
        is_open += {"(": 1, ")": -1}.get(text[end], 0)
        end += 1
    return text[:end]


async def _red(owner: Any, table: str = "") -> list[Probe]:
    return [probe for probe in await check_catalog(owner, table) if not probe.held]


async def try_walls(owner_dsn: str, tally: Tally, seed: int, sample: int) -> None:
    """Weaken one wall at a time inside a transaction that is taken back; the catalog check must see each."""
    owner = await asyncpg.connect(owner_dsn)
    try:
        clean = await check_catalog(owner)
        tally.saw("untouched", all(p.held for p in clean), str([p for p in clean if not p.held][:3]))
        by_kind: dict[str, list[Mutant]] = {}
        for mutant in await mutants(owner):
            by_kind.setdefault(mutant.kind, []).append(mutant)
        rng = random.Random(seed)
        for kind, all_of_kind in sorted(by_kind.items()):
            for mutant in rng.sample(all_of_kind, min(sample or len(all_of_kind), len(all_of_kind))):
                transaction = owner.transaction()
                await transaction.start()
                try:
                    await owner.execute(mutant.statement)
                    # The probes of its table first: they are some of all of them, and a hundredth of the work.
                    red = await _red(owner, mutant.table) or await _red(owner)
                finally:
                    await transaction.rollback()
                tally.saw(kind, bool(red), f"{mutant.where} was not seen: {mutant.statement}")
    finally:
        await owner.close()
