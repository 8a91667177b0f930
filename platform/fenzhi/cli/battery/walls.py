"""Section walls (隔离墙变异): every wall of the database and every permission weakened in turn; what checks them must turn red each time."""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from graphql import build_schema

from fenzhi.access.roles import KIND_OF_ROLE, ROLES_OF_DUTY, Duty, Role
from fenzhi.cli.battery.stage import TENANTS, Stage, open_tenants, staged
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.probes.enumerate import IdSlot, Question, questions
from fenzhi.cli.probes.judge import filled, nonexistent, not_admitted
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


Cell = tuple[str, Role]
"""operation.field, and a role."""
Matrix = dict[Cell, str]
"""Cell → the duty for whose lack the first lock refuses, or nothing where the role passes it; a refusal by the second one, the
database's, is another."""
_NO_DUTY = re.compile(r"does not carry the duty (\w+)")


async def matrix_of(stage: Stage, tally: Tally, asked: list[Question], cells: Collection[Cell] | None = None) -> Matrix:
    """Who is let in where, asked of the API with ids that name nothing (权限矩阵); of some cells alone where they are named."""
    found: Matrix = {}
    unheard = []
    for role, level in KIND_OF_ROLE.items():
        actor = stage.cast.actor(_tenant_of(role, level.name), role)
        for question in asked:
            cell = f"{question.operation}.{question.field}", role
            if cells is not None and cell not in cells:
                continue
            slots: dict[IdSlot, str] = {slot: nonexistent(slot.node_type) for slot in question.id_slots}
            answer = await actor.send(
                "POST", "/graphql", json={"query": question.document, "variables": filled(question, slots)}
            )
            refusal = _NO_DUTY.search(answer.text)
            found[cell] = refusal[1] if refusal else ""
            if at_the_door := not_admitted(answer.text):
                unheard.append(f"{cell}: {at_the_door}")
    tally.saw("matrix heard", not unheard, f"{len(unheard)}: {unheard[:3]}")
    return found


def _tenant_of(role: Role, level: str) -> str:
    if level == "OPERATOR":
        return "operator"
    return next(
        code for kind, code, _ in TENANTS if kind == level and (role is not Role.INTEGRATION_DEVELOPER or "98" in code)
    )


@contextmanager
def everybody_may(duty: Duty) -> Iterator[None]:
    """Give a duty to every role for a while (放宽权限)."""
    kept = dict(ROLES_OF_DUTY)
    ROLES_OF_DUTY[duty] = frozenset(Role)
    try:
        yield
    finally:
        ROLES_OF_DUTY.clear()
        ROLES_OF_DUTY.update(kept)


async def try_permissions(stage: Stage, tally: Tally, seed: int, sample: int) -> None:
    """Give one duty at a time to every role: the matrix of who is let in must change where the duty is needed.

    Asked again are the cells that were refused for lack of that duty, since nothing else can have changed by it; where none of them
    opens, or there is none, every cell that was refused. Two looks at the whole matrix, and a third in parts, instead of one for each duty.
    """
    from fenzhi_graphql.print_schema import schema_text

    asked = list(questions(build_schema(schema_text())))
    before = await matrix_of(stage, tally, asked)
    if not sample:
        again = await matrix_of(stage, tally, asked)
        tally.saw("matrix stands", before == again, "two looks at the same permissions differ")
    tally.figures |= {"matrix_cells": len(before), "let_in": sum(not duty for duty in before.values())}
    duties = [duty for duty in Duty if ROLES_OF_DUTY[duty] != frozenset(Role)]
    random.Random(seed).shuffle(duties)
    for duty in duties[: sample or None]:
        with everybody_may(duty):
            after = await matrix_of(
                stage, tally, asked, {cell for cell, named in before.items() if named == duty.value}
            )
            still = sorted(cell for cell, named in after.items() if named == duty.value)
            tally.saw("refused for nothing else", not still, f"{duty}: {len(still)} of {len(after)}, {still[:3]}")
            if "" not in after.values():
                after |= await matrix_of(stage, tally, asked, {cell for cell, named in before.items() if named})
        opened = sorted({field for (field, role), named in after.items() if not named and before[field, role]})
        tally.saw("permission widened", bool(opened), f"{duty}: no field noticed")
        tally.figures.setdefault("fields_of_duty", {})[duty.value] = opened
