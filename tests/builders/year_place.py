"""A pool brought to its annual clearing (年度清算测试环境): what the year needs, entered as its users enter it."""

from __future__ import annotations

from datetime import date
from typing import Any

from builders.clearing_place import Pool, open_pool
from builders.world import Client, World, new_key
from fenzhi.access.roles import Role
from fenzhi.store.session import new_id
from fenzhi.store.tables.submission import history_discharge

_ENTRY = "id state document"
_POOL = {
    "insurance": "EMPLOYEE",
    "poolScope": "LOCAL",
    "year": 2025,
    "document": "考核〔2026〕1号",
    "reason": "年度考核",
}
BOOKS = """
{ fundBooks(insurance: EMPLOYEE, poolScope: LOCAL, year: %d) { hospitalCode account balanceFen } }
"""
ANSWER = """
query($id: ID!) { hospitalStatement(id: $id) { answer { state dueOn acts { act party toState reason } } } }
"""
YEAR_LINE = """
query($id: ID!) { clearingRun(id: $id) { state error summary { unexplainedFen accounts { name fen } laws { name } }
  statements(first: 50) { nodes { id hospitalCode grossFen deductionsFen assessmentWithheldFen bandWithheldFen bonusFen clearedFen
    depositWithheldFen payableFen priorPaidFen offsetFen transferFen depositReleasedFen depositForfeitedFen advanceFen finalFen
    steps { rule values { name value } } } } } }
"""


async def enter(pool: Pool, name: str, input_type: str, node: str, order: dict[str, Any]) -> list[str]:
    """Carry out an entering mutation as the clerk; the ids of what it made."""
    document = f"mutation($i: {input_type}!) {{ {name}(input: $i) {{ {node} {{ id }} userErrors {{ code path }} }} }}"
    answer = await (await pool.clerk()).gql(document, {"i": {"idempotencyKey": new_key()} | order})
    assert answer[name]["userErrors"] == [], answer
    return [one["id"] for one in answer[name][node]]


async def decide(pool: Pool, name: str, node: str, ids: list[str], client: Client | None = None) -> list[str]:
    """Decide entries, as the approver unless somebody else is named; the codes of what stood in the way."""
    document = (
        f"mutation($i: YearEntriesDecideInput!) {{ {name}(input: $i) {{ {node} {{ state }} userErrors {{ code }} }} }}"
    )
    answer = await (client or await pool.approver()).gql(document, {"i": {"idempotencyKey": new_key(), "ids": ids}})
    return [error["code"] for error in answer[name]["userErrors"]]


async def assess(
    pool: Pool, year: int = 2025, pool_scope: str = "LOCAL", **by_hospital: tuple[str, str, str]
) -> list[str]:
    """Enter and approve the assessments of the pool's hospitals: code → (coefficient, score, grade)."""
    order = _POOL | {"year": year, "poolScope": pool_scope}
    rows = [
        {"hospital": code, "coefficient": coefficient, "score": score or None, "grade": grade}
        for code, (coefficient, score, grade) in by_hospital.items()
    ]
    ids = await enter(pool, "assessmentsEnter", "AssessmentsEnterInput", "assessments", order | {"rows": rows})
    assert await decide(pool, "assessmentsApprove", "assessments", ids) == []
    return ids


async def open_account(pool: Pool, account: str, amount_fen: int) -> None:
    """Enter and approve an opening balance."""
    order = _POOL | {"account": account.upper(), "amountFen": str(amount_fen)}
    ids = await enter(pool, "accountOpeningEnter", "AccountOpeningEnterInput", "openings", order)
    assert await decide(pool, "accountOpeningsApprove", "openings", ids) == []


async def owe(pool: Pool, hospital: str, amount_fen: int, since: str = "2024-12-31") -> str:
    """Enter and approve a receivable of the year before."""
    order = _POOL | {"year": 2024, "hospital": hospital, "since": since, "amountFen": str(amount_fen)}
    ids = await enter(pool, "receivableEnter", "ReceivableEnterInput", "receivables", order)
    assert await decide(pool, "receivablesApprove", "receivables", ids) == []
    return ids[0]


async def advance(pool: Pool, hospital: str, amount_fen: int, year: int = 2025) -> None:
    """An advance shared by what was booked last year, all of it this hospital's, and this much of it paid."""
    number, county = pool.numbers[hospital]
    row = {
        "area_id": pool.scope.area,
        "county_id": county,
        "hospital_id": number,
        "batch_id": new_id(),
        "row_no": 1,
        "history_id": "H1",
        "year": year - 1,
        "discharge_date": date(year - 1, 3, 1),
        "insurance": "employee",
        "level": "tertiary",
        "los_days": 7,
        "total_fen": 2_000_000,
        "fund_fen": 1_000_000,
        "diagnoses": ["I63.900"],
        "procedures": [],
    }
    async with pool.world.platform.database.unit_of_work(pool.scope) as uow:
        await uow.insert(history_discharge, [row])
    ids = await enter(pool, "advancesPropose", "AdvancesProposeInput", "advances", _POOL | {"year": year})
    assert await decide(pool, "advancesApprove", "advances", ids) == []
    text = """mutation($i: AdvanceMoveInput!) { advancePay(input: $i) { userErrors { code } } }"""
    order = {
        "idempotencyKey": new_key(),
        "advance": ids[0],
        "amountFen": str(amount_fen),
        "voucher": "A1",
        "movedOn": f"{year}-01-31",
    }
    assert (await (await pool.clerk()).gql(text, {"i": order}))["advancePay"]["userErrors"] == []


