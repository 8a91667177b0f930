"""The API's answers to vectors (接口的答案): each world a province of its own on a platform of its own, asked page by page.

What a world is made of is put into the store as imports, registrations and approvals leave it, because a made-up catalog is full of what
an import would refuse. Every answer comes over HTTP from `groupingPreview`, which stores nothing. A hospital has one of three levels
here; a world with others has more cities, so that no two levels of a city fall together.
"""

from __future__ import annotations

import asyncio
import csv
import io
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import httpx

from fenzhi.access.roles import Role
from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.cli.bench_stored_year import bench_platform
from fenzhi.cli.flow.client import Cast
from fenzhi.cli.offline import OfflineRules
from fenzhi.cli.status import PlatformStatus
from fenzhi.cli.tokens import token_maker
from fenzhi.rules.catalog.edition_lists import read_lists
from fenzhi.rules.quantities import fen_from_yuan, points_decimals
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.rules.scoring.auxiliary_choice import read_subtypes
from fenzhi.services.catalog.book import row_of
from fenzhi.settings import Settings
from fenzhi.store.repositories import catalog, point_value, policy, registry
from fenzhi.store.session import Database, UnitOfWork, new_id

PAGE = 100
INSURANCE = "employee"
PREVIEW = """
query($h: String!, $c: [GroupingCaseInput!]!) { groupingPreview(hospitalCode: $h, cases: $c) {
  caseId groupCode reason band referenceSource points } }
"""
_FIELDS = {
    "group_code": "groupCode",
    "reason": "reason",
    "band": "band",
    "reference_source": "referenceSource",
    "points": "points",
}
_LEVELS = ("primary", "secondary", "tertiary")
_SIGNS = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_FROM = date(2021, 1, 1)
_AT_ONCE = 2
_DOCUMENT = "一致性向量（构造文件）"


@dataclass(frozen=True)
class _City:
    code: str
    levels: Mapping[str, str]
    """A level of the vectors → the level that stands for it here."""
    hospitals: Mapping[str, str]
    """A hospital of the vectors → its code here."""


