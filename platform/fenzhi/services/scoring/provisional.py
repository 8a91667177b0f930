"""The plan over provisional groups (临时病种计分方案), for a run, a preview and the offline commands alike."""

from __future__ import annotations

from collections.abc import Sequence

from fenzhi.engine.compiled_book import compile_book
from fenzhi.engine.scoring_plan import ScoringPlan, plan_scoring
from fenzhi.rules.catalog.edition import Edition
from fenzhi.rules.catalog.reference_costs import NO_REFERENCES
from fenzhi.rules.grouping.grouping_method import GroupingMethod
from fenzhi.rules.grouping.provisional_groups import ProvisionalGroup, provisional_book, provisional_method
from fenzhi.rules.scoring.cost_outliers import OutlierLines
from fenzhi.rules.scoring.score_case import HospitalFactor


def provisional_plan(
    edition: Edition,
    groups: Sequence[ProvisionalGroup],
    method: GroupingMethod,
    *,
    factors: Sequence[HospitalFactor],
    lines: OutlierLines,
) -> ScoringPlan | None:
    """What scores the cases of provisional groups (临时病种计分方案), None without any.

    They had no mean cost last year, so by cost nothing is judged of them: score × k × adjustments, as of any group without a reference.
    """
    book = provisional_book(edition, groups)
    if book is None:
        return None
    compiled = compile_book(book, provisional_method(method))
    return plan_scoring(compiled, factors=factors, references=NO_REFERENCES, lines=lines)
