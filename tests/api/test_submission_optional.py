"""A rule of quality control a province switches on by its document: off before, on from its day, beside its table."""

from __future__ import annotations

import json

import pytest_asyncio

from builders.submission_place import Place, enter_policy, open_place
from builders.world import World


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    return await open_place(world, "75")


async def test_a_province_switches_a_rule_on(place: Place) -> None:
    woman = {"gend": "2"}
    before = await place.submit([place.listed("A1", **woman)])
    assert [one["code"] for one in before["verdicts"]["nodes"]] == ["LATE_LIST"]
    await enter_policy(
        place.world,
        place.province,
        {
            "submission.optional_checks": json.dumps(
                {"SEX_DIAGNOSIS_MISMATCH": "error", "AGE_DIAGNOSIS_MISMATCH": "warning"}
            ),
            "submission.sex_limited_diagnoses": json.dumps({"I63": "1"}),
            "submission.age_limited_diagnoses": json.dumps({"I63": "0-28"}),
        },
    )
    after = await place.submit([place.listed("A2", **woman), place.listed("A3")])
    found = [(one["row"], one["rule"], one["code"], one["severity"]) for one in after["verdicts"]["nodes"]]
    assert found == [
        (1, "Q28", "LATE_LIST", "WARNING"),
        (1, "Q05", "SEX_DIAGNOSIS_MISMATCH", "ERROR"),
        (1, "Q06", "AGE_DIAGNOSIS_MISMATCH", "WARNING"),
        (2, "Q28", "LATE_LIST", "WARNING"),
        (2, "Q06", "AGE_DIAGNOSIS_MISMATCH", "WARNING"),
    ]
    assert (after["counts"]["accepted"], after["counts"]["refused"]) == (1, 1)
