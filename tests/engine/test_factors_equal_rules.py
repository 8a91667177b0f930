"""The engine and the one-case rule over every outlier method, adjustment and the blank group, at the edges."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa
import pytest

from builders.layered_edition import any_method, as_table, layered_edition, some_cases
from fenzhi.engine.compiled_book import compile_book
from fenzhi.engine.engine import Engine
from fenzhi.engine.failures import EngineInputRefused
from fenzhi.engine.scoring_plan import plan_scoring
from fenzhi.rules.catalog.edition_lists import CatalogStandard
from fenzhi.rules.catalog.reference_costs import MeanCost, ReferenceCosts
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.group_case import group_case
from fenzhi.rules.scoring.case_adjustment import Adjustment
from fenzhi.rules.scoring.cost_outliers import OutlierLines, OutlierMethod
from fenzhi.rules.scoring.score_case import BlankGroup, HospitalFactor, score_blank, score_case

FACTORS = tuple(HospitalFactor(level, Decimal(text)) for level, text in (("1", "0.95"), ("2", "1.2345"), ("3", "0")))
ADJUSTMENTS = (
    Adjustment(),
    Adjustment(Fraction(7, 5)),
    Adjustment(Fraction(1, 3), Decimal("1.25")),
    Adjustment(Fraction(126, 100), Decimal(50)),
)


def lines_of(chance: random.Random, method: OutlierMethod) -> OutlierLines:
    linear = method is OutlierMethod.LINEAR
    return OutlierLines(
        Decimal(chance.choice(("0.5", "0.35"))),
        Decimal(chance.choice(("2", "1.5"))),
        None if linear else Decimal(chance.choice(("3", "5"))),
        chance.random() < 0.5,
        chance.random() < 0.5,
        chance.random() < 0.5,
        method,
        chance.random() < 0.5,
        Fraction(chance.choice((1000, 997, 100_003)), chance.choice((1, 7))),
    )


@pytest.mark.parametrize("method", list(OutlierMethod))
def test_points_of_every_method_and_adjustment_are_those_of_the_rules(method: OutlierMethod) -> None:
    bands: set[str] = set()
    for seed in range(8):
        chance = random.Random(f"{method}/{seed}")
        book = CatalogBook(layered_edition(chance, CatalogStandard.V3))
        edition = book.edition
        lines = lines_of(chance, method)
        references = ReferenceCosts(
            {(code, "1"): MeanCost(chance.choice((0, 2000, 9999)), chance.randint(1, 3)) for code in book.by_code},
            {code: MeanCost(chance.randint(1, 5000), chance.randint(1, 3)) for code in book.by_code},
        )
        blank = BlankGroup(Fraction(7, 10), MeanCost(9_999, 7)) if chance.random() < 0.5 else None
        grouping = any_method(chance)
        cases = some_cases(chance, edition, 200)
        places = [chance.randrange(len(ADJUSTMENTS)) for _ in cases]
        factors = [chance.randrange(len(FACTORS)) for _ in cases]
        plan = plan_scoring(
            compile_book(book, grouping),
            factors=FACTORS,
            references=references,
            lines=lines,
            adjustments=ADJUSTMENTS,
            blank=blank,
        )
        table = as_table(cases).append_column("factor", pa.array(factors, pa.int32()))
        table = table.append_column("auxiliary", pa.array(places, pa.int32()))
        with Engine(batch_rows=77) as engine:
            found = engine.group_and_score(table, plan).to_pylist()
        for case, place, factor, answer in zip(cases, places, factors, found, strict=True):
            outcome = group_case(case, book, grouping)
            cost = case.cost_fen or 0
            expected: tuple[object, ...] = (None, outcome.reason.value, None, None, None)
            if outcome.group is not None:
                one = score_case(
                    outcome.group,
                    case_id=case.case_id,
                    cost_fen=cost,
                    factor=FACTORS[factor],
                    references=references,
                    lines=lines,
                    points_decimals=edition.points_decimals,
                    adjustment=ADJUSTMENTS[place],
                )
                expected = (
                    outcome.group.group_code,
                    outcome.reason.value,
                    one.band.value,
                    one.reference_source.value,
                    one.points,
                )
            elif blank is not None and outcome.reason.is_uncovered:
                one = score_blank(case.case_id, cost, edition.scale, blank, edition.points_decimals)
                expected = (None, outcome.reason.value, one.band.value, one.reference_source.value, one.points)
            names = ("group_code", "reason", "band", "reference_source", "points")
            assert tuple(answer[name] for name in names) == expected, (seed, case, lines)
            bands.add(str(answer["band"]))
    assert {"low", "normal", "high"} <= bands


def test_added_points_finer_than_points_are_refused() -> None:
    book = CatalogBook(layered_edition(random.Random(1), CatalogStandard.V2))
    compiled = compile_book(book, any_method(random.Random(2)))
    lines = OutlierLines(Decimal("0.5"), Decimal(2), Decimal(5))
    with pytest.raises(EngineInputRefused):
        plan_scoring(
            compiled,
            factors=FACTORS,
            references=ReferenceCosts({}, {}),
            lines=lines,
            adjustments=[Adjustment(Fraction(1), Decimal("0.00001"))],
        )
