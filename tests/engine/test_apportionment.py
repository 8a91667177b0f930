from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction

import pyarrow as pa
import pytest

from fenzhi.engine.engine import Engine
from fenzhi.engine.failures import EngineBoundsExceeded, EngineInputRefused
from fenzhi.rules.refusals import InvariantBroken


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(memory_limit="512MB") as opened:
        yield opened


def tables(totals: dict[str, int], cases: list[tuple[str, str, int]]) -> tuple[pa.Table, pa.Table]:
    return (
        pa.table({"hospital": pa.array(list(totals)), "total_fen": pa.array(list(totals.values()), pa.int64())}),
        pa.table(
            {
                "hospital": pa.array([one for one, _, _ in cases], pa.string()),
                "case_id": pa.array([one for _, one, _ in cases], pa.string()),
                "points": pa.array([one for _, _, one in cases], pa.int64()),
            }
        ),
    )


def shares(engine: Engine, totals: dict[str, int], cases: list[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    found = engine.apportion_cases(*tables(totals, cases)).to_pylist()
    return [(row["hospital"], row["case_id"], row["share_fen"]) for row in found]


def by_hand(total: int, points: dict[str, int]) -> dict[str, int]:
    whole = sum(points.values())
    floors = {case: total * one // whole for case, one in points.items()}
    order = sorted(points, key=lambda case: (-(Fraction(total * points[case], whole) - floors[case]), case.encode()))
    left = total - sum(floors.values())
    return {case: floors[case] + (1 if order.index(case) < left else 0) for case in points}


def test_the_first_of_three_equal_cases_takes_the_last_fen(engine: Engine) -> None:
    equal = [("h", case, 5) for case in ("c", "b", "a")]
    assert shares(engine, {"h": 1_000_000_001}, equal) == [
        ("h", "a", 333_333_334),
        ("h", "b", 333_333_334),
        ("h", "c", 333_333_333),
    ]
    assert shares(engine, {"h": -100}, equal) == [("h", "a", -33), ("h", "b", -33), ("h", "c", -34)]


def test_ties_go_by_bytes_not_by_alphabet(engine: Engine) -> None:
    assert shares(engine, {"h": 1}, [("h", "a", 1), ("h", "B", 1), ("h", "病", 1)])[0] == ("h", "B", 1)


def test_cases_without_points_get_nothing(engine: Engine) -> None:
    assert shares(engine, {"h": 0, "i": 7, "j": 0}, [("h", "a", 0), ("i", "a", 0), ("i", "b", 2)]) == [
        ("h", "a", 0),
        ("i", "a", 0),
        ("i", "b", 7),
    ]


@pytest.mark.parametrize("size", [10**6, 10**15])
def test_shares_are_the_largest_remainder_by_hand_small_and_huge(engine: Engine, size: int) -> None:
    chance = random.Random(size)
    totals = {f"h{number}": chance.randint(-size, size) for number in range(12)}
    cases = [
        (hospital, f"{chance.randrange(10**9)}-{number}", chance.choice((0, 1, 3, chance.randint(1, 10**8))))
        for hospital in totals
        for number in range(chance.randint(1, 40))
    ]
    cases += [(hospital, "one", 1) for hospital in totals]
    chance.shuffle(cases)
    expected = {
        hospital: by_hand(total, {case: points for one, case, points in cases if one == hospital})
        for hospital, total in totals.items()
    }
    found = shares(engine, totals, cases)
    assert found == sorted((hospital, case, share) for hospital, of in expected.items() for case, share in of.items())
    for hospital, total in totals.items():
        assert sum(share for one, _, share in found if one == hospital) == total


def test_money_without_points_to_carry_it_stops_the_run_and_names_the_hospital(engine: Engine) -> None:
    for cases in ([("g", "a", 1), ("h", "a", 0)], [("g", "a", 1)]):
        with pytest.raises(InvariantBroken) as caught:
            shares(engine, {"g": 5, "h": -9}, cases)
        assert (caught.value.account, caught.value.unexplained_fen) == ("h", -9)


def test_a_case_counted_twice_stops_the_run(engine: Engine) -> None:
    totals, cases = tables({"h": 5}, [("h", "a", 1)])
    with pytest.raises(EngineInputRefused):
        engine.apportion_cases(pa.concat_tables([totals, totals]), cases)
    with pytest.raises(EngineInputRefused):
        engine.apportion_cases(totals, tables({}, [("x", "a", 1)])[1])
    with pytest.raises(EngineInputRefused):
        shares(engine, {"h": 5}, [("h", "a", -1)])


def test_numbers_too_large_are_refused_before_they_could_be_wrong(engine: Engine) -> None:
    with pytest.raises(EngineBoundsExceeded):
        shares(engine, {"h": 2**63 - 1}, [("h", "a", 2**63 - 1), ("h", "b", 2**63 - 1)])
