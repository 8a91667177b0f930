"""Section interference (互不干扰): two worlds that differ only outside the reader's area; every answer to the reader must be the same."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from graphql import build_schema

from fenzhi.access.roles import KIND_OF_ROLE, Role, TenantKind
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.demo import steps
from fenzhi.cli.demo.sources import DemoSource
from fenzhi.cli.probes import stage as probe_stage
from fenzhi.cli.probes.enumerate import IdSlot, Question, questions
from fenzhi.cli.probes.judge import filled
from fenzhi.cli.probes.world import ProbedWorld, Tenant
from fenzhi.cli.servers import ServerAddresses
from fenzhi.cli.trial_servers import sibling_database
from fenzhi.logs import configure_logging
from fenzhi.services.opening import open_platform

AREA = "990100"
"""The reader's area; everything else differs."""
EACH = 3
"""Objects of each kind that are asked for by id."""
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b")
_HASH = re.compile(r"\b[0-9a-f]{64}\b")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[0-9.]*(?:Z|[+-]\d\d:\d\d)?")
_TOKEN = re.compile(r"(?<![A-Za-z0-9_-])(?:[A-Za-z0-9_-]{4}){3,}(?:[A-Za-z0-9_-]{2,3})?={0,2}")
_ID = re.compile(r"[A-Z][A-Za-z]+:[ -~]+$")


async def run(addresses: ServerAddresses, seed: int, rounds: int) -> Tally:
    """Both worlds, one after the other, on databases of their own (互不干扰测试组)."""
    del rounds
    tally = Tally()
    with sibling_database(addresses, "first") as one, sibling_database(addresses, "second") as other:
        first = await answers_of(one, seed, is_other=False)
        second = await answers_of(other, seed, is_other=True)
    compare(tally, first, second)
    return tally


Answers = dict[tuple[str, str, str, int], str]
"""(role, tenant, field, which object) → the answer without ids and moments."""


def compare(tally: Tally, first: Answers, second: Answers) -> None:
    """Every answer of the first world must be there in the second, word for word."""
    tally.saw("same questions", first.keys() == second.keys(), str(first.keys() ^ second.keys())[:300])
    for place in sorted(first.keys() & second.keys()):
        mine, theirs = first[place], second[place]
        tally.saw(place[0], mine == theirs, f"{place}: {_difference(mine, theirs)}")
    tally.figures |= {"answers": len(first), "bytes": sum(map(len, first.values()))}


def _difference(mine: str, theirs: str) -> str:
    at = next((i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), min(len(mine), len(theirs)))
    return f"…{mine[max(0, at - 60) : at + 60]}… but …{theirs[max(0, at - 60) : at + 60]}…"


async def answers_of(addresses: ServerAddresses, seed: int, *, is_other: bool) -> Answers:
    """Build a world and ask everything as every reader of the area (建立并查询)."""
    found: Answers = {}
    async with world_of(addresses, seed, is_other=is_other) as world:
        from fenzhi_graphql.print_schema import schema_text

        asked = [q for q in questions(build_schema(schema_text())) if q.operation == "query"]
        for tenant, role in readers(world):
            actor = world.cast.actor(tenant, role)
            for question in asked:
                for number, values in enumerate(_fillings(world, tenant, question)):
                    variables = filled(question, values)
                    text = json.dumps(await actor.raw(question.document, variables), ensure_ascii=False, sort_keys=True)
                    found[role.value, tenant, question.field, number] = normalized(text)
    return found


def readers(world: ProbedWorld) -> list[tuple[str, Role]]:
    """Every role below the province in the area: the city, its first county, one hospital in it and one outside."""
    inside = [t for t in world.tenants.values() if AREA in (t.code, *world.ancestors(t.code))]
    chosen: dict[tuple[TenantKind, bool], str] = {}
    for tenant in sorted(inside, key=lambda t: t.code):
        chosen.setdefault((tenant.kind, world.tenants[tenant.parent].kind is TenantKind.COUNTY), tenant.code)
    return [
        (code, role)
        for (kind, _), code in chosen.items()
        for role, level in KIND_OF_ROLE.items()
        if level is kind and role is not Role.INTEGRATION_DEVELOPER
    ]


