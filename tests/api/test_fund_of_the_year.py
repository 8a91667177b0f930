"""Budgets made up and changed, point values of every method, advances, clocks, and a payment put right."""

from __future__ import annotations

from datetime import date
from typing import Any

from builders.clearing_place import CURVE, Pool, enter_area_policy, line, open_pool
from builders.event_stream import told
from builders.one_person import same_person
from builders.world import Client, World, new_key
from builders.year_place import book_of, books, decide, enter, submitter
from fenzhi.access.roles import Role
from fenzhi.store.session import new_id
from fenzhi.store.tables.submission import history_discharge

PROPOSE = """
mutation($i: FundBudgetProposeInput!) { fundBudgetPropose(input: $i) { budget { id annualFen
  composition { method dipFen inpatientFen totalFen parts { part fen } } changeGround
  effect { annualBeforeFen annualAfterFen quarter fundBeforeFen fundAfterFen pointValueBefore pointValueAfter
    hospitals { hospitalCode grossBeforeFen grossAfterFen } } } userErrors { code path } } }
"""
APPROVE = (
    "mutation($i: FundBudgetDecideInput!) { fundBudgetApprove(input: $i) { budget { state } userErrors { code } } }"
)
POOL = {"insurance": "EMPLOYEE", "poolScope": "LOCAL", "year": 2025}


def order(**changes: Any) -> dict[str, Any]:
    return {
        **POOL,
        "idempotencyKey": new_key(),
        "curve": CURVE,
        "document": "预算〔2025〕1号",
        "reason": "预算",
    } | changes


async def proposed(pool: Pool, **changes: Any) -> dict[str, Any]:
    return (await (await pool.clerk()).gql(PROPOSE, {"i": order(**changes)}))["fundBudgetPropose"]  # type: ignore[no-any-return]


async def approved(pool: Pool, budget: str) -> list[str]:
    answer = await (await pool.approver()).gql(APPROVE, {"i": {"idempotencyKey": new_key(), "budget": budget}})
    return [e["code"] for e in answer["fundBudgetApprove"]["userErrors"]]


ITEMISED = {
    "method": "ITEMISED",
    "inpatientFen": "1000000",
    "outpatientFen": "300000",
    "setAsides": [
        {"part": "RESERVE", "fen": "50000"},
        {"part": "ADJUSTMENT", "fen": "20000"},
        {"part": "PER_DIEM", "fen": "130000"},
    ],
}


async def test_a_budget_item_by_item_keeps_back_what_it_names(world: World) -> None:
    pool = await open_pool(world, "88", budget__method="itemised")
    wrong = await proposed(pool, composition=ITEMISED, annualFen="800001")
    assert [e["code"] for e in wrong["userErrors"]] == ["BUDGET_DOES_NOT_ADD_UP"]
    twice = ITEMISED | {"setAsides": [{"part": "RISK", "fen": "1"}, {"part": "RISK", "fen": "2"}]}
    assert [e["code"] for e in (await proposed(pool, composition=twice))["userErrors"]] == ["SET_ASIDE_TWICE"]
    other = {"method": "GROWTH", "lastDipFen": "700000", "growth": "0.05", "setAsides": []}
    assert [e["code"] for e in (await proposed(pool, composition=other))["userErrors"]] == ["BUDGET_METHOD_OTHER"]
    much = ITEMISED | {"inpatientFen": "100000"}
    assert [e["code"] for e in (await proposed(pool, composition=much))["userErrors"]] == [
        "BUDGET_SET_ASIDES_EXCEED_FUND"
    ]
    budget = (await proposed(pool, composition=ITEMISED))["budget"]
    assert (budget["annualFen"], budget["effect"]) == ("800000", None)
    assert budget["composition"] == {
        "method": "ITEMISED",
        "dipFen": "800000",
        "inpatientFen": "1000000",
        "totalFen": "1300000",
        "parts": [
            {"part": "ADJUSTMENT", "fen": "20000"},
            {"part": "PER_DIEM", "fen": "130000"},
            {"part": "RESERVE", "fen": "50000"},
        ],
    }
    assert await approved(pool, budget["id"]) == []
    assert await books(pool) == {"pool": 70_000, "reserve": -50_000, "adjustment": -20_000}
    less = ITEMISED | {"setAsides": [{"part": "RESERVE", "fen": "30000"}]}
    again = (await proposed(pool, composition=less))["budget"]
    assert again["annualFen"] == "970000"
    assert await approved(pool, again["id"]) == []
    assert await books(pool) == {"pool": 30_000, "reserve": -30_000}


