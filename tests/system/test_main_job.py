"""The main job whole, and what an outsider finds when he recomputes it by GraphQL alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from rich.console import Console
from rich.progress import Progress

from builders.processes import Processes, processes, second_account
from fenzhi.access.roles import Role
from fenzhi.cli.demo.outcome import Outcome
from fenzhi.cli.demo.sources import DemoSource
from fenzhi.cli.demo.steps import Demonstration
from fenzhi.cli.flow import clearing
from fenzhi.cli.flow.client import Cast, StepRefused
from fenzhi.cli.flow.recompute import recompute
from fenzhi.cli.flow.scorecards import SCORECARDS
from fenzhi.cli.synthetic import lists as synthetic_lists
from fenzhi.cli.synthetic.province import synthetic_province

PLAN = synthetic_province(3, cities=2, counties=2, hospitals=10)
YEAR = PLAN.settlement_year
EXPLAIN = "query($id: ID!) { caseExplain(id: $id) { groupCode band points disposition } }"


@dataclass
class Done:
    """A finished demonstration."""

    processes: Processes
    cast: Cast
    outcome: Outcome


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def done(new_stage_database: Any, open_folder: Path) -> AsyncIterator[Done]:
    """A small province through the whole job: two months, two quarters, scorecards."""
    folder = open_folder / "main_job"
    folder.mkdir()
    with processes(new_stage_database, folder, lease_s=15) as running:
        cast = running.cast()
        source = DemoSource(
            plan=PLAN,
            history=lambda: synthetic_lists.history(PLAN, 700),
            lists=lambda: synthetic_lists.settlement_lists(PLAN, 900, date(YEAR, 1, 1), date(YEAR, 6, 20)),
            months=(1, 2),
            quarters=(1, 2),
            fund_share_of_last_year=Fraction(5, 2),
            curve=("0.25", "0.5", "0.75", "1"),
        )
        with Progress(console=Console(quiet=True), disable=True) as progress:
            outcome = await Demonstration(cast, source, progress).run()
        yield Done(running, cast, outcome)


async def test_every_row_is_accounted_for(done: Done) -> None:
    assert done.outcome.faults() == []
    rows = done.outcome.rows()
    assert rows["in"] > 900
    assert rows["cleared"] > 600
    assert sum(rows["refused"].values()) > 0
    assert rows["superseded"] > 0


async def test_an_outsider_recomputes_every_run(done: Done) -> None:
    assert len(done.outcome.runs) == 2 * 2 * 4
    faults = [await recompute(done.cast, run["areaCode"], run) for run in done.outcome.runs]
    assert [fault for some in faults for fault in some] == []


async def test_the_recomputation_sees_one_fen(done: Done) -> None:
    run = done.outcome.last_quarters()[0]
    changed = run | {"summary": run["summary"] | {"poolFen": str(int(run["summary"]["poolFen"]) + 1)}}
    assert any("pool" in fault for fault in await recompute(done.cast, run["areaCode"], changed, with_cases=False))


async def test_a_second_quarter_pays_only_what_the_first_did_not(done: Done) -> None:
    for run in done.outcome.last_quarters():
        for line in done.outcome.statements[run["id"]]:
            assert int(line["transferFen"]) == int(line["payableFen"]) - int(line["priorPaidFen"])
        assert sum(int(line["priorPaidFen"]) for line in done.outcome.statements[run["id"]]) > 0


async def test_one_case_alone_scores_as_in_bulk(done: Done) -> None:
    compared = 0
    for run in done.outcome.last_quarters():
        clerk = done.cast.actor(run["areaCode"], Role.CITY_SETTLEMENT_CLERK)
        for line in done.outcome.statements[run["id"]][:3]:
            for case in (await clearing.statement_cases(done.cast, run["areaCode"], line["id"]))[:12]:
                alone = (await clerk.ask(EXPLAIN, {"id": case["caseId"]}))["caseExplain"]
                assert alone["disposition"].partition(":")[0] == case["disposition"].partition(":")[0]
                if case["disposition"] == "cleared":
                    assert (alone["groupCode"], alone["band"], alone["points"]) == (
                        case["groupCode"],
                        case["band"],
                        case["points"],
                    )
                    compared += 1
    assert compared > 60


async def test_a_hospital_sees_its_own_published_statement_and_no_other(done: Done) -> None:
    run = done.outcome.last_quarters()[0]
    lines = done.outcome.statements[run["id"]]
    mine, other = lines[0], lines[1]
    viewer = done.cast.actor(mine["hospitalCode"], Role.HOSPITAL_VIEWER)
    query = "query($id: ID!) { hospitalStatement(id: $id) { hospitalCode grossFen payableFen } }"
    seen = (await viewer.ask(query, {"id": mine["id"]}))["hospitalStatement"]
    assert seen == {key: mine[key] for key in ("hospitalCode", "grossFen", "payableFen")}
    assert (await viewer.ask(query, {"id": other["id"]}))["hospitalStatement"] is None


async def test_scorecards_are_published_to_their_hospitals(done: Done) -> None:
    assert {card["state"] for card in done.outcome.scorecards} == {"PUBLISHED"} or {
        card["state"] for card in done.outcome.scorecards
    } == {"published"}
    card = done.outcome.scorecards[0]
    by_code = {one["code"]: one for one in card["indicators"]}
    assert set(by_code) == {
        "cmi",
        "cost_index",
        "time_index",
        "grouping_rate",
        "qc_first_pass_rate",
        "high_outlier_share",
        "low_outlier_share",
        "mean_cost",
        "mean_cost_growth",
    }
    rate = by_code["grouping_rate"]
    assert rate["value"] is not None and Fraction(rate["numerator"]) <= Fraction(rate["denominator"])
    viewer = done.cast.actor(card["hospitalCode"], Role.HOSPITAL_VIEWER)
    query = "query($y: Int!, $q: Int!) { scorecards(year: $y, quarter: $q, first: 50) { nodes { hospitalCode } } }"
    found = (await viewer.ask(query, {"y": YEAR, "q": 2}))["scorecards"]["nodes"]
    assert found == [{"hospitalCode": card["hospitalCode"]}]


async def test_two_accounts_of_one_person_are_one_person(done: Done) -> None:
    city = PLAN.cities[1].code
    clerk = done.cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
    order = {"year": YEAR, "quarter": 1}
    wanted = await clerk.do("scorecardsDraft", "ScorecardsQuarterInput", order, "job { id }")
    await clerk.wait(wanted["job"]["id"])
    again = await second_account(
        done.processes, done.cast, city, Role.CITY_SETTLEMENT_CLERK, Role.CITY_SETTLEMENT_APPROVER
    )
    with pytest.raises(StepRefused, match="SAME_PERSON"):
        await again.do("scorecardsApprove", "ScorecardsQuarterInput", order, "moved")
    states = {card["state"] for card in await clerk.all_nodes(SCORECARDS, "scorecards", order)}
    assert states == {"draft"}
    with pytest.raises(StepRefused, match="SCORECARDS_EXIST"):
        await clerk.do("scorecardsDraft", "ScorecardsQuarterInput", order, "job { id }")
    with pytest.raises(StepRefused, match="SCORECARDS_NOT_READY"):
        await again.do("scorecardsPublish", "ScorecardsQuarterInput", order, "moved")
    approver = done.cast.actor(city, Role.CITY_SETTLEMENT_APPROVER)
    moved = await approver.do("scorecardsApprove", "ScorecardsQuarterInput", order, "moved")
    assert moved["moved"] == sum(hospital.city_code == city for hospital in PLAN.hospitals)
    assert (await clerk.do("scorecardsWithdraw", "ScorecardsQuarterInput", order, "moved"))["moved"] == moved["moved"]


async def test_scorecards_need_a_published_quarter(done: Done) -> None:
    clerk = done.cast.actor(PLAN.cities[1].code, Role.CITY_SETTLEMENT_CLERK)
    for order, code in (
        ({"year": YEAR, "quarter": 4}, "QUARTER_NOT_PUBLISHED"),
        ({"year": YEAR, "quarter": 5}, "PERIOD_RANGE"),
    ):
        with pytest.raises(StepRefused, match=code):
            await clerk.do("scorecardsDraft", "ScorecardsQuarterInput", order, "job { id }")


async def test_a_job_tells_its_story(done: Done) -> None:
    city = PLAN.cities[0].code
    clerk = done.cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
    query = "query($after: String) { jobs(first: 50, after: $after) { nodes { id kind state attempt } pageInfo { hasNextPage endCursor } } }"
    jobs = await clerk.all_nodes(query, "jobs")
    assert {job["state"] for job in jobs} == {"DONE"}
    assert {"clearing.compute", "scorecard.draft", "point_value.budget"} <= {job["kind"] for job in jobs}
    response = await clerk.send("GET", f"/v1/jobs/{jobs[0]['id']}/events")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert '"state": "DONE"' in response.text
    stranger = done.cast.actor(PLAN.cities[1].code, Role.CITY_SETTLEMENT_CLERK)
    assert (await stranger.send("GET", f"/v1/jobs/{jobs[0]['id']}/events")).status_code == 404


async def test_two_starts_at_once_make_one_run(done: Done) -> None:
    city = PLAN.cities[0].code
    clerk = done.cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
    document = """mutation($input: ClearingRunStartInput!) { clearingRunStart(input: $input) {
      run { id } alreadyRunning { id } userErrors { code } } }"""
    order = {"kind": "QUARTER", "insurance": "EMPLOYEE", "poolScope": "LOCAL", "year": YEAR, "period": 3}
    answers = await asyncio.gather(
        *(clerk.raw(document, {"input": order | {"idempotencyKey": f"race-of-starts-{n}"}}) for n in range(8))
    )
    payloads = [answer["data"]["clearingRunStart"] for answer in answers]
    started = [p["run"]["id"] for p in payloads if p["run"]]
    refused = [p for p in payloads if not p["run"]]
    assert len(started) == 1
    assert {p["userErrors"][0]["code"] for p in refused} <= {"CLEARING_ALREADY_RUNNING", "TRY_AGAIN", "ALREADY_EXISTS"}
