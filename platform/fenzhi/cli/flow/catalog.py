"""From code tables to a published edition (目录流程): imported, drafted, built from history, converted, published by four eyes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import date
from typing import Any
from urllib.parse import quote

from fenzhi.access.roles import Role
from fenzhi.cli.flow.client import Actor, Cast, StepRefused, fresh_key
from fenzhi.cli.synthetic.plan import ProvincePlan

SCALE = 1000
SCORE_DECIMALS = 4
_EDITION = "edition { id code state groupCount }"


async def import_code_tables(cast: Cast, plan: ProvincePlan) -> None:
    """Import the diagnosis and the procedure table (导入编码表), as the province's editor."""
    editor = cast.actor(plan.code, Role.PROVINCE_CATALOG_EDITOR)
    diagnoses = (("code", "name", "is_gray"), *((d.code, d.name, int(d.is_gray)) for d in plan.diagnoses))
    procedures = (
        ("code", "name", "is_gray", "procedure_class"),
        *((p.code, p.name, int(p.is_gray), p.procedure_class) for p in plan.procedures),
    )
    document = quote(plan.codes_document.title)
    for kind, rows in (("diagnosis", diagnoses), ("procedure", procedures)):
        path = f"/v1/code-tables/{kind}/{quote(plan.codes_version)}?document={document}&constructed=1"
        await _put_csv(editor, path, _csv(rows))


async def publish_catalog(cast: Cast, plan: ProvincePlan) -> dict[str, Any]:
    """Draft an edition, read the excerpt in where there is one, build the rest from history, publish it (编制与发布).

    The scores of an excerpt enter by a dated conversion marked constructed. Returns the edition's id, code and number of groups.
    """
    editor = cast.actor(plan.code, Role.PROVINCE_CATALOG_EDITOR)
    approver = cast.actor(plan.code, Role.PROVINCE_CATALOG_APPROVER)
    order = {
        "code": f"DIP-{plan.settlement_year}-1",
        "title": f"{plan.settlement_year}年病种目录（演示）",
        "effectiveFrom": date(plan.settlement_year, 1, 1).isoformat(),
        "scale": SCALE,
        "scoreDecimals": SCORE_DECIMALS,
        "diagnosisTable": plan.codes_version,
        "procedureTable": plan.codes_version,
        "document": f"{plan.name}{plan.settlement_year}年病种目录编制说明（构造文件）",
        "isConstructed": True,
    }
    draft = (await editor.do("catalogEditionDraft", "CatalogEditionDraftInput", order, _EDITION))["edition"]
    edition: dict[str, Any] = {"edition": draft["id"]}
    if plan.catalog_excerpt:
        await _put_csv(editor, f"/v1/catalog-editions/{draft['id']}/groups?mode=append", plan.catalog_excerpt.encode())
    built = await editor.do(
        "catalogEditionBuild", "CatalogEditionBuildInput", edition | {"years": list(plan.history_years)}, "job { id }"
    )
    await editor.wait(built["job"]["id"])
    if plan.catalog_excerpt:
        document = plan.catalog_excerpt_document
        title = document.title if document else plan.codes_document.title
        conversion = {"document": title, "isConstructed": True}
        order = edition | conversion
        await editor.do("catalogEditionConvertScores", "CatalogEditionConvertScoresInput", order, "changed factor")
    await editor.do("catalogEditionSubmit", "CatalogEditionSubmitInput", edition, _EDITION)
    published = await approver.do("catalogEditionPublish", "CatalogEditionPublishInput", edition, _EDITION)
    found = published["edition"]
    return {"edition": found["id"], "code": found["code"], "groups": found["groupCount"]}


async def compute_references(cast: Cast, city: str, edition: str, year: int) -> None:
    """Compute last year's mean costs of each group by hospital level (次均费用参照), as the city's clerk."""
    clerk = cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
    wanted = await clerk.do(
        "referenceCostsCompute", "ReferenceCostsComputeInput", {"edition": edition, "year": year}, "job { id }"
    )
    await clerk.wait(wanted["job"]["id"])


async def _put_csv(editor: Actor, path: str, content: bytes) -> None:
    headers = {"content-type": "text/csv; charset=utf-8", "idempotency-key": fresh_key()}
    response = await editor.send("PUT", path, content=content, headers=headers)
    if response.status_code >= 300:
        raise StepRefused(f"文件被拒绝：{response.text[:500]}", f"The file was refused: {response.text[:500]}")


def _csv(rows: Iterable[tuple[Any, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