class ApiWorlds:
    """A running platform that answers for one world after another (接口核对). Not for two threads at once."""

    def __init__(self, settings: Settings, status: PlatformStatus, runner: asyncio.Runner) -> None:
        self._settings, self._status, self._runner = settings, status, runner
        self._worlds = 0

    def answers(
        self, rules: OfflineRules, world: Mapping[str, Any], cases: Sequence[Mapping[str, Any]], discharge: date
    ) -> list[dict[str, str]]:
        """What the API says of the cases of a world, in their order (接口的答案). Raises: StepRefused when a page is refused."""
        self._worlds += 1
        stem = _SIGNS[self._worlds // len(_SIGNS)] + _SIGNS[self._worlds % len(_SIGNS)]
        return self._runner.run(self._answers(f"V{stem}", rules, world, cases, discharge))

    async def _answers(
        self,
        stem: str,
        rules: OfflineRules,
        world: Mapping[str, Any],
        cases: Sequence[Mapping[str, Any]],
        discharge: date,
    ) -> list[dict[str, str]]:
        database = Database(self._status.app_dsn, pool_size=2, application="fenzhi-vectors")
        try:
            async with httpx.AsyncClient(base_url=self._status.api_url, timeout=300, trust_env=False) as http:
                cast = Cast(http, token_maker(self._settings, database))
                cities = await _open(cast, stem, rules)
                await _enter(database, stem, rules, world, cities, discharge.year)
                return await _asked(cast, cities, cases, discharge)
        finally:
            await database.close()


@contextmanager
def api_worlds() -> Iterator[ApiWorlds]:
    """A platform for vectors, thrown away afterwards (向量核对平台)."""
    with bench_platform() as (settings, status), asyncio.Runner() as runner:
        yield ApiWorlds(settings, status, runner)


async def _open(cast: Cast, stem: str, rules: OfflineRules) -> list[_City]:
    """The tenants of a world."""
    levels = sorted({factor.level for factor in rules.hospitals.values()})
    operator = cast.actor("operator", Role.OPERATOR_ADMIN)

    async def opened(kind: str, code: str, parent: str) -> None:
        order = {"kind": kind, "code": code, "name": f"向量 {code}", "parent": parent}
        await operator.do("tenantOpen", "TenantOpenInput", order | {"isDelegated": False, "isSandbox": False}, "tenant")

    await opened("PROVINCE", f"{stem}000", "")
    cities = []
    for place in range(0, len(levels), len(_LEVELS)):
        mine = dict(zip(levels[place : place + len(_LEVELS)], _LEVELS, strict=False))
        code = f"{stem}{place // len(_LEVELS) + 1:02d}0"
        await opened("CITY", code, f"{stem}000")
        hospitals = {}
        for number, (name, factor) in enumerate(sorted(rules.hospitals.items()), start=1):
            if factor.level in mine:
                hospitals[name] = f"H{code}{number:05d}"
                await opened("HOSPITAL", hospitals[name], code)
        cities.append(_City(code, mine, hospitals))
    return cities


async def _enter(
    database: Database, stem: str, rules: OfflineRules, world: Mapping[str, Any], cities: Sequence[_City], year: int
) -> None:
    """Code tables, edition, policy, standing, references and price of a world, as they stand when approved."""
    first, second = new_id(), new_id()
    async with database.unit_of_work(Scope(role=DatabaseRole.OPERATOR, tenant="operator")) as uow:
        province = await registry.province_by_code(uow, f"{stem}000")
        areas = [await registry.area_by_code(uow, city.code) for city in cities]
    if province is None or None in areas:
        raise InvariantBroken("the world's tenants are open", account=stem)
    scope = Scope(
        role=DatabaseRole.PROVINCE,
        tenant=f"{stem}000",
        province_id=province.province_id,
        account_id=str(first),
        person_id=str(first),
    )
    async with database.unit_of_work(scope) as uow:
        edition_id = await _edition(uow, rules, world)
        proposed: list[dict[str, Any]] = [
            {
                "policy_id": new_id(),
                "key": key,
                "value": {"content": content, "insurance": ""},
                "effective_from": _FROM,
                "document": _DOCUMENT,
                "issued_on": _FROM,
                "is_constructed": True,
                "state": "proposed",
                "proposed_by": first,
                "proposed_by_person": first,
            }
            for key, content in rules.choices.items()
            if key != "catalog.standard"
        ]
        await policy.propose(uow, proposed)
    async with database.unit_of_work(replace(scope, account_id=str(second), person_id=str(second))) as uow:
        await policy.decide(uow, [row["policy_id"] for row in proposed], "in_force")
    for city, area in zip(cities, areas, strict=True):
        await _area(database, rules, world, city, area, edition_id, year)


async def _edition(uow: UnitOfWork, rules: OfflineRules, world: Mapping[str, Any]) -> uuid.UUID:
    edition = rules.edition
    tables = {"diagnosis": new_id(), "procedure": new_id()}
    entries: dict[str, list[tuple[Any, ...]]] = {
        "diagnosis": [(code, code, gray, None) for code, gray in edition.tables.diagnoses.items()],
        "procedure": [
            (code, code, one.is_gray, one.procedure_class.value if one.procedure_class else None)
            for code, one in edition.tables.procedures.items()
        ],
    }
    for kind, rows in entries.items():
        head = {"code_table_id": tables[kind], "kind": kind, "version": "V1", "document": _DOCUMENT}
        await catalog.add_code_table(uow, head | {"entries": len(rows), "content_sha256": b"v" * 32}, rows)
    edition_id = new_id()
    await catalog.add_edition(
        uow,
        {
            "edition_id": edition_id,
            "code": "V1",
            "title": _DOCUMENT,
            "state": "draft",
            "effective_from": _FROM,
            "scale": edition.scale,
            "points_decimals": points_decimals(edition.scale),
            "score_decimals": edition.score_places,
            "diagnosis_table_id": tables["diagnosis"],
            "procedure_table_id": tables["procedure"],
            "document": _DOCUMENT,
            "groups": len(edition.groups),
            "content_sha256": b"v" * 32,
            "standard": edition.standard.value,
            "drafted_by_person": new_id(),
        },
    )
    await catalog.add_groups(uow, edition_id, 1, (row_of(one, "imported") for one in edition.groups))
    await catalog.replace_lists(uow, edition_id, read_lists(world["lists"].encode())[0] if world.get("lists") else ())
    await catalog.replace_subtypes(
        uow, edition_id, read_subtypes(world["subtypes"].encode())[0] if world.get("subtypes") else ()
    )
    await catalog.change_edition(uow, edition_id, "draft", {"state": "in_review"})
    published = {"state": "published", "published_by_person": new_id()}
    await catalog.change_edition(uow, edition_id, "in_review", published)
    return edition_id


async def _area(
    database: Database,
    rules: OfflineRules,
    world: Mapping[str, Any],
    city: _City,
    area: Any,
    edition_id: uuid.UUID,
    year: int,
) -> None:
    clerk = Scope(
        role=DatabaseRole.AREA,
        tenant=city.code,
        province_id=area.province_id,
        area_id=area.area_id,
        account_id=str(new_id()),
        person_id=str(new_id()),
    )
    async with database.unit_of_work(clerk) as uow:
        for name, code in city.hospitals.items():
            row = await registry.hospital_by_code(uow, code)
            if row is None:
                raise InvariantBroken("the world's hospitals are open", account=code)
            factor = rules.hospitals[name]
            place = {"area_id": area.area_id, "hospital_id": row.hospital_id, "county_id": row.county_id}
            place |= {"document": _DOCUMENT}
            dated = place | {"effective_from": _FROM}
            await registry.add_standing(uow, dated | {"level": city.levels[factor.level]})
            await registry.add_coefficient(uow, dated | {"insurance": INSURANCE, "coefficient": factor.coefficient})
            until = {"valid_from": _FROM, "valid_to": date(2099, 12, 31), "payment_mode": "dip"}
            await registry.add_agreement(uow, place | until | {"insurance": INSURANCE})
    worker = replace(clerk, role=DatabaseRole.WORKER)
    async with database.unit_of_work(worker) as uow:
        found = [
            (edition_id, year - 1, row["group_code"], city.levels.get(row["level"], ""), int(row["n"]), total, 0)
            for row in csv.DictReader(io.StringIO(world.get("references", "")))
            # A mean over no case is kept in no table; the rules take it for none.
            if (not row["level"] or row["level"] in city.levels) and int(row["n"]) > 0
            for total in (fen_from_yuan(row["total"]),)
        ]
        await catalog.add_reference_costs(uow, found)
        if rules.lines.price_fen is not None:
            await point_value.add(uow, _price(rules, edition_id, year))


def _price(rules: OfflineRules, edition_id: uuid.UUID, year: int) -> dict[str, Any]:
    """A budget point value that is exactly the price of the world."""
    price, places = rules.lines.price_fen, points_decimals(rules.edition.scale)
    if price is None:
        raise ValueError("the world has no price")
    cost, points = price.numerator, price.denominator * 10**places
    return {
        "insurance": INSURANCE,
        "pool_scope": "local",
        "year": year,
        "kind": "budget",
        "basis": "total_cost",
        "fund_fen": cost,
        "cost_fen": cost,
        "booked_fen": cost,
        "points": points,
        "points_decimals": places,
        "edition_id": edition_id,
        "state": "approved",
        "working": {},
        "proposed_by_person": new_id(),
        "approved_by_person": new_id(),
    }


async def _asked(
    cast: Cast, cities: Sequence[_City], cases: Sequence[Mapping[str, Any]], discharge: date
) -> list[dict[str, str]]:
    """Every case asked in pages of one hospital, some pages at a time."""
    found: dict[int, dict[str, str]] = {}
    slots = asyncio.Semaphore(_AT_ONCE)

    async def page(city: _City, hospital: str, numbers: Sequence[int]) -> None:
        listed = [_listed(number, cases[number], discharge) for number in numbers]
        async with slots:
            clerk = cast.actor(city.code, Role.CITY_SETTLEMENT_CLERK)
            rows = (await clerk.ask(PREVIEW, {"h": city.hospitals[hospital], "c": listed}))["groupingPreview"]
        for row in rows:
            found[int(row["caseId"])] = {name: str(row[of] or "") for name, of in _FIELDS.items()}

    pages = []
    for city in cities:
        for hospital in city.hospitals:
            mine = [number for number, case in enumerate(cases) if case["hospital"] == hospital]
            pages += [page(city, hospital, mine[start : start + PAGE]) for start in range(0, len(mine), PAGE)]
    await asyncio.gather(*pages)
    return [found[number] for number in range(len(cases))]


def _listed(number: int, case: Mapping[str, Any], discharge: date) -> dict[str, Any]:
    told: dict[str, Any] = {
        "caseId": str(number),
        "insurance": INSURANCE,
        "dischargeDate": discharge.isoformat(),
        "principalDiagnosis": case["principal"] or None,
        "procedures": list(case["procedures"]),
        "otherDiagnoses": list(case.get("others", ())),
        "totalFen": str(fen_from_yuan(case["cost"])),
    }
    for name, of in (("age", "ageDays"), ("los", "losDays"), ("weight", "birthWeightG"), ("way", "dischargeWay")):
        if name in case:
            told[of] = case[name]
    return told