async def books(pool: Pool, year: int = 2025) -> dict[str, int]:
    """Where the books of the pool's year stand, by account over all hospitals; they sum to 0."""
    found: dict[str, int] = {}
    for row in (await (await pool.clerk()).gql(BOOKS % year))["fundBooks"]:
        found[row["account"]] = found.get(row["account"], 0) + int(row["balanceFen"])
    assert sum(found.values()) == 0
    return {name: fen for name, fen in found.items() if fen}


async def book_of(pool: Pool, hospital: str, account: str, year: int = 2025) -> int:
    """Where one account of one hospital stands."""
    rows = (await (await pool.clerk()).gql(BOOKS % year))["fundBooks"]
    return sum(int(r["balanceFen"]) for r in rows if (r["hospitalCode"], r["account"]) == (hospital, account))


async def submitter(pool: Pool, hospital: str) -> Client:
    return await pool.world.client(hospital, Role.HOSPITAL_SUBMITTER)


async def act(client: Client, name: str, statement: str, reason: str = "") -> list[str]:
    """One act on a statement; the codes of what stood in the way."""
    document = (
        f"mutation($i: StatementActInput!) {{ {name}(input: $i) {{ statement {{ id }} userErrors {{ code }} }} }}"
    )
    order = {"idempotencyKey": new_key(), "statement": statement, "reason": reason}
    return [error["code"] for error in (await client.gql(document, {"i": order}))[name]["userErrors"]]


async def issue(pool: Pool, run: str) -> list[str]:
    """Send a computed year out; the codes of what stood in the way."""
    document = (
        "mutation($i: ClearingRunIssueInput!) { clearingRunIssue(input: $i) { run { state } userErrors { code } } }"
    )
    answer = await (await pool.clerk()).gql(document, {"i": {"idempotencyKey": new_key(), "run": run}})
    return [error["code"] for error in answer["clearingRunIssue"]["userErrors"]]


async def year_of(pool: Pool, run: str, client: Client | None = None) -> dict[str, Any]:
    """The annual run with its statements by hospital code."""
    found = (await (client or await pool.clerk()).gql(YEAR_LINE, {"id": run}))["clearingRun"]
    if found is None:
        return {}
    found["lines"] = {node["hospitalCode"]: node for node in found["statements"]["nodes"]}
    found["accounts"] = {a["name"]: int(a["fen"]) for a in found["summary"]["accounts"] if int(a["fen"])}
    return found  # type: ignore[no-any-return]


async def standing(client: Client, statement: str) -> str | None:
    """Where the answer to a statement stands."""
    found = (await client.gql(ANSWER, {"id": statement}))["hospitalStatement"]
    return found["answer"]["state"] if found and found["answer"] else None


async def year_to_publication(pool: Pool, **changes: Any) -> dict[str, Any]:
    """Compute the year, send it out, have every hospital confirm, approve and publish; the run with its lines."""
    run = await pool.computed("YEAR", 1, **changes)
    assert await issue(pool, run) == []
    found = await year_of(pool, run)
    for code, node in found["lines"].items():
        assert await act(await submitter(pool, code), "statementConfirm", node["id"]) == []
    for name in ("clearingRunApprove", "clearingRunPublish"):
        assert (await pool.step(name, run))["userErrors"] == []
    return found | {"id": run}


FULL_POLICY: dict[str, Any] = {
    "clearing__share_method": "account",
    "clearing__pay_by": "printed_point_value",
    "clearing__printed_decimals": "2",
    "presettlement__cash_cap_amount": "15000",
    "bands__applies": "true",
    "bands__measure": "booked_over_payable",
    "bands__mode": "marginal",
    "bands__table": [
        {"upto": "0.5", "inclusive": "true", "share": "0"},
        {"upto": "1", "inclusive": "true", "share": "0.6"},
        {"upto": "1.5", "inclusive": "true", "share": "0.5"},
        {"upto": "", "inclusive": "false", "share": "0"},
    ],
    "bands__sources": ["adjustment", "risk", "reserve"],
    "assessment__acts_at": "coefficient",
}
"""Every step of an annual run has something to do."""


async def full_year(world: World, stem: str, **policy: Any) -> Pool:
    """A pool ready for its annual run: set-asides, balances and a debt of before, months and a quarter settled and paid, a deduction."""
    pool = await open_pool(world, stem, **FULL_POLICY | policy)
    a, b = pool.place.hospital, pool.place.county_hospital
    await pool.price(10, last_year=(7, 10))
    parts = [("RESERVE", "200000"), ("ADJUSTMENT", "100"), ("RISK", "50")]
    aside = [{"part": part, "fen": fen} for part, fen in parts]
    composition = {"method": "ITEMISED", "inpatientFen": str(6_000_000 + 200_150), "setAsides": aside}
    await pool.budget(6_000_000, annualFen=None, composition=composition)
    await open_account(pool, "phi", 500_000)
    await open_account(pool, "rounding", 100_000)
    await owe(pool, b, 30_000)
    for month in (1, 2):
        await pool.put(a, month, fund_fen=750_000)
        await pool.put(b, month, fund_fen=600_000)
        run = await pool.published("MONTH", month)
        for node in run["statements"]["nodes"]:
            assert (await pool.pay(run["id"], node["hospitalCode"], int(node["transferFen"])))["userErrors"] == []
    await pool.deduct(b, 1, 7_700)
    await pool.put(a, 3, ("I63.900"), ("88.4101",), fund_fen=750_000)
    await pool.published("QUARTER", 1)
    await pool.put(b, 7, fund_fen=1_900_000, total_fen=2_000_000)
    await assess(pool, **{a: ("0.97", "", ""), b: ("1", "", "")})
    return pool