async def test_by_share_and_by_growth(world: World) -> None:
    pool = await open_pool(world, "89", budget__growth_target="0.06")
    share = {
        "method": "SHARE",
        "lastDipFen": "70",
        "lastInpatientFen": "100",
        "inpatientFen": "1001",
        "setAsides": [{"part": "OUT_OF_AREA", "fen": "300"}],
    }
    assert (await proposed(pool, composition=share))["budget"]["annualFen"] == "701"
    growth = {"method": "GROWTH", "lastDipFen": "1000", "growth": "0.0555", "setAsides": []}
    assert (await proposed(pool, composition=growth))["budget"]["annualFen"] == "1056"
    above = growth | {"growth": "0.0601"}
    assert [e["code"] for e in (await proposed(pool, composition=above))["userErrors"]] == [
        "BUDGET_GROWTH_ABOVE_TARGET"
    ]


async def test_a_change_within_the_year_shows_its_effect_before(world: World) -> None:
    pool = await open_pool(world, "8A", deposit__rate="0")
    a, b = pool.place.hospital, pool.place.county_hospital
    await pool.budget(4_000_000)
    await pool.put(a, 1)
    await pool.put(b, 1, procedures=("88.4101",))
    first = await pool.published("QUARTER", 1)
    assert line(first, a, "grossFen")["grossFen"] + line(first, b, "grossFen")["grossFen"] == 1_000_000
    refused = await proposed(pool, annualFen="5000000")
    assert [e["code"] for e in refused["userErrors"]] == ["CHANGE_GROUND_MISSING"]
    change = (await proposed(pool, annualFen="5000000", changeGround="EPIDEMIC"))["budget"]
    effect = change["effect"]
    assert (effect["quarter"], effect["fundBeforeFen"], effect["fundAfterFen"]) == (1, "1000000", "1250000")
    after = {one["hospitalCode"]: int(one["grossAfterFen"]) for one in effect["hospitals"]}
    # 997.5 of 2,258.025 points: 441,757.7… → of 12,500.00: 5,521.97
    assert (after[a], sum(after.values())) == (552_197, 1_250_000)
    await pool.put(a, 4)
    await pool.published("QUARTER", 2)
    assert await approved(pool, change["id"]) == ["BUDGET_EFFECT_STALE"]
    fresh = (await proposed(pool, annualFen="5000000", changeGround="EPIDEMIC"))["budget"]
    assert await approved(pool, fresh["id"]) == []


async def bargain(pool: Pool, value: str, higher: str = "") -> dict[str, Any]:
    document = """mutation($i: BargainedPointValueProposeInput!) { bargainedPointValuePropose(input: $i) {
      pointValue { id kind printed state } userErrors { code } } }"""
    asked = {**POOL, "idempotencyKey": new_key(), "value": value, "document": "协商纪要", "higherApproval": higher}
    return (await (await pool.clerk()).gql(document, {"i": asked}))["bargainedPointValuePropose"]  # type: ignore[no-any-return]


async def test_a_bargained_point_value_and_its_space(world: World) -> None:
    pool = await open_pool(
        world, "8B", deposit__rate="0", point_value__method="bargained", point_value__bargaining_space="0.03"
    )
    await pool.budget(8_000_000)
    await pool.put(pool.place.hospital, 1)
    assert [e["code"] for e in (await bargain(pool, "10.2"))["userErrors"]] == ["POINT_VALUE_NOT_APPROVED"]
    await pool.price(10, last_year=(7, 10))
    assert [e["code"] for e in (await bargain(pool, "10.31"))["userErrors"]] == ["HIGHER_APPROVAL_NEEDED"]
    assert (await bargain(pool, "10.31", "省局批复〔2025〕9号"))["userErrors"] == []
    value = (await bargain(pool, "10.2"))["pointValue"]
    assert (value["kind"], value["printed"], value["state"]) == ("BARGAINED", "10.2000", "DRAFT")
    approve = (
        "mutation($i: BudgetPointValueApproveInput!) { budgetPointValueApprove(input: $i) { userErrors { code } } }"
    )
    both = await same_person(world, pool.place.city, Role.CITY_SETTLEMENT_CLERK, Role.CITY_SETTLEMENT_APPROVER)
    asked = {"pointValue": value["id"]}
    refused = await both.gql(approve, {"i": asked | {"idempotencyKey": new_key()}})
    assert [e["code"] for e in refused["budgetPointValueApprove"]["userErrors"]] == ["SAME_PERSON"]
    done = await (await pool.approver()).gql(approve, {"i": asked | {"idempotencyKey": new_key()}})
    assert done["budgetPointValueApprove"]["userErrors"] == []
    run = await pool.published("QUARTER", 1)
    # 997.5 points × 10.20 × 0.7 = 7,122.15 of the 20,000.00; the rest goes to the point-value account.
    assert (run["summary"]["grossFen"], run["summary"]["returnsFen"]) == ("712215", str(2_000_000 - 712_215))
    assert (await books(pool))["point_value"] == -(2_000_000 - 712_215)


