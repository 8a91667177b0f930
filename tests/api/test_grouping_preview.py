"""Cases grouped and scored without being stored: the answers of `fenzhi group`, and nothing left behind."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from builders.submission_place import DIAGNOSES, GROUPS, PROCEDURES, Place, open_place
from builders.world import World
from fenzhi.access.roles import Role
from fenzhi.cli.group import group_lines
from fenzhi.cli.offline import OfflineCase, read_rules
from fenzhi.rules.scoring.score_case import HospitalFactor

PREVIEW = """
query($h: String!, $c: [GroupingCaseInput!]!) { groupingPreview(hospitalCode: $h, cases: $c) {
  caseId disposition groupCode reason reasonZh reasonEn diagnosis kind layer score level coefficient band referenceSource points } }
"""
CASES: list[tuple[str | None, list[str], int]] = [
    ("I63.900", [], 1_000_000),
    ("I63.900", ["88.4101"], 2_706_800),
    ("I63.900", ["88.4101", "99.1000"], 900),
    ("I63.900", ["99.1000"], 500_000),
    ("J18.900", [], 500_000),
    ("I64.x00", [], 500_000),
    ("Q99.900", [], 500_000),
    (None, ["88.4101"], 500_000),
]


@pytest.fixture(scope="module")
async def place(world: World) -> Place:
    return await open_place(world, "79")


def given() -> list[dict[str, Any]]:
    return [
        {
            "caseId": f"c{number}",
            "insurance": "employee",
            "dischargeDate": "2025-01-09",
            "principalDiagnosis": principal,
            "procedures": procedures,
            "totalFen": str(fen),
        }
        for number, (principal, procedures, fen) in enumerate(CASES)
    ]


def by_the_command(folder: Path, coefficient: str, level: str) -> list[dict[str, Any]]:
    """What `fenzhi group` says of the same cases under the same texts."""
    header = "seq,dip_code,dx_code,dx_name,dx_granularity,main_ops,main_op_names,other_ops,other_op_names,kind,level,score,grassroots,procedure_class"
    rows = [
        f",{code},{dx},,{size},{main},,,,{kind},2,{score},0,{of or ''}"
        for code, dx, size, main, kind, of, score in GROUPS
    ]
    (folder / "catalog.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    (folder / "dx.csv").write_text("code,is_gray\n" + "".join(f"{c},{int(g)}\n" for c, g in DIAGNOSES.items()))
    (folder / "px.csv").write_text("code,procedure_class\n" + "".join(f"{c},{k}\n" for c, (k, _) in PROCEDURES.items()))
    rules = read_rules(
        folder / "catalog.csv",
        dialect="slash_plus",
        diagnoses=folder / "dx.csv",
        procedures=folder / "px.csv",
        level=level,
        coefficient=coefficient,
    )
    factor = HospitalFactor(level, Decimal(coefficient))
    cases = [
        OfflineCase(number, f"c{number}", principal, tuple(procedures), fen, factor, discharge_date=date(2025, 1, 9))
        for number, (principal, procedures, fen) in enumerate(CASES)
    ]
    return list(group_lines(cases, rules, verify=len(cases)))


async def test_the_preview_says_what_fenzhi_group_says_byte_for_byte(place: Place, tmp_path: Path) -> None:
    client = await place.submitter()
    found = (await client.gql(PREVIEW, {"h": place.hospital, "c": given()}))["groupingPreview"]
    factor = next(one for one in found if one["coefficient"])
    lines = by_the_command(tmp_path, factor["coefficient"], factor["level"])
    names = {
        "group_code": "groupCode", "reason": "reason", "reason_zh": "reasonZh", "reason_en": "reasonEn", "score": "score",
        "diagnosis": "diagnosis", "kind": "kind", "band": "band", "reference_source": "referenceSource", "points": "points",
    }  # fmt: skip
    ours = [{name: one[of] for name, of in names.items()} for one in found]
    theirs = [{name: line.get(name) for name in names} for line in lines]
    assert json.dumps(ours, ensure_ascii=False) == json.dumps(theirs, ensure_ascii=False)
    assert [one["caseId"] for one in found] == [f"c{number}" for number in range(len(CASES))]
    assert {one["reason"] for one in found} >= {"core_matched", "conservative_matched", "principal_diagnosis_gray"}
    assert await place.cases(client, setlId="c0") == []


async def test_another_hospital_is_no_hospital_of_mine(place: Place) -> None:
    client = await place.submitter()
    for code in (place.county_hospital, place.other_hospital, "H0000"):
        answer = await client.raw(PREVIEW, {"h": code, "c": given()[:1]})
        assert "HOSPITAL_NOT_FOUND" in json.dumps(answer, ensure_ascii=False), code
    clerk = await place.client(place.city, Role.CITY_SETTLEMENT_CLERK)
    found = (await clerk.gql(PREVIEW, {"h": place.county_hospital, "c": given()[:1]}))["groupingPreview"]
    assert found[0]["groupCode"] == "I63.9:"


async def test_none_and_too_many_are_refused(place: Place) -> None:
    client = await place.submitter()
    for cases in ([], given()[:1] * 101):
        answer = await client.raw(PREVIEW, {"h": place.hospital, "c": cases})
        assert "PREVIEW_COUNT" in json.dumps(answer, ensure_ascii=False) or "LIST" in json.dumps(answer), len(cases)
