"""Special cases brought before a panel (特例单议测试环境), as their users bring them."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, date, datetime
from typing import Any

from builders.clearing_place import Pool
from builders.world import Client, new_key
from builders.year_place import submitter
from fenzhi.store.session import new_id
from fenzhi.store.tables.submission import inpatient_case
from fenzhi_graphql.paging import global_id

SHEET = hashlib.sha256(b"sheet").hexdigest()
CASE = """
query($id: ID!) { node(id: $id) { ... on SpecialCase {
  state cycle cyclesWaited round costFen paymentStandardFen whyZh verdict decidedOn appealDueOn funding awardFen awardPoints paidOn
  hearing { draws { round place expertCode redrawOf reason seed candidates } votes { round step expertCode choice } } } } }
"""
THIS_YEAR = datetime.now(UTC).year
REVIEW_POLICY = {
    "special_case__panel_size": "3",
    "special_case__cycle": "quarter",
    "deadline__appeal_working_days": "5",
    "deadline__working_calendar": [
        {"year": str(year), "rest": "", "worked": ""} for year in (THIS_YEAR, THIS_YEAR + 1)
    ],
}


async def do(
    client: Client, name: str, input_type: str, order: dict[str, Any], node: str = "specialCase { id state }"
) -> Any:
    """Carry out a mutation of the review; what it made and the codes of what stood in the way."""
    document = f"mutation($i: {input_type}!) {{ {name}(input: $i) {{ {node} userErrors {{ code path }} }} }}"
    whole = await client.raw(document, {"i": {"idempotencyKey": new_key()} | order})
    if "errors" in whole:
        return None, [error["extensions"]["code"] for error in whole["errors"]]
    answer = whole["data"][name]
    made = next((value for key, value in answer.items() if key != "userErrors"), None)
    return made, [error["code"] for error in answer["userErrors"]]


async def crowd(pool: Pool, count: int) -> None:
    """Discharges of the other insurance in the first quarter, so that the cap of the area grows and the pool stays as it is."""
    number, county = pool.numbers[pool.place.hospital]
    rows = []
    for place in range(count):
        case_id = new_id()
        rows.append(
            {
                "area_id": pool.scope.area,
                "county_id": county,
                "hospital_id": number,
                "case_id": case_id,
                "batch_id": new_id(),
                "row_no": place + 1,
                "setl_id": case_id.hex,
                "version": 1,
                "insurance": "resident",
                "pool_scope": "local",
                "insured_area": pool.place.city,
                "admission_date": date(2025, 1, 2),
                "discharge_date": date(2025, 1, 9),
                "settlement_date": date(2025, 1, 10),
                "settlement_month": 202501,
                "sex": 1,
                "age_days": 27_000,
                "los_days": 7,
                "total_fen": 1,
                "basic_fund_fen": 1,
                "other_funds_fen": 0,
                "account_fen": 0,
                "cash_fen": 0,
                "diagnoses": ["I63.900"],
                "procedures": [],
                "digest": uuid.uuid5(uuid.NAMESPACE_OID, case_id.hex).bytes * 2,
                "submitted_at": datetime(2025, 1, 11, tzinfo=UTC),
            }
        )
    async with pool.world.platform.database.unit_of_work(pool.scope) as uow:
        await uow.insert(inpatient_case, rows)


async def enter_experts(pool: Pool, count: int) -> None:
    """Experts E1… of elsewhere, and one of each of the pool's hospitals."""
    clerk = await pool.clerk()
    homes = {f"E{n}": "ELSEWHERE" for n in range(1, count + 1)}
    homes |= {f"OWN{n}": code for n, code in enumerate((pool.place.hospital, pool.place.county_hospital), 1)}
    for code, home in homes.items():
        order = {
            "code": code,
            "ownHospital": home,
            "specialties": ["重症"],
            "recusedFrom": [],
            "document": "专家库〔2025〕1号",
        }
        _, errors = await do(clerk, "reviewExpertEnter", "ReviewExpertEnterInput", order, "expert { id }")
        assert errors == []


async def apply(pool: Pool, hospital: str, case_id: uuid.UUID, **changes: Any) -> Any:
    """Apply for a case as its hospital."""
    order = {
        "inpatientCase": global_id("InpatientCase", case_id),
        "specialty": "重症",
        "reasons": ["HIGH_COST"],
        "evidence": [{"title": "病程记录", "sha256": SHEET}],
        "statement": "病情危重，资源消耗高",
    } | changes
    return await do(await submitter(pool, hospital), "specialCaseApply", "SpecialCaseApplyInput", order)


async def close(pool: Pool, cycle: int) -> Any:
    """Close a quarter's cycle."""
    node = "cycle { cap discharges admittedBefore applied admitted waiting lapsed ineligible passedToDate offPoolToDateFen }"
    order = {"year": 2025, "cycle": cycle}
    return await do(await pool.clerk(), "reviewCycleClose", "ReviewCycleCloseInput", order, node)


async def look(client: Client, special_case: str) -> dict[str, Any]:
    return (await client.gql(CASE, {"id": special_case}))["node"]  # type: ignore[no-any-return]


def members(case: dict[str, Any]) -> list[str]:
    """The panel of the case's round, from the log."""
    found: list[str] = []
    for line in case["hearing"]["draws"]:
        if line["round"] != case["round"]:
            continue
        if line["redrawOf"]:
            found[found.index(line["redrawOf"])] = line["expertCode"]
        else:
            found.append(line["expertCode"])
    return found


async def vote(pool: Pool, special_case: str, expert: str, step: int, choice: str) -> list[str]:
    order = {"specialCase": special_case, "expertCode": expert, "step": step, "choice": choice, "sheetSha256": SHEET}
    _, errors = await do(await pool.clerk(), "specialCaseVote", "SpecialCaseVoteInput", order)
    return errors  # type: ignore[no-any-return]


async def hear(pool: Pool, special_case: str, first: str, second: str = "") -> None:
    """Draw a panel that votes with one voice."""
    clerk = await pool.clerk()
    _, errors = await do(clerk, "specialCaseDraw", "SpecialCaseStepInput", {"specialCase": special_case})
    assert errors == []
    panel = members(await look(clerk, special_case))
    for expert in panel[:2]:
        assert await vote(pool, special_case, expert, 1, first) == []
    for expert in panel[:2] if second else ():
        assert await vote(pool, special_case, expert, 2, second) == []


async def value(pool: Pool, special_case: str, **award: str) -> list[str]:
    order = {"specialCase": special_case, "document": "评审纪要〔2025〕1号", "reason": "专家组意见"} | award
    _, errors = await do(await pool.clerk(), "specialCaseValue", "SpecialCaseValueInput", order)
    return errors  # type: ignore[no-any-return]


async def decide(
    pool: Pool, special_case: str, name: str = "specialCaseApprove", client: Client | None = None
) -> list[str]:
    who = client or await pool.approver()
    _, errors = await do(who, name, "SpecialCaseStepInput", {"specialCase": special_case})
    return errors  # type: ignore[no-any-return]