async def test_an_elastic_point_value_over_an_agreed_volume(world: World) -> None:
    pool = await open_pool(
        world,
        "8C",
        deposit__rate="0",
        point_value__method="elastic",
        point_value__fixed_value="10",
        point_value__elastic_cap="10",
    )
    a, b = pool.place.hospital, pool.place.county_hospital
    await pool.budget(4_000_000)
    await pool.put(a, 1)
    await pool.put(b, 1)
    rows = [{"hospital": a, "points": "3192"}]
    ids = await enter(
        pool,
        "volumeBaselinesEnter",
        "VolumeBaselinesEnterInput",
        "baselines",
        {**POOL, "rows": rows, "document": "文", "reason": "由"},
    )
    assert await decide(pool, "volumeBaselinesApprove", "baselines", ids) == []
    run = await pool.published("QUARTER", 1)
    # A's baseline of the quarter is 798 points at 10.00 × 0.7 = 5,586.00; 199.5 and B's 997.5 share 4,414.00 at 3.6875… (below 7.00).
    assert line(run, a, "grossFen")["grossFen"] == 558_600 + 73_567
    assert line(run, b, "grossFen")["grossFen"] == 367_833
    assert run["summary"]["returnsFen"] == "0"


async def test_a_point_value_in_fund_yuan(world: World) -> None:
    pool = await open_pool(world, "8D", deposit__rate="0", point_value__basis="fund")
    await pool.budget(4_000_000)
    await pool.put(pool.place.hospital, 1)
    run = await pool.published("QUARTER", 1)
    # 10,000.00 / 997.5 points, φ left out.
    assert run["summary"]["pointValuePrinted"] == "10.0251"
    query = "{ pointValues(year: 2025) { kind basis printed } }"
    assert (await (await pool.clerk()).gql(query))["pointValues"] == [
        {"kind": "SETTLEMENT", "basis": "FUND", "printed": "10.0251"}
    ]


async def history(pool: Pool, hospital: str, fund_fen: int, on: date) -> None:
    number, county = pool.numbers[hospital]
    row = {
        "area_id": pool.scope.area,
        "county_id": county,
        "hospital_id": number,
        "batch_id": new_id(),
        "row_no": 1,
        "history_id": "H1",
        "year": on.year,
        "discharge_date": on,
        "insurance": "employee",
        "level": "tertiary",
        "los_days": 7,
        "total_fen": 2 * fund_fen,
        "fund_fen": fund_fen,
        "diagnoses": ["I63.900"],
        "procedures": [],
    }
    async with pool.world.platform.database.unit_of_work(pool.scope) as uow:
        await uow.insert(history_discharge, [row])


