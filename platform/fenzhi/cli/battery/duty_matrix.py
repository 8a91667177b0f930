"""The matrix of who is let in where (权限矩阵), and every permission widened in turn: it must change each time."""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from graphql import build_schema
from starlette.routing import Route

from fenzhi.access.roles import KIND_OF_ROLE, ROLES_OF_DUTY, Duty, Role
from fenzhi.cli.battery.stage import TENANTS, Stage
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.flow.client import Actor
from fenzhi.cli.probes.enumerate import Question, questions
from fenzhi.cli.probes.judge import filled, nonexistent, not_admitted
from fenzhi.cli.probes.paths import OPEN_PATHS, filled_path, methods_of, slots_of

Cell = tuple[str, Role]
"""A door's name, and a role."""
Matrix = dict[Cell, str]
"""Cell → the duty for whose lack the first lock refuses, or nothing where the role passes it; a refusal by the second one, the
database's, is another."""
_NO_DUTY = re.compile(r"does not carry the duty (\w+)")
WITHOUT_A_DUTY = frozenset({"mutation.signOut"})
"""Changes that nobody is refused: who may sign in may sign out."""


@dataclass(frozen=True, slots=True)
class Door:
    """A field or a path (入口), and how it is asked with ids that name nothing; the answer's text."""

    name: str
    ask: Callable[[Actor], Awaitable[str]]
    ask_wrongly: Callable[[Actor], Awaitable[str]] | None = None
    """The same with an order full of faults; none where an order is a body of bytes, which is never one."""

    @property
    def changes(self) -> bool:
        """Whether something can be changed through it."""
        return self.name.startswith(("mutation.", "POST ", "PUT ", "DELETE "))


def doors() -> list[Door]:
    """Every field of the schema, and every path and method beside it (全部入口).

    `/graphql` is its fields; HEAD has no words to say what was lacking, and is left to the probes.
    """
    from fenzhi_graphql.app import routes
    from fenzhi_graphql.print_schema import schema_text

    fields = [
        Door(f"{question.operation}.{question.field}", _asking_field(question), _asking_field(question, _spoiled))
        for question in questions(build_schema(schema_text()))
    ]
    paths = [
        Door(f"{method} {route.path}", _asking_path(route.path, method))
        for route in routes(b"")
        if isinstance(route, Route) and route.path not in {*OPEN_PATHS, "/graphql"}
        for method in methods_of(route)
        if method != "HEAD"
    ]
    return fields + paths


def _asking_field(
    question: Question, change: Callable[[Any], Any] = lambda variables: variables
) -> Callable[[Actor], Awaitable[str]]:
    """Ids go in after the change of what is asked: one of another shape would be refused before anybody's duty matters."""

    async def ask(actor: Actor) -> str:
        slots = {slot: nonexistent(slot.node_type) for slot in question.id_slots}
        asked = replace(question, variables=change(question.variables))
        document = {"query": question.document, "variables": filled(asked, slots)}
        return (await actor.send("POST", "/graphql", json=document)).text

    return ask


def _spoiled(value: Any) -> Any:
    """An order whose words are empty and whose numbers are below nought (错误的请求); names of choices, days and decimals stay."""
    if isinstance(value, dict):
        return {name: _spoiled(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_spoiled(inner) for inner in value]
    if isinstance(value, bool) or not isinstance(value, int | str):
        return value
    if isinstance(value, int):
        return -1
    return value if value.isupper() or value[:1].isdigit() else ""


def _asking_path(path: str, method: str) -> Callable[[Actor], Awaitable[str]]:
    filled_in = filled_path(path, {name: nonexistent(slot.node_type) for name, slot in slots_of(path).items()})

    async def ask(actor: Actor) -> str:
        return (await actor.send(method, filled_in, content=None if method == "GET" else b"{}\n")).text

    return ask


async def matrix_of(stage: Stage, tally: Tally, asked: Iterable[Door], cells: Collection[Cell] | None = None) -> Matrix:
    """Who is let in where, asked of the API with ids that name nothing (权限矩阵); of some cells alone where they are named."""
    found: Matrix = {}
    unheard = []
    for door in asked:
        for role, level in KIND_OF_ROLE.items():
            cell = door.name, role
            if cells is not None and cell not in cells:
                continue
            answer = await door.ask(stage.cast.actor(_tenant_of(role, level.name), role))
            refusal = _NO_DUTY.search(answer)
            found[cell] = refusal[1] if refusal else ""
            if at_the_door := not_admitted(answer):
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
    asked, rng = doors(), random.Random(seed)
    before = await matrix_of(stage, tally, asked)
    if not sample:
        again = await matrix_of(stage, tally, asked)
        tally.saw("matrix stands", before == again, "two looks at the same permissions differ")
    tally.figures |= {
        "doors": len(asked),
        "matrix_cells": len(before),
        "let_in": sum(not duty for duty in before.values()),
    }
    guarded = {door for (door, _), named in before.items() if named}
    for door in asked:
        if door.changes and door.name not in WITHOUT_A_DUTY:
            tally.saw("asks for a duty", door.name in guarded, f"{door.name}: no role is refused for lack of a duty")
    await try_faulty_orders(stage, tally, asked, before, rng)
    duties = [duty for duty in Duty if ROLES_OF_DUTY[duty] != frozenset(Role)]
    rng.shuffle(duties)
    for duty in duties[: sample or None]:
        with everybody_may(duty):
            after = await matrix_of(
                stage, tally, asked, {cell for cell, named in before.items() if named == duty.value}
            )
            still = sorted(cell for cell, named in after.items() if named == duty.value)
            tally.saw("refused for nothing else", not still, f"{duty}: {len(still)} of {len(after)}, {still[:3]}")
            if "" not in after.values():
                after |= await matrix_of(stage, tally, asked, {cell for cell, named in before.items() if named})
        opened = sorted({door for (door, role), named in after.items() if not named and before[door, role]})
        tally.saw("permission widened", bool(opened), f"{duty}: no field or path noticed")
        tally.figures.setdefault("doors_of_duty", {})[duty.value] = opened


_SHAPE = ("GRAPHQL_INVALID", "ID_MALFORMED")
"""Codes of orders that are none, whoever sends them: they never reach what asks for a duty."""


async def try_faulty_orders(
    stage: Stage, tally: Tally, asked: Iterable[Door], before: Matrix, rng: random.Random
) -> None:
    """Who may not give an order is told so, and nothing of its faults (先查权限): one role for each change, drawn by seed."""
    for door in asked:
        refused = sorted(role for (name, role), duty in before.items() if name == door.name and duty)
        if not door.changes or door.ask_wrongly is None or not refused:
            continue
        role = rng.choice(refused)
        answer = await door.ask_wrongly(stage.cast.actor(_tenant_of(role, KIND_OF_ROLE[role].name), role))
        if not any(f'"code":"{code}"' in answer for code in _SHAPE):
            tally.saw("duty before faults", bool(_NO_DUTY.search(answer)), f"{door.name} as {role}: {answer[:300]}")
