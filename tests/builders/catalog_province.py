"""A province with code tables, policy and history, for the catalog tests (目录测试省)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import httpx

from builders.world import Client, World, new_key
from fenzhi.access.roles import Role
from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.store.repositories import registry
from fenzhi.store.session import new_id
from fenzhi.store.tables.submission import history_discharge

DIAGNOSES = (
    "code,name,is_gray\nA01.000,伤寒,0\nA01.100,甲型副伤寒,0\nB02.000,带状疱疹脑炎,1\nC15.100,食管胸部恶性肿瘤,0\n"
)
PROCEDURES = (
    "code,name,is_gray,procedure_class\n39.9500,血液透析,0,therapeutic\n47.0100,腹腔镜下阑尾切除术,0,surgical\n"
)
HEADER = "seq,dip_code,dx_code,dx_name,dx_granularity,main_ops,main_op_names,other_ops,other_op_names,kind,level,score,grassroots"
POLICY_OF_PROVINCE = {
    "catalog.weighting_basis": "yearly_means",
    "catalog.score_method": "average_cost",
    "catalog.score_edit_limit_ratio": "0.20",
    "catalog.overlay_score_limit_ratio": "0.10",
    "grouping.conservative_match": "strict",
    "grouping.tie_break": '["most_parts", "most_matched", "group_code"]',
}
DRAFT = """
mutation($i: CatalogEditionDraftInput!) {
  catalogEditionDraft(input: $i) { edition { id state groupCount } userErrors { code path } }
}
"""


@dataclass
class CatalogProvince:
    """A province of two cities, each with a hospital."""

    world: World
    code: str

    @property
    def cities(self) -> tuple[str, str]:
        return f"{self.code[:2]}0100", f"{self.code[:2]}0200"

    @property
    def hospitals(self) -> tuple[str, str]:
        return f"H{self.code[:2]}010001", f"H{self.code[:2]}020001"

    async def editor(self) -> Client:
        return await self.world.client(self.code, Role.PROVINCE_CATALOG_EDITOR)

    async def approver(self) -> Client:
        return await self.world.client(self.code, Role.PROVINCE_CATALOG_APPROVER)

    async def put(self, path: str, content: bytes, client: Client | None = None, key: str = "") -> httpx.Response:
        """Send a file."""
        sender = client or await self.editor()
        headers = {"idempotency-key": key or new_key(), "content-type": "text/csv"}
        return await sender.http.put(path, content=content, headers=headers)

    async def act(self, client: Client, mutation: str, order: dict[str, Any], fields: str) -> dict[str, Any]:
        """Run a mutation of one input; its payload."""
        kind = mutation[0].upper() + mutation[1:] + "Input"
        text = f"mutation($i: {kind}!) {{ {mutation}(input: $i) {{ {fields} userErrors {{ code path }} }} }}"
        answer = await client.gql(text, {"i": {"idempotencyKey": new_key(), **order}})
        return answer[mutation]  # type: ignore[no-any-return]

    async def draft(self, code: str, effective_from: str, **changes: object) -> str:
        """An empty draft; its id."""
        order = {
            "idempotencyKey": new_key(),
            "code": code,
            "title": "测试目录",
            "effectiveFrom": effective_from,
            "scale": 1000,
            "scoreDecimals": 2,
            "diagnosisTable": "dx-1",
            "procedureTable": "op-1",
            "document": "测试文件〔2024〕2号",
            "isConstructed": True,
        }
        answer = await (await self.editor()).gql(DRAFT, {"i": order | changes})
        assert answer["catalogEditionDraft"]["userErrors"] == [], answer
        return answer["catalogEditionDraft"]["edition"]["id"]  # type: ignore[no-any-return]

    async def publish(self, edition: str) -> dict[str, Any]:
        """Submit and publish a draft."""
        done = await self.act(await self.editor(), "catalogEditionSubmit", {"edition": edition}, "edition { state }")
        assert done["userErrors"] == [], done
        return await self.act(
            await self.approver(),
            "catalogEditionPublish",
            {"edition": edition},
            "edition { state effectiveFrom effectiveTo contentSha256 }",
        )

    async def enter_policy(self, values: dict[str, str]) -> None:
        """Put policy values of the province in force from 2020 on."""
        listed = [{"key": key, "value": value, "effectiveFrom": "2020-01-01"} for key, value in values.items()]
        order = {"values": listed, "document": "测试文件〔2020〕1号", "issuedOn": "2020-01-01", "isConstructed": True}
        entered = await self.act(await self.editor(), "policyPropose", order, "entries { id }")
        assert entered["userErrors"] == [], entered
        ids = [entry["id"] for entry in entered["entries"]]
        done = await self.act(await self.approver(), "policyApprove", {"ids": ids}, "entries { state }")
        assert done["userErrors"] == [], done

    async def remember(self, city: int, rows: list[dict[str, Any]]) -> None:
        """Discharges of earlier years, as a judged history import leaves them."""
        database = self.world.platform.database
        operator = Scope(role=DatabaseRole.OPERATOR, tenant="operator")
        async with database.unit_of_work(operator) as uow:
            place = await registry.hospital_by_code(uow, self.hospitals[city])
        assert place is not None
        worker = Scope(
            role=DatabaseRole.WORKER,
            tenant=self.cities[city],
            province_id=place.province_id,
            area_id=place.area_id,
        )
        batch_id = new_id()
        async with database.unit_of_work(worker) as uow:
            await uow.insert(
                history_discharge,
                [
                    {
                        "area_id": place.area_id,
                        "county_id": None,
                        "hospital_id": place.hospital_id,
                        "batch_id": batch_id,
                        "row_no": number,
                        "history_id": f"{city}-{number}",
                        "discharge_date": date(row["year"], 6, 1),
                        "insurance": "employee",
                        "los_days": 4,
                        "fund_fen": 0,
                        "set_aside": "",
                        **row,
                    }
                    for number, row in enumerate(rows, start=1)
                ],
            )


def discharges(
    n: int, year: int, level: str, diagnosis: str, procedures: list[str], fen: int, **more: object
) -> list[dict[str, Any]]:
    """n equal discharges."""
    one = {
        "year": year,
        "level": level,
        "diagnoses": [diagnosis],
        "procedures": procedures,
        "total_fen": fen,
        **more,
    }
    return [dict(one) for _ in range(n)]


async def open_catalog_province(world: World, code: str) -> CatalogProvince:
    """A province with tenants, code tables dx-1 and op-1, and policy in force."""
    province = CatalogProvince(world, code)
    tree = [("province", code, "")]
    for city, hospital in zip(province.cities, province.hospitals, strict=True):
        tree += [("city", city, code), ("hospital", hospital, city)]
    await world.open_tenants(tree)
    for kind, version, text in (("diagnosis", "dx-1", DIAGNOSES), ("procedure", "op-1", PROCEDURES)):
        answer = await province.put(f"/v1/code-tables/{kind}/{version}?document=测试&constructed=1", text.encode())
        assert answer.status_code == 200, answer.text
    await province.enter_policy(POLICY_OF_PROVINCE)
    return province
