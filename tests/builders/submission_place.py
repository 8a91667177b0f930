"""A small place that submits lists (上报测试环境): tenants of its own, policy by two persons, code tables, a published edition."""

from __future__ import annotations

import gzip
import json
import uuid
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from builders.world import Client, World, new_key
from fenzhi.access.roles import Role
from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.store.repositories import catalog, registry
from fenzhi.store.session import new_id

PROPOSE = "mutation($i: PolicyProposeInput!) { policyPropose(input: $i) { entries { id } userErrors { code path } } }"
APPROVE = "mutation($i: PolicyApproveInput!) { policyApprove(input: $i) { userErrors { code } } }"
CREATE = """
mutation($i: BatchCreateInput!) { batchCreate(input: $i) {
  batch { id state purpose mode uploadPath parts bytes hospitalCode } userErrors { code path saw } } }
"""
SEAL = """
mutation($i: BatchSealInput!) { batchSeal(input: $i) {
  batch { id state job { id kind state } } userErrors { code path saw } } }
"""
BATCH = """
query($id: ID!) { batch(id: $id) {
  state parts counts { rows accepted refused superseding warnings refusedByCode { code rows } setAside { code rows } }
  job { state errorCode } verdicts(first: 100) { nodes { row setlId rule code severity path saw message messageEn } }
  verdictSummary { rule code severity times rows } } }
"""
CASES = """
query($first: Int!, $filter: CaseFilter) { cases(first: $first, filter: $filter) { nodes {
  id setlId version supersededBy hospitalCode insurance poolScope settlementMonth totalFen basicFundFen otherFundsFen
  accountFen cashFen diagnoses procedures losDays } pageInfo { hasNextPage endCursor } } }
"""
DIAGNOSES = {
    "I63.900": False,
    "I10.x00x002": False,
    "J18.900": False,
    "I64.x00": True,
    # Of the vendor kit:
    "E11.900": False,
    "R42.x00": True,
}
PROCEDURES = {"88.4101": ("diagnostic", False), "99.1000": ("therapeutic", False), "36.0600": ("surgical", False)}
GROUPS = (
    ("I63.9:", "I63.9", 4, "", "core", None, Decimal("950.0")),
    ("I63.9:88.4101", "I63.9", 4, "88.4101", "core", None, Decimal("1200.5")),
    ("J18:conservative", "J18", 3, "", "comprehensive", "conservative", Decimal("400.0")),
)


