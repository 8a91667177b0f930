"""Provisional groups: the engine and the one-case rule over random editions; they never take what the edition covers."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa

from builders.layered_edition import any_method, as_table, layered_edition, some_cases
from fenzhi.engine.compiled_book import compile_book
from fenzhi.engine.engine import Engine
from fenzhi.engine.graded_editions import EditionPlan
from fenzhi.engine.scoring_plan import plan_scoring
from fenzhi.rules.catalog.edition_lists import CatalogStandard
from fenzhi.rules.catalog.reference_costs import MeanCost, ReferenceCosts
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.group_case import group_case
from fenzhi.rules.grouping.outcome import GroupingReason
from fenzhi.rules.grouping.provisional_groups import ProvisionalGroup, or_provisional, provisional_book
from fenzhi.rules.scoring.auxiliary_choice import CaseFacts
from fenzhi.rules.scoring.case_adjustment import AdjustmentRules, Uplift, case_adjustment
from fenzhi.rules.scoring.cost_outliers import OutlierLines
from fenzhi.rules.scoring.score_case import BlankGroup, HospitalFactor, score_blank, score_case
from fenzhi.services.scoring.provisional import provisional_plan

FIRST, LAST = date(2026, 1, 1), date(2026, 6, 30)
FACTORS = (HospitalFactor("1", Decimal("0.95")), HospitalFactor("2", Decimal("1.2345")))
LINES = OutlierLines(Decimal("0.5"), Decimal(2), Decimal(5))


def test_bulk_and_rule_agree_and_only_what_is_uncovered_is_taken() -> None:
    taken, blanks, lifted = 0, 0, 0
    for seed in range(10):
        chance = random.Random(f"provisional/{seed}")
        book = CatalogBook(layered_edition(chance, chance.choice(tuple(CatalogStandard))))
        edition, method = book.edition, any_method(chance)
        cases = some_cases(chance, edition, 250)
        uncovered = [
            case for case in cases if case.principal_diagnosis and group_case(case, book, method).reason.is_uncovered
        ]
        kinds = {
            (str(case.principal_diagnosis)[: chance.choice((3, 5, 7))], tuple(sorted(set(case.procedures))))
            for case in uncovered
        }
        groups = tuple(
            ProvisionalGroup(
                f"LS{place}", key, codes, Decimal(chance.choice((3, 250))), FIRST, LAST, "会议纪要〔2026〕1号"
            )
            for place, (key, codes) in enumerate(sorted(kinds)[::2])
        )
        references = ReferenceCosts({}, {code: MeanCost(chance.randint(1, 5000), 2) for code in book.by_code})
        blank = BlankGroup(Fraction(7, 10), MeanCost(9_999, 7)) if seed % 2 else None
        lifts = [*sorted(book.by_code)[::3], *(one.group_code for one in groups[::2])]
        rules = AdjustmentRules(uplifts=tuple(Uplift(code, Fraction(11, 10), FIRST, LAST) for code in lifts))
        plan = plan_scoring(
            compile_book(book, method), factors=FACTORS, references=references, lines=LINES, blank=blank
        )
        beside = provisional_plan(edition, groups, method, factors=FACTORS, lines=LINES)
        factors = [chance.randrange(2) for _ in cases]
        names = [chance.choice(("with", "without")) for _ in cases]
        table = as_table(cases).append_column("factor", pa.array(factors, pa.int32()))
        table = table.append_column("edition_id", pa.array(names, pa.string()))
        table = table.append_column("discharge_date", pa.array([FIRST] * len(cases), pa.date32()))
        plans = {"with": EditionPlan(plan, rules, beside), "without": EditionPlan(plan)}
        with Engine(batch_rows=91) as engine:
            answers = engine.grade(table, plans).to_pylist()
        opened = provisional_book(edition, groups)
        assert len(answers) == len(cases)
        for place, (case, answer, name) in enumerate(zip(cases, answers, names, strict=True)):
            plain = group_case(case, book, method)
            outcome = or_provisional(plain, case, opened, method, groups) if name == "with" else plain
            if outcome.reason is GroupingReason.PROVISIONAL_MATCHED:
                assert plain.reason.is_uncovered
                assert outcome.working[-1].document == "会议纪要〔2026〕1号"
                taken += 1
            else:
                assert outcome == plain
            cost = case.cost_fen or 0
            expected: tuple[object, ...] = (None, outcome.reason.value, None, None)
            if outcome.group is not None:
                acting = rules if name == "with" else AdjustmentRules()
                adjustment = case_adjustment(outcome.group, CaseFacts(), cost, FIRST, acting)
                lifted += adjustment.multiplier == Fraction(11, 10)
                one = score_case(
                    outcome.group,
                    case_id=case.case_id,
                    cost_fen=cost,
                    factor=FACTORS[factors[place]],
                    references=references,
                    lines=LINES,
                    points_decimals=edition.points_decimals,
                    adjustment=adjustment,
                )
                expected = (outcome.group.group_code, outcome.reason.value, one.band.value, one.points)
            elif blank is not None and outcome.reason.is_uncovered:
                one = score_blank(case.case_id, cost, edition.scale, blank, edition.points_decimals)
                expected = (None, outcome.reason.value, one.band.value, one.points)
                blanks += 1
            assert tuple(answer[key] for key in ("group_code", "reason", "band", "points")) == expected, (seed, case)
            assert answer["edition_id"] == name
    assert taken > 50
    assert blanks > 20
    assert lifted > 100