async def test_an_advance_is_shared_paid_reconciled_and_set_off(world: World) -> None:
    pool = await open_pool(world, "8E", deposit__rate="0", bands__applies="false", advance__months="1")
    a, b = pool.place.hospital, pool.place.county_hospital
    ground = {**POOL, "document": "预付金办法", "reason": "年初预付"}
    document = (
        """mutation($i: AdvancesProposeInput!) { advancesPropose(input: $i) { advances { id } userErrors { code } } }"""
    )

    async def propose() -> list[str]:
        answer = await (await pool.clerk()).gql(document, {"i": ground | {"idempotencyKey": new_key()}})
        return [e["code"] for e in answer["advancesPropose"]["userErrors"]]

    assert await propose() == ["BUDGET_NOT_APPROVED"]
    await pool.budget(1_200_000)
    assert await propose() == ["ADVANCE_NO_LAST_YEAR"]
    await history(pool, a, 300, date(2024, 3, 1))
    await history(pool, b, 600, date(2024, 9, 1))
    ids = await enter(pool, "advancesPropose", "AdvancesProposeInput", "advances", ground)
    assert await propose() == ["ADVANCE_EXISTS"]
    assert await decide(pool, "advancesApprove", "advances", ids) == []
    seen = "{ advances(first: 5) { nodes { id hospitalCode amountFen paidFen returnedFen openFen basis weightFen } } }"
    rows = {r["hospitalCode"]: r for r in (await (await pool.clerk()).gql(seen))["advances"]["nodes"]}
    assert {code: (r["amountFen"], r["basis"], r["weightFen"]) for code, r in rows.items()} == {
        a: ("33333", "booked_history", "300"),
        b: ("66667", "booked_history", "600"),
    }

    async def move(name: str, amount: int, voucher: str) -> list[str]:
        text = f"mutation($i: AdvanceMoveInput!) {{ {name}(input: $i) {{ advances {{ openFen }} userErrors {{ code }} }} }}"
        asked = {"advance": rows[a]["id"], "amountFen": str(amount), "voucher": voucher, "movedOn": "2025-01-31"}
        answer = await (await pool.clerk()).gql(text, {"i": asked | {"idempotencyKey": new_key()}})
        return [e["code"] for e in answer[name]["userErrors"]]

    assert await move("advancePay", 33_334, "V1") == ["ADVANCE_EXCEEDED"]
    assert await move("advancePay", 33_333, "V1") == []
    assert await move("advanceReturn", 3_333, "V2") == []
    assert await move("advanceReturn", 30_001, "V3") == ["ADVANCE_EXCEEDED"]
    assert await books(pool) == {"advance": 30_000, "paid": -30_000}
    assert await book_of(pool, a, "advance") == 30_000
    curve = await (await pool.clerk()).gql("{ fundCurveSuggested(insurance: EMPLOYEE, year: 2025) }")
    assert curve["fundCurveSuggested"] == ["0.3333333333", "0.3333333333", "1", "1"]


async def apply(client: Client, month: int) -> list[str]:
    document = "mutation($i: SettlementMonthInput!) { settlementApply(input: $i) { clocks userErrors { code } } }"
    answer = await client.gql(document, {"i": {**POOL, "idempotencyKey": new_key(), "month": month}})
    return [e["code"] for e in answer["settlementApply"]["userErrors"]]