@dataclass
class Place:
    """A province with two cities; the first has two hospitals."""

    world: World
    province: str
    city: str
    other_city: str
    hospital: str
    county_hospital: str
    other_hospital: str
    edition_id: uuid.UUID

    async def client(self, tenant: str, role: Role) -> Client:
        return await self.world.client(tenant, role)

    async def submitter(self, hospital: str = "") -> Client:
        return await self.world.client(hospital or self.hospital, Role.HOSPITAL_SUBMITTER)

    def listed(self, setl_id: str, **changes: Any) -> dict[str, Any]:
        """A sound list of the first hospital, with changes."""
        return {
            "setl_id": setl_id,
            "version": 1,
            "fixmedins_code": self.hospital,
            "insutype": "310",
            "insu_admdvs": self.city,
            "mdtrt_id": f"M{setl_id}",
            "medcasno": f"RECORD{setl_id}",
            "psn_no": f"PERSON{setl_id}",
            "psn_name": "合成患者姓名",
            "certno": f"CERT{setl_id}",
            "gend": "1",
            "brdy": "1950-01-01",
            "age": 75,
            "adm_time": "2025-01-03",
            "dscg_time": "2025-01-09",
            "setl_begn_date": "2025-01-03",
            "setl_end_date": "2025-01-10",
            "dcla_time": "2025-01-10",
            "act_ipt_days": 6,
            "dscg_way": "1",
            "diseinfo": [{"diag_code": "I63.900", "maindiag_flag": "1", "adm_cond_type": "1"}],
            "oprninfo": [{"oprn_oprt_code": "88.4101", "main_oprn_flag": "1", "oprn_oprt_begntime": "2025-01-04"}],
            "medfee_sumamt": "27068.00",
            "payinfo": [
                {"fund_pay_type": "310100", "fund_payamt": "20000.00"},
                {"fund_pay_type": "330100", "fund_payamt": "1000.00"},
            ],
            "acct_pay": "568.00",
            "psn_cashpay": "5500.00",
            "iteminfo": [{"med_chrgitm": "09", "amt": "27068.00"}],
        } | changes

    async def create(self, client: Client, **changes: Any) -> dict[str, Any]:
        order = {"idempotencyKey": new_key(), "purpose": "LISTS", "mode": "PARTIAL"} | changes
        made = (await client.gql(CREATE, {"i": order}))["batchCreate"]
        assert made["userErrors"] == [], made
        return made["batch"]  # type: ignore[no-any-return]

    async def seal(self, client: Client, batch: str, parts: int = 1, **changes: Any) -> dict[str, Any]:
        order = {"idempotencyKey": new_key(), "batch": batch, "parts": parts} | changes
        return (await client.gql(SEAL, {"i": order}))["batchSeal"]  # type: ignore[no-any-return]

    async def submit(self, lines: list[Any], *, hospital: str = "", **changes: Any) -> dict[str, Any]:
        """Create, upload, seal, judge: the judged batch, with its id."""
        client = await self.submitter(hospital)
        batch = await self.create(client, **changes)
        response = await client.http.put(batch["uploadPath"] + "1", content=ndjson(lines))
        assert response.status_code == 201, response.text
        assert (await self.seal(client, batch["id"]))["userErrors"] == []
        await self.world.work_off()
        return (await self.look(client, batch["id"])) | {"id": batch["id"]}

    async def look(self, client: Client, batch: str) -> dict[str, Any]:
        return (await client.gql(BATCH, {"id": batch}))["batch"]  # type: ignore[no-any-return]

    async def cases(self, client: Client, **wanted: Any) -> list[dict[str, Any]]:
        return (await client.gql(CASES, {"first": 100, "filter": wanted}))["cases"]["nodes"]  # type: ignore[no-any-return]


def ndjson(lines: list[Any]) -> bytes:
    """Lines of a part; bytes go as they are."""
    return b"".join(
        (line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode()) + b"\n" for line in lines
    )


def zipped(content: bytes) -> bytes:
    return gzip.compress(content)


async def open_place(world: World, stem: str, *, other_kind: str = "city") -> Place:
    """Open a place whose codes begin with `stem`, which no other test uses; `other_kind`: what its second pooling area is."""
    province, city, other = f"{stem}0000", f"{stem}0100", f"{stem}0200"
    county, hospital = f"{stem}0122", f"H{stem}010001"
    county_hospital, other_hospital = f"H{stem}012201", f"H{stem}020001"
    await world.open_tenants(
        [
            ("province", province, ""),
            ("city", city, province),
            (other_kind, other, province),
            ("county", county, city),
            ("hospital", hospital, city),
            ("hospital", county_hospital, county),
            ("hospital", other_hospital, other),
        ]
    )
    await _enter_policies(world, province, city, other)
    for tenant, code, level in (
        (city, hospital, "tertiary"),
        (city, county_hospital, "secondary"),
        (other, other_hospital, "tertiary"),
    ):
        await _register(world, tenant, code, level)
    edition_id = await _publish_edition(world, province)
    return Place(world, province, city, other, hospital, county_hospital, other_hospital, edition_id)


async def enter_policy(
    world: World, tenant: str, values: dict[str, str], document: str = "测试文件〔2021〕1号"
) -> None:
    """Policy proposed by one person and approved by another, of a province or a city, told by its code."""
    is_province = tenant.endswith("0000")
    first = Role.PROVINCE_CATALOG_EDITOR if is_province else Role.CITY_SETTLEMENT_CLERK
    second = Role.PROVINCE_CATALOG_APPROVER if is_province else Role.CITY_SETTLEMENT_APPROVER
    order = {
        "idempotencyKey": new_key(),
        "values": [{"key": key, "value": value, "effectiveFrom": "2021-01-01"} for key, value in values.items()],
        "document": document,
        "issuedOn": "2020-12-01",
    }
    proposed = (await (await world.client(tenant, first)).gql(PROPOSE, {"i": order}))["policyPropose"]
    assert proposed["userErrors"] == [], proposed
    ids = [entry["id"] for entry in proposed["entries"]]
    approving = {"i": {"idempotencyKey": new_key(), "ids": ids}}
    approved = (await (await world.client(tenant, second)).gql(APPROVE, approving))["policyApprove"]
    assert approved["userErrors"] == [], approved


