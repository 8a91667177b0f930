"""The league of data quality (数据质量排名): five rates of each hospital's lists of a month, weighted, ranked.

Every rate is an exact fraction of two things that were counted; only what is printed is rounded, half up, and the rank is decided by the
exact score. Policy: scorecard.quality_weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.quantities import exact_decimal
from fenzhi.rules.refusals import DataRefused, Refusal

RATES: tuple[str, ...] = ("timeliness", "completeness", "first_pass", "grouping", "code_accuracy")
"""及时率、完整率、首次通过率、入组率、编码准确率."""
PRINTED_PLACES = 4


@dataclass(frozen=True, slots=True)
class ListCounts:
    """What was counted of one hospital's lists of a month (当月清单计数).

    `uploads`: lists uploaded for the first time for the month; of these `timely` without a finding of lateness, `complete` without an
    error of completeness, `passed` accepted, `accurate` without a finding about codes. `cases` and `grouped` are of the published run.
    """

    hospital_code: str
    uploads: int
    timely: int
    complete: int
    passed: int
    accurate: int
    cases: int = 0
    grouped: int = 0

    def parts(self) -> dict[str, tuple[int, int]]:
        """Numerator and denominator of each rate (各率分子与分母)."""
        return {
            "timeliness": (self.timely, self.uploads),
            "completeness": (self.complete, self.uploads),
            "first_pass": (self.passed, self.uploads),
            "grouping": (self.grouped, self.cases),
            "code_accuracy": (self.accurate, self.uploads),
        }


@dataclass(frozen=True, slots=True)
class LeagueRow:
    """A hospital's place (排名). `score` and `rank` are None where a rate that others have cannot be judged."""

    counts: ListCounts
    score: Fraction | None
    rank: int | None


def quality_weights(policy: ResolvedPolicy) -> dict[str, Fraction]:
    """The weight of each rate (各率权重). Policy: scorecard.quality_weights. Raises: PolicyNotEntered; DataRefused naming every fault."""
    rows = policy.table("scorecard.quality_weights")
    faults = weight_faults(rows)
    if faults:
        raise DataRefused(tuple(faults))
    return {row["indicator"]: Fraction(exact_decimal(row["weight"])) for row in rows}


def weight_faults(rows: Sequence[Mapping[str, str]]) -> list[Refusal]:
    """Every fault of a table of weights (权重差错): unknown or repeated rates, no decimal, negative, a sum other than 1."""
    found: list[Refusal] = []
    total, seen = Fraction(0), set[str]()
    for place, row in enumerate(rows):
        where = f"scorecard.quality_weights.{place}"
        if row["indicator"] not in RATES or row["indicator"] in seen:
            found.append(_fault(where, row["indicator"]))
        seen.add(row["indicator"])
        try:
            weight = Fraction(exact_decimal(row["weight"]))
        except ValueError:
            weight = Fraction(-1)
        if weight < 0:
            found.append(_fault(where, row["weight"]))
        total += weight
    if not found and total != 1:
        found.append(_fault("scorecard.quality_weights", str(total)))
    return found


def _fault(where: str, saw: str) -> Refusal:
    return Refusal(
        "QUALITY_WEIGHTS", where, saw, "权重表须为各项指标的非负小数，合计为 1。",
        "The weights are decimals, not negative, of known rates, and sum to 1.",
        f"可用指标：{'、'.join(RATES)}。", f"Rates: {', '.join(RATES)}.",
    )  # fmt: skip


def league(counts: Iterable[ListCounts], weights: Mapping[str, Fraction]) -> tuple[LeagueRow, ...]:
    """The league in order of rank, ties by code (排名表).

    A rate that nobody can be judged by is left out, and the weights of the others are scaled to 1. A hospital that lacks a rate others
    have, or has no list, is listed without a rank. Equal scores share a rank and the next one is skipped (1, 2, 2, 4).
    """
    rows = list(counts)
    judged = [
        code for code in RATES if weights.get(code, Fraction(0)) > 0 and any(row.parts()[code][1] for row in rows)
    ]
    total = sum((weights[code] for code in judged), Fraction(0))
    scored = [(row, _score(row, judged, weights, total)) for row in rows]
    ranked = sorted((s for _, s in scored if s is not None), reverse=True)
    found = [LeagueRow(row, s, None if s is None else ranked.index(s) + 1) for row, s in scored]
    last = len(rows) + 1
    return tuple(sorted(found, key=lambda one: (one.rank or last, one.counts.hospital_code)))


def _score(row: ListCounts, judged: Sequence[str], weights: Mapping[str, Fraction], total: Fraction) -> Fraction | None:
    parts = row.parts()
    if not judged or any(parts[code][1] == 0 for code in judged):
        return None
    return sum((weights[code] * Fraction(*parts[code]) for code in judged), Fraction(0)) / total