async def test_the_clocks_of_a_month(world: World) -> None:
    pool = await open_pool(world, "8F")
    a = pool.place.hospital
    clerk = await pool.clerk()
    opening = "mutation($i: SettlementMonthInput!) { deadlinesOpen(input: $i) { clocks userErrors { code } } }"

    async def open_month() -> int:
        answer = await clerk.gql(opening, {"i": {**POOL, "idempotencyKey": new_key(), "month": 1}})
        assert answer["deadlinesOpen"]["userErrors"] == []
        return answer["deadlinesOpen"]["clocks"]  # type: ignore[no-any-return]

    assert await apply(await submitter(pool, a), 1) == ["APPLICATION_NOT_OPEN"]
    await enter_area_policy(world, pool.place.city, {"deadline.notice_days": "3"})
    assert await open_month() == 4
    await world.work_off()
    near = {"clock": "application", "ends": "2025-02-10"}
    for hospital in (a, pool.place.county_hospital):
        assert [(kind, facts) for kind, _, facts in await told(world, hospital, "DEADLINE_NEAR")] == [
            ("Deadline", near)
        ]
    assert await told(world, pool.place.other_hospital) == []
    query = "{ deadlines(first: 20, year: 2025) { nodes { hospitalCode clock begins ends days isWorking unpublishedYear doneOn standing } } }"

    async def clocks() -> dict[tuple[str, str], dict[str, Any]]:
        nodes = (await clerk.gql(query))["deadlines"]["nodes"]
        return {(n["hospitalCode"], n["clock"]): n for n in nodes}

    found = await clocks()
    assert (found[a, "APPLICATION"]["begins"], found[a, "APPLICATION"]["ends"]) == ("2025-02-01", "2025-02-10")
    assert (found[a, "PAYMENT"]["ends"], found[a, "PAYMENT"]["unpublishedYear"], found[a, "PAYMENT"]["standing"]) == (
        None,
        2025,
        "UNKNOWN",
    )
    editor = await world.client(pool.place.province, Role.PROVINCE_CATALOG_EDITOR)
    enter_calendar = """mutation($i: WorkingCalendarEnterInput!) { workingCalendarEnter(input: $i) {
      calendar { id state } userErrors { code path } } }"""
    asked = {
        "year": 2025,
        "worked": ["2025-02-08"],
        "off": ["2025-02-03"],
        "document": "国办发明电",
        "reason": "放假安排",
    }
    wrong = asked | {"idempotencyKey": new_key(), "worked": ["2025-02-10"]}
    faults = (await editor.gql(enter_calendar, {"i": wrong}))["workingCalendarEnter"]["userErrors"]
    assert [(f["code"], f["path"]) for f in faults] == [("CALENDAR_DAY_WRONG", ["worked"])]
    made = (await editor.gql(enter_calendar, {"i": asked | {"idempotencyKey": new_key()}}))["workingCalendarEnter"]
    decide_calendar = (
        "mutation($i: WorkingCalendarDecideInput!) { workingCalendarApprove(input: $i) { userErrors { code } } }"
    )
    approver = await world.client(pool.place.province, Role.PROVINCE_CATALOG_APPROVER)
    done = await approver.gql(decide_calendar, {"i": {"idempotencyKey": new_key(), "calendar": made["calendar"]["id"]}})
    assert done["workingCalendarApprove"]["userErrors"] == []
    assert await open_month() == 4
    found = await clocks()
    # 30 working days after Monday 10 February 2025: Monday 24 March.
    assert (found[a, "PAYMENT"]["ends"], found[a, "PAYMENT"]["standing"]) == ("2025-03-24", "OVERDUE")
    assert await apply(await submitter(pool, a), 1) == []
    assert (await clocks())[a, "APPLICATION"]["standing"] == "LATE"
    await pool.price(10, last_year=(7, 10))
    await pool.put(a, 1)
    month = await pool.published("MONTH", 1)
    assert (await pool.pay(month["id"], a, 500))["userErrors"] == []
    found = await clocks()
    assert (found[a, "PAYMENT"]["doneOn"], found[a, "PAYMENT"]["standing"]) == ("2025-06-30", "LATE")
    mine = (await (await submitter(pool, a)).gql(query))["deadlines"]["nodes"]
    assert {n["hospitalCode"] for n in mine} == {a}
    await world.work_off()
    assert len(await told(world, a, "DEADLINE_NEAR")) == 1, "its application was made before the second bell"
    assert await open_month() == 4
    await world.work_off()
    for hospital in (a, pool.place.county_hospital):
        assert len(await told(world, hospital, "DEADLINE_NEAR")) == 1, "a month opened again repeats no bell"


async def test_a_wrong_payment_is_reversed_never_changed(world: World) -> None:
    pool = await open_pool(world, "8G")
    a = pool.place.hospital
    await pool.price(10, last_year=(7, 10))
    await pool.put(a, 1)
    month = await pool.published("MONTH", 1)
    assert (await pool.pay(month["id"], a, 700, voucher="W1"))["userErrors"] == []
    query = "{ payments(first: 5) { nodes { id voucher amountFen reverses reason } } }"
    clerk = await pool.clerk()
    (wrong,) = (await clerk.gql(query))["payments"]["nodes"]
    reverse = (
        "mutation($i: PaymentReverseInput!) { paymentReverse(input: $i) { payment { amountFen } userErrors { code } } }"
    )

    async def ask(reason: str) -> list[str]:
        order = {"idempotencyKey": new_key(), "payment": wrong["id"], "reason": reason}
        return [e["code"] for e in (await clerk.gql(reverse, {"i": order}))["paymentReverse"]["userErrors"]]

    assert await ask(" ") == ["REASON_MISSING"]
    assert await ask("户名有误，银行退回") == []
    assert await ask("再来一次") == ["PAYMENT_REVERSED"]
    assert (await pool.pay(month["id"], a, 597_004, voucher="W2"))["userErrors"] == []
    rows = (await clerk.gql(query))["payments"]["nodes"]
    assert [(r["voucher"], r["amountFen"], r["reverses"]) for r in rows] == [
        ("W1", "700", None),
        ("R:W1", "-700", wrong["id"]),
        ("W2", "597004", None),
    ]
    assert (await books(pool))["paid"] == -597_004
