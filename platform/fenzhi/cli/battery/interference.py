"""Section interference (互不干扰): two worlds that differ only outside the reader's area; every answer to the reader must be the same."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import io
import json
import os
import re
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from graphql import build_schema

from fenzhi.access.roles import KIND_OF_ROLE, Role, TenantKind
from fenzhi.cli.battery.published_aggregates import PUBLISHED_AGGREGATES
from fenzhi.cli.battery.reviews import review_in, without_lots
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.demo import steps
from fenzhi.cli.demo.sources import DemoSource
from fenzhi.cli.flow.client import Actor
from fenzhi.cli.probes.enumerate import IdSlot, Question, questions
from fenzhi.cli.probes.judge import filled, not_admitted
from fenzhi.cli.probes.left_behind import rank
from fenzhi.cli.probes.marked_source import marked_source
from fenzhi.cli.probes.objects import collect_objects, numbers_of, tenants_of
from fenzhi.cli.probes.paths import OPEN_PATHS
from fenzhi.cli.probes.stage import cast_over, perform, worker_beside
from fenzhi.cli.probes.world import ProbedWorld, Tenant
from fenzhi.cli.servers import ServerAddresses
from fenzhi.cli.synthetic.plan import ProvincePlan
from fenzhi.cli.trial_servers import sibling_database
from fenzhi.logs import configure_logging
from fenzhi.services.opening import open_platform

AREA = "990100"
"""The reader's area; everything else differs."""
NODE_OF_PARAMETER = {"batch": "Batch", "edition": "CatalogEdition", "job_id": "Job"}
"""Parameter of a path → the node type its id names (路径参数)."""
_PLACE = re.compile(r"\{\w+(?::\w+)?\}")
CASES = 880
"""Lists of a province: half of them are the area's, so that its cap of special cases is two, and one where its others send little, both
by a margin: some lists are refused, and seeds differ."""
ONE_OF = 8
"""Of the lists of those who are otherwise, one of so many is sent."""
EACH = 3
"""Objects of each kind that are asked for by id."""
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b")
_HASH = re.compile(r"\b[0-9a-f]{64}\b")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[0-9.]*(?:Z|[+-]\d\d:\d\d)?")
_TOKEN = re.compile(r"(?<![A-Za-z0-9_-])(?:[A-Za-z0-9_-]{4}){3,}(?:[A-Za-z0-9_-]{2,3})?={0,2}")
_ID = re.compile(r"[A-Z][A-Za-z]+:[ -~]+$")


async def run(addresses: ServerAddresses, seed: int, rounds: int) -> Tally:
    """Four worlds, one after the other, on databases of their own (互不干扰测试组)."""
    del rounds
    tally = Tally()
    found = await _worlds_of_one_day(addresses, seed)
    for change, answers in found.items():
        refused = [f"{place}: {refusal}" for place, text in answers.items() if (refusal := not_admitted(text))]
        tally.saw("readers let in", not refused, f"{change}: {len(refused)}, {refused[:3]}")
    first = found[Change.NOTHING]
    compare(tally, chosen(first, INSIDE), chosen(found[Change.OUTSIDE], INSIDE))
    compare(tally, chosen(first, PROVINCIAL), chosen(found[Change.OTHER_PROVINCE], PROVINCIAL))
    compare_but_aggregates(tally, chosen(first, LOWEST), chosen(found[Change.SIBLINGS], LOWEST))
    return tally


async def _worlds_of_one_day(addresses: ServerAddresses, seed: int) -> dict[Change, Answers]:
    """The answers of each world (各环境应答). Answers name the day, so where it turns meanwhile all worlds are made again."""
    while True:
        day, found = _today(), {}
        for change in Change:
            with sibling_database(addresses, change.value) as one:
                found[change] = await answers_of(one, seed, change)
        if _today() == day:
            return found


def _today() -> date:
    return datetime.now(ZoneInfo("Asia/Shanghai")).date()


