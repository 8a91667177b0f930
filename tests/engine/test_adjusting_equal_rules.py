"""Adjustments in bulk are those of the one-case rule, whatever facts are missing or unknown."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa

from builders.layered_edition import as_table, layered_edition, some_cases
from fenzhi.engine.compiled_book import compile_book
from fenzhi.engine.engine import Engine
from fenzhi.rules.catalog.edition_lists import CatalogStandard
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.grouping_method import GroupingMethod
from fenzhi.rules.scoring.auxiliary_choice import (
    CaseFacts,
    CciEntry,
    Dimension,
    FactTest,
    ScoringFact,
    Subtype,
    SubtypeRule,
    fact_tests,
)
from fenzhi.rules.scoring.case_adjustment import (
    AdjustmentRules,
    AgeFactor,
    Complexity,
    ComplexityBand,
    NewTechnology,
    TcmBonus,
    Uplift,
    case_adjustment,
)

DAY = date(2026, 3, 1)


def rules_of(chance: random.Random, groups: list[str]) -> AdjustmentRules:
    published = {
        code: [
            Subtype(dimension, name, Decimal(chance.choice(("1.4", "1.25", "0.8"))))
            for dimension, name in (
                (Dimension.AGE, "newborn"),
                (Dimension.SEVERITY, "death"),
                (Dimension.CCI, "high"),
                (Dimension.SECONDARY, "failure"),
            )
            if chance.random() < 0.6
        ]
        for code in groups
        if chance.random() < 0.6
    }
    return AdjustmentRules(
        published,
        (
            SubtypeRule(Dimension.AGE, "newborn", fact_tests("age_days:0-28")),
            SubtypeRule(Dimension.SEVERITY, "death", fact_tests("los_days:3-"), discharge_ways=frozenset("5")),
            SubtypeRule(Dimension.CCI, "high", fact_tests("cci:2-")),
            SubtypeRule(Dimension.SECONDARY, "failure", (), frozenset(("J96", "T31.2"))),
        ),
        (CciEntry("a", frozenset(("C78", "C50")), 2), CciEntry("b", frozenset(("C78.0", "J96")), 1)),
        (
            AgeFactor(FactTest(ScoringFact.AGE_DAYS, None, 28), Fraction(23, 20), "child", is_bonus=True),
            AgeFactor(FactTest(ScoringFact.AGE_DAYS, 600, None), Fraction(6, 5), "elderly"),
        ),
        chance.choice(tuple(Complexity)),
        (
            ComplexityBand(FactTest(ScoringFact.OTHER_DIAGNOSES, 2, None), Fraction(3, 2)),
            ComplexityBand(FactTest(ScoringFact.PROCEDURES, 3, None), Fraction(5, 4)),
        ),
        TcmBonus(frozenset(groups[::2]), Fraction(1, 2), Fraction(1, 20)),
        tuple(Uplift(code, Fraction(11, 10), DAY, DAY + timedelta(days=5)) for code in groups[::3]),
        chance.random() < 0.5,
        (
            NewTechnology("01.1000", Decimal("12.5"), DAY, DAY),
            NewTechnology("02.1000", Decimal(3), DAY, date(2027, 1, 1)),
        ),
        Decimal(14),
    )


def test_bulk_adjustments_are_those_of_the_rule() -> None:
    seen: set[tuple[Fraction, Decimal]] = set()
    for seed in range(6):
        chance = random.Random(f"adjust/{seed}")
        book = CatalogBook(layered_edition(chance, CatalogStandard.V2))
        rules = rules_of(chance, sorted(book.by_code))
        cases = some_cases(chance, book.edition, 300)
        ways = [chance.choice((None, "1", "5")) for _ in cases]
        tcm = [chance.choice((None, 0, 500, 2500)) for _ in cases]
        days = [chance.choice((None, DAY, DAY + timedelta(days=6))) for _ in cases]
        table = as_table(cases).append_column("discharge_way", pa.array(ways, pa.string()))
        table = table.append_column("tcm_fen", pa.array(tcm, pa.int64()))
        table = table.append_column("discharge_date", pa.array(days, pa.date32()))
        with Engine() as engine:
            grouped = engine.group(table, compile_book(book, GroupingMethod()))
            found, places = engine.adjust(grouped, table, book.edition, rules)
        for row, (case, answer) in enumerate(zip(cases, grouped.to_pylist(), strict=True)):
            if answer["group_code"] is None:
                assert places[row].as_py() == 0
                continue
            facts = CaseFacts(
                case.age_days,
                case.los_days,
                case.birth_weight_g,
                None,
                ways[row],
                tuple(one for one in case.other_diagnoses if one in book.edition.tables.diagnoses),
                case.procedures,
                tcm[row],
            )
            one = case_adjustment(book.by_code[answer["group_code"]], facts, case.cost_fen or 0, days[row], rules)
            got = found[places[row].as_py()]
            assert (got.multiplier, got.bonus) == (one.multiplier, one.bonus), (seed, case)
            seen.add((one.multiplier, one.bonus))
    assert len(seen) > 20


def test_without_rules_nothing_is_adjusted() -> None:
    book = CatalogBook(layered_edition(random.Random(3), CatalogStandard.V2))
    cases = some_cases(random.Random(4), book.edition, 5)
    table = as_table(cases)
    with Engine() as engine:
        grouped = engine.group(table, compile_book(book, GroupingMethod()))
        found, places = engine.adjust(grouped, table, book.edition, AdjustmentRules())
    assert [one.multiplier for one in found] == [1] and places.to_pylist() == [0] * 5