async def _enter_policies(world: World, province: str, *cities: str) -> None:
    values = {
        "submission.insurance_types": json.dumps({"310": "employee", "390": "resident"}),
        "submission.basic_fund_pay_types": json.dumps({"310100": "employee", "390100": "resident"}),
        "submission.gray_principal_severity": "error",
        "grouping.conservative_match": "strict",
    }
    await enter_policy(world, province, values)
    area = {
        "grouping.tie_break": json.dumps(["most_parts", "most_matched", "group_code"]),
        "scoring.ungrouped_method": "pending",
    }
    for city in cities:
        await enter_policy(world, city, area)


async def _register(world: World, city: str, hospital: str, level: str) -> None:
    answer = await (await world.client(city, Role.CITY_SETTLEMENT_CLERK)).gql(
        "mutation($i: HospitalStandingRegisterInput!) { hospitalStandingRegister(input: $i) { userErrors { code } } }",
        {
            "i": {
                "idempotencyKey": new_key(),
                "hospital": hospital,
                "effectiveFrom": "2024-01-01",
                "level": level,
                "coefficients": [{"insurance": "employee", "coefficient": "1.05"}],
                "agreementInsurances": ["employee"],
                "agreementUntil": "2026-12-31",
                "document": "合成文件〔2024〕1号",
            }
        },
    )
    assert answer["hospitalStandingRegister"]["userErrors"] == [], answer


async def _publish_edition(world: World, province: str) -> uuid.UUID:
    database = world.platform.database
    async with database.unit_of_work(Scope(role=DatabaseRole.OPERATOR, tenant="operator")) as uow:
        found = await registry.province_by_code(uow, province)
        assert found is not None
    scope = Scope(role=DatabaseRole.PROVINCE, tenant=province, province_id=found.province_id)
    tables = {"diagnosis": new_id(), "procedure": new_id()}
    edition_id = new_id()
    async with database.unit_of_work(scope) as uow:
        for kind, entries in (
            ("diagnosis", [(code, code, gray, None) for code, gray in DIAGNOSES.items()]),
            ("procedure", [(code, code, gray, kind) for code, (kind, gray) in PROCEDURES.items()]),
        ):
            row = {
                "code_table_id": tables[kind],
                "kind": kind,
                "version": "T1",
                "document": "测试",
                "entries": len(entries),
                "content_sha256": b"x" * 32,
            }
            await catalog.add_code_table(uow, row, entries)
        await catalog.add_edition(
            uow,
            {
                "edition_id": edition_id,
                "code": "T2025",
                "title": "测试目录",
                "state": "draft",
                "effective_from": date(2021, 1, 1),
                "scale": 1000,
                "points_decimals": 4,
                "score_decimals": 1,
                "diagnosis_table_id": tables["diagnosis"],
                "procedure_table_id": tables["procedure"],
                "document": "测试目录文件",
                "groups": len(GROUPS),
                "content_sha256": b"y" * 32,
                "drafted_by_person": new_id(),
            },
        )
        await catalog.add_groups(
            uow,
            edition_id,
            1,
            [
                (
                    code,
                    dx,
                    dx,
                    size,
                    main,
                    main,
                    "",
                    "",
                    kind,
                    "",
                    of_class,
                    "2",
                    score,
                    None,
                    False,
                    "imported",
                )
                for code, dx, size, main, kind, of_class, score in GROUPS
            ],
        )
        await catalog.change_edition(uow, edition_id, "draft", {"state": "in_review"})
        published = {"state": "published", "published_by_person": new_id()}
        await catalog.change_edition(uow, edition_id, "in_review", published)
    return edition_id