class Change(StrEnum):
    """What is otherwise than in the first world (差异范围)."""

    NOTHING = "first"
    OUTSIDE = "outside"
    """Every tenant outside the area, in both provinces."""
    OTHER_PROVINCE = "province"
    """The other province alone."""
    SIBLINGS = "siblings"
    """The other hospitals and counties of the area."""


INSIDE = frozenset({TenantKind.CITY, TenantKind.COUNTY, TenantKind.HOSPITAL})
PROVINCIAL = frozenset({TenantKind.PROVINCE})
LOWEST = frozenset({TenantKind.COUNTY, TenantKind.HOSPITAL})


def chosen(answers: Answers, levels: frozenset[TenantKind]) -> Answers:
    """The answers to readers of some levels (按层级选取)."""
    return {place: text for place, text in answers.items() if KIND_OF_ROLE[Role(place[0])] in levels}


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


def compare_but_aggregates(tally: Tally, first: Answers, second: Answers) -> None:
    """Every answer alike but for the registered aggregates; each registered one must differ somewhere, or it is none."""
    tally.saw("same questions", first.keys() == second.keys(), str(first.keys() ^ second.keys())[:300])
    differing: set[str] = set()
    for place in sorted(first.keys() & second.keys()):
        fields = differing_fields(first[place], second[place])
        differing |= fields
        beyond = sorted(fields - PUBLISHED_AGGREGATES.keys())
        why = f"{place}: {beyond} {_difference(first[place], second[place])}" if beyond else ""
        tally.saw(f"siblings, {place[0]}", not beyond, why)
    for field in sorted(PUBLISHED_AGGREGATES):
        tally.saw(
            "registered aggregate differs", field in differing, f"{field} never differed: {PUBLISHED_AGGREGATES[field]}"
        )
    tally.figures |= {"sibling_answers": len(first), "aggregates_seen": sorted(differing & PUBLISHED_AGGREGATES.keys())}


def differing_fields(first: str, second: str) -> set[str]:
    """The fields, as `Type.field`, in which two answers differ (差异字段); `text` where an answer is no JSON object."""
    if first == second:
        return set()
    try:
        one, other = json.loads(first), json.loads(second)
    except ValueError:
        return {"text"}
    return set(_walk(one, other, "answer"))