def _fillings(world: ProbedWorld, tenant: str, question: Question) -> Iterator[dict[IdSlot, str]]:
    """The first few own objects for every id, or nothing to fill in."""
    if not question.id_slots:
        yield {}
        return
    own = {tenant, *world.descendants(tenant)}
    for number in range(EACH):
        values: dict[IdSlot, str] = {}
        for slot in question.id_slots:
            if slot.node_type.startswith("code:"):
                values[slot] = tenant
                continue
            ids = sorted(
                (
                    i
                    for t, of in world.objects.items()
                    if t == slot.node_type
                    for owner, owned in of.items()
                    if owner in own
                    for i in owned
                ),
                key=_key,
            )
            if number < len(ids):
                values[slot] = ids[number]
        if len(values) == len(question.id_slots):
            yield values


def _key(global_id: str) -> str:
    return base64.urlsafe_b64decode(global_id + "=" * (-len(global_id) % 4)).decode("utf-8", "replace")


def normalized(text: str) -> str:
    """An answer without what is new in every world: ids of time and chance, moments, hashes over ids (规范化).

    Ids of tenants are numbers and stay: another world must not move them.
    """

    def token(match: re.Match[str]) -> str:
        raw = base64.urlsafe_b64decode(match[0].rstrip("=") + "=" * (-len(match[0].rstrip("=")) % 4))
        # An id: a type and a key. A cursor: twelve bytes of signature, then its keys in JSON.
        id_, keys = raw.decode("utf-8", "replace"), raw[12:].decode("utf-8", "replace")
        if _ID.match(id_):
            return f"<{_plain(id_)}>"
        return f"<cursor {_plain(keys)}>" if keys.startswith("[") and keys.endswith("]") else match[0]

    return _plain(_TOKEN.sub(token, _HASH.sub("<hash>", text)))


def _plain(text: str) -> str:
    return _MOMENT.sub("<moment>", _HASH.sub("<hash>", _UUID.sub("<uuid>", text)))


@asynccontextmanager
async def world_of(addresses: ServerAddresses, seed: int, *, is_other: bool) -> AsyncIterator[ProbedWorld]:
    """One world: the reader's province by the seed; outside the area, and in the other province, as `is_other` says."""
    from fenzhi_migrations.upgrade import upgrade_to_head

    await asyncio.to_thread(upgrade_to_head, addresses.owner_dsn)
    configure_logging("CRITICAL")
    at_once, steps.AT_ONCE = steps.AT_ONCE, 1
    try:
        async with (
            open_platform(addresses.app_dsn, addresses.redis_url, os.urandom(32), is_development=True) as platform,
            probe_stage._cast(platform) as cast,
        ):
            tenants: dict[str, Tenant] = {}
            async with probe_stage._worker(platform, addresses.redis_url):
                for prefix in ("99", "98"):
                    source = probe_stage._source(prefix, seed + (7 if is_other and prefix == "98" else 0))
                    source = _changed(source) if is_other and prefix == "99" else source
                    await probe_stage._perform(cast, source, is_sandbox=prefix == "98")
                    tenants |= probe_stage._tenants(source.plan)
            tenants["operator"] = Tenant("operator", TenantKind.OPERATOR, "")
            world = ProbedWorld(cast, tenants, "980000", await probe_stage._numbers(addresses.app_dsn))
            await probe_stage._collect(world, addresses.app_dsn)
            yield world
    finally:
        steps.AT_ONCE = at_once


def _changed(source: DemoSource) -> DemoSource:
    """The province with another name for everybody outside the area, and half of their lists."""
    plan = source.plan
    outside = {h.code for h in plan.hospitals if h.city_code != AREA}

    def renamed(things: Any) -> Any:
        return tuple(
            dataclasses.replace(t, name=f"{t.name}（乙）") if AREA not in (t.code, getattr(t, "city_code", "")) else t
            for t in things
        )

    def lists() -> Iterator[tuple[str, bytes]]:
        kept = 0
        for code, line in source.lists():
            kept += code in outside
            if code not in outside or kept % 2:
                yield code, line

    changed = dataclasses.replace(
        plan, cities=renamed(plan.cities), counties=renamed(plan.counties), hospitals=renamed(plan.hospitals)
    )
    return dataclasses.replace(source, plan=changed, lists=lists)
