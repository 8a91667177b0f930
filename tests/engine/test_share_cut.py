from __future__ import annotations

import random
import uuid
from fractions import Fraction
from types import SimpleNamespace

import pyarrow as pa
import pytest

from fenzhi.engine.engine import Engine
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.services.clearing.case_shares import ShareCut, ShareRule, case_shares, less_patient_cut


def ids(count: int, chance: random.Random) -> list[uuid.UUID]:
    return sorted(uuid.UUID(int=chance.getrandbits(128)) for _ in range(count))


def engine_cut(engine: Engine, gross: int, cases: list[tuple[uuid.UUID, int, int]]) -> ShareCut:
    totals = pa.table({"hospital": pa.array(["h"]), "total_fen": pa.array([gross], pa.int64())})
    rows = pa.table(
        {
            "hospital": pa.array(["h"] * len(cases)),
            "case_id": pa.array(range(1, len(cases) + 1), pa.int64()),
            "points": pa.array([points for _, points, _ in cases], pa.int64()),
        }
    )
    last = [row for row in engine.apportion_cases(totals, rows).to_pylist() if row["last_remainder"] is not None]
    assert len(last) <= 1
    return ShareCut(last[0]["last_remainder"], cases[last[0]["case_id"] - 1][0]) if last else ShareCut()


@pytest.mark.parametrize("gross", [0, 1, -1, 7, -100, 999_999_937, -999_999_937, 60])
def test_a_case_alone_knows_the_share_it_has_among_all(gross: int) -> None:
    chance = random.Random(gross)
    with Engine(memory_limit="512MB") as engine:
        for spread in (0, 1, 3, 50_000):
            # Few distinct points make many ties, points of nothing among them.
            cases = [(one, chance.randint(0, spread) + (spread == 0), 0) for one in ids(41, chance)]
            if not any(points for _, points, _ in cases):
                continue
            among_all = case_shares(gross, cases)
            kept = engine_cut(engine, gross, cases).described()
            row = SimpleNamespace(gross_fen=gross, points=sum(points for _, points, _ in cases))
            rule = ShareRule.of(row, {"case_cut": kept})
            assert rule is not None
            alone = {one: rule.share_fen(one, points, other) for one, points, other in cases}
            assert alone == among_all
            assert sum(alone.values()) == gross


def test_less_what_others_paid() -> None:
    chance = random.Random(5)
    price = Fraction(104_729, 1_001)
    cases = [(one, chance.randint(1, 9), chance.randint(0, 900)) for one in ids(60, chance)]
    exact = sum((points * price - other for _, points, other in cases), Fraction(0))
    gross = int(exact + Fraction(1, 2) // 1)
    kept = less_patient_cut(gross, cases, price).described()
    rule = ShareRule.of(
        SimpleNamespace(gross_fen=gross, points=0),
        {"case_cut": kept, "less_patient": True, "fen_per_unit": str(price)},
    )
    assert rule is not None
    alone = {one: rule.share_fen(one, points, other) for one, points, other in cases}
    assert alone == case_shares(gross, cases, price)
    assert sum(alone.values()) == gross
    with pytest.raises(InvariantBroken):
        less_patient_cut(gross + len(cases) + 1, cases, price)


def test_a_statement_without_a_cut_has_no_rule() -> None:
    row = SimpleNamespace(gross_fen=1, points=1)
    assert ShareRule.of(row, {}) is None
    assert ShareRule.of(row, {"case_cut": [], "by_case": "1"}) is None
    with pytest.raises(ValueError):
        ShareCut.read(["1"])