def _walk(one: Any, other: Any, name: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        kind = one.get("__typename", name)
        for field in one:
            inner = f"{kind}.{field}" if kind != "answer" else "answer"
            if inner in PUBLISHED_AGGREGATES and one[field] != other[field]:
                yield inner  # Registered whole, with whatever is inside it.
            else:
                yield from _walk(one[field], other[field], inner)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for mine, theirs in zip(_by_hospital(one), _by_hospital(other), strict=True):
            yield from _walk(mine, theirs, name)
    elif one != other:
        yield name


def _by_hospital(rows: list[Any]) -> list[Any]:
    """The places of a league in order of hospital instead of rank, so that each is compared with its own (按机构对齐)."""
    if any(not isinstance(row, dict) or row.get("__typename") != "QualityLeagueRow" for row in rows):
        return rows
    return sorted(rows, key=lambda row: str(row["hospitalCode"]))


async def answers_of(addresses: ServerAddresses, seed: int, change: Change) -> Answers:
    """Build a world and ask everything as every reader of the province, fields and files (建立并查询)."""
    found: Answers = {}
    async with world_of(addresses, seed, change) as world:
        from fenzhi_graphql.print_schema import schema_text

        asked = [q for q in questions(build_schema(schema_text())) if q.operation == "query"]
        for tenant, role in readers(world):
            actor = world.cast.actor(tenant, role)
            for question in asked:
                for number, values in enumerate(_fillings(world, tenant, question)):
                    variables = filled(question, values)
                    answer = without_lots(await actor.raw(question.document, variables))
                    text = json.dumps(answer, ensure_ascii=False, sort_keys=True)
                    found[role.value, tenant, question.field, number] = normalized(text)
            async for path, number, text in files_of(world, actor, tenant):
                found[role.value, tenant, path, number] = text
    return found


async def files_of(world: ProbedWorld, actor: Actor, tenant: str) -> AsyncIterator[tuple[str, int, str]]:
    """Every path that gives something away, for own objects and for a sibling's (下载与事件流): what it answers, as text."""
    from fenzhi_graphql.app import routes

    for route in routes(b""):
        wanted = next(
            (NODE_OF_PARAMETER[p] for p in getattr(route, "param_convertors", {}) if p in NODE_OF_PARAMETER), ""
        )
        if "GET" not in (getattr(route, "methods", None) or ()) or route.path in OPEN_PATHS:
            continue
        ids = _ids(world, _kin(world, tenant), wanted)[:EACH] if wanted else [""]
        strangers = [t for t in world.tenants if world.relation(tenant, t) == "sibling"]
        for number, id_ in enumerate([*ids, *_ids(world, set(strangers), wanted)[:1]] if wanted else ids):
            path = _PLACE.sub(id_ or "1", route.path)
            answer = await actor.send("GET", path)
            yield route.path, number, f"{answer.status_code} {normalized(_as_text(answer))}"


def _as_text(answer: httpx.Response) -> str:
    """The bytes of an answer as text; a workbook is its sheets, without the moment it was written."""
    if not answer.content.startswith(b"PK"):
        return answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as book:
        names = sorted(n for n in book.namelist() if n != "docProps/core.xml")
        return "\n".join(f"{n} {book.read(n).decode('utf-8', 'replace')}" for n in names)


def readers(world: ProbedWorld) -> list[tuple[str, Role]]:
    """Every role of the province: the province itself, the city, its first county, one hospital in it and one outside."""
    province = world.tenants[AREA].parent
    inside = [t for t in world.tenants.values() if AREA in (t.code, *world.ancestors(t.code)) or t.code == province]
    chosen_: dict[tuple[TenantKind, bool], str] = {}
    for tenant in sorted(inside, key=lambda t: t.code):
        is_under = tenant.parent in world.tenants and world.tenants[tenant.parent].kind is TenantKind.COUNTY
        chosen_.setdefault((tenant.kind, is_under), tenant.code)
    return [
        (code, role)
        for (kind, _), code in chosen_.items()
        for role, level in KIND_OF_ROLE.items()
        if level is kind and role is not Role.INTEGRATION_DEVELOPER
    ]


def kept_of(plan: ProvincePlan) -> frozenset[str]:
    """The hospitals of the area that stand still when its others change (保持不变的医院): those whose readers are asked.

    The first county's, and the first hospital outside any county.
    """
    mine = sorted((h for h in plan.hospitals if h.city_code == AREA), key=lambda h: h.code)
    county = min(c.code for c in plan.counties if c.city_code == AREA)
    alone = next((h.code for h in mine if h.county_code is None), "")
    return frozenset({h.code for h in mine if h.county_code == county} | {alone})


def _fillings(world: ProbedWorld, tenant: str, question: Question) -> Iterator[dict[IdSlot, str]]:
    """The first few own objects for every id, or nothing to fill in."""
    if not question.id_slots:
        yield {}
        return
    own = _kin(world, tenant)
    for number in range(EACH):
        values: dict[IdSlot, str] = {}
        for slot in question.id_slots:
            if slot.node_type.startswith("code:"):
                values[slot] = tenant
                continue
            ids = _ids(world, own, slot.node_type)
            if number < len(ids):
                values[slot] = ids[number]
        if len(values) == len(question.id_slots):
            yield values


def _kin(world: ProbedWorld, tenant: str) -> set[str]:
    """A tenant, those below it and those above it."""
    return {tenant, *world.descendants(tenant), *world.ancestors(tenant)}


def _ids(world: ProbedWorld, owners: set[str], node_type: str) -> list[str]:
    """The objects of a type that some tenants own, in order of key."""
    of_type = world.objects.get(node_type, {})
    return sorted((i for owner, owned in of_type.items() if owner in owners for i in owned), key=_key)


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
        shown = _plain(keys).replace('"', "'")
        return f"<cursor {shown}>" if keys.startswith("[") and keys.endswith("]") else match[0]

    return _plain(_TOKEN.sub(token, _HASH.sub("<hash>", text)))


def _plain(text: str) -> str:
    return _MOMENT.sub("<moment>", _HASH.sub("<hash>", _UUID.sub("<uuid>", text)))


@asynccontextmanager
async def world_of(addresses: ServerAddresses, seed: int, change: Change) -> AsyncIterator[ProbedWorld]:
    """One world: both provinces by the seed, but for the change."""
    from fenzhi_migrations.upgrade import upgrade_to_head

    await asyncio.to_thread(upgrade_to_head, addresses.owner_dsn)
    configure_logging("CRITICAL")
    at_once, steps.AT_ONCE = steps.AT_ONCE, 1
    try:
        async with (
            open_platform(addresses.app_dsn, addresses.redis_url, os.urandom(32), is_development=True) as platform,
            cast_over(platform) as cast,
        ):
            tenants: dict[str, Tenant] = {}
            async with worker_beside(platform, addresses.redis_url):
                for prefix in ("99", "98"):
                    is_new = prefix == "98" and change in (Change.OUTSIDE, Change.OTHER_PROVINCE)
                    source = marked_source(prefix, seed + (7 if is_new else 0), CASES)
                    kept: frozenset[str] = kept_of(source.plan) if prefix == "99" else frozenset()
                    fewer: frozenset[str] = frozenset()
                    if prefix == "99" and change in (Change.OUTSIDE, Change.SIBLINGS):
                        fewer = _others(source.plan, is_inside=change is Change.SIBLINGS)
                        source = _changed(source, is_inside=change is Change.SIBLINGS)
                    await perform(cast, source, is_sandbox=prefix == "98")
                    for city in source.plan.cities:
                        clerk = cast.actor(city.code, Role.CITY_SETTLEMENT_CLERK)
                        await rank(cast, clerk, source.plan, city.code)
                        await review_in(cast, source.plan, city.code, kept, fewer)
                    tenants |= tenants_of(source.plan)
            tenants["operator"] = Tenant("operator", TenantKind.OPERATOR, "")
            world = ProbedWorld(cast, tenants, "980000", await numbers_of(addresses.app_dsn))
            await collect_objects(world, addresses.app_dsn)
            yield world
    finally:
        steps.AT_ONCE = at_once


def _others(plan: ProvincePlan, *, is_inside: bool) -> frozenset[str]:
    """The hospitals that are otherwise: everybody's outside the area, or the area's others."""
    kept = kept_of(plan) if is_inside else frozenset()
    return frozenset(h.code for h in plan.hospitals if (h.city_code == AREA) is is_inside and h.code not in kept)


def _changed(source: DemoSource, *, is_inside: bool) -> DemoSource:
    """The province with another name for everybody outside the area, or for the area's others, and few of their lists.

    The last of them that has residents in the first month has none here, so that one payment fewer is made.
    """
    plan = source.plan
    others = _others(plan, is_inside=is_inside)
    first_month = f'"setl_end_date":"{plan.settlement_year}-01'.encode()

    def is_paid_in_the_first(line: bytes) -> bool:
        return first_month in line and b'"insutype":"390"' in line

    last = max(code for code, line in source.lists() if code in others and is_paid_in_the_first(line))
    counties = {h.county_code for h in plan.hospitals if h.code not in others}
    touched = others | {c.code for c in plan.counties if (c.city_code == AREA) is is_inside and c.code not in counties}
    touched |= set() if is_inside else {c.code for c in plan.cities if c.code != AREA}

    def renamed(things: Any) -> Any:
        return tuple(dataclasses.replace(t, name=f"{t.name}（乙）") if t.code in touched else t for t in things)

    def lists() -> Iterator[tuple[str, bytes]]:
        seen = 0
        for code, line in source.lists():
            if code == last and first_month in line:
                is_sent = not is_paid_in_the_first(line)
            else:
                seen += code in others
                is_sent = code not in others or seen % ONE_OF == 1
            if is_sent:
                yield code, line

    changed = dataclasses.replace(
        plan, cities=renamed(plan.cities), counties=renamed(plan.counties), hospitals=renamed(plan.hospitals)
    )
    return dataclasses.replace(source, plan=changed, lists=lists)
