"""Why a quarter differs from its months: each cause worked by hand, in the fixed order, and the sum to the fen for any change."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fenzhi.rules.clearing.causes import Cause
from fenzhi.rules.clearing.presettlement import MonthTerms
from fenzhi.rules.clearing.quarterly import QuarterClaim, QuarterTerms, clear_quarter
from fenzhi.rules.clearing.settled_change import (
    CaseSums,
    Known,
    RunLine,
    SettledChange,
    SettledMonth,
    SettledQuarter,
    explain_settled,
)
from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.rules.refusals import InvariantBroken

P0 = PointValue.stated(Fraction(10), 0)
TERMS = MonthTerms(P0, Fraction(7, 10), Fraction(9, 10))


def sums(points: int, *, cases: int = 1, cost: int = 100_000, booked: int = 75_000) -> CaseSums:
    return CaseSums(cases, points, cost, booked, cost - booked)


def month(before: CaseSums, now: CaseSums, *, taken: int = 0, approved: int = 0) -> SettledMonth:
    known = {Known.BEFORE: {"A": before}, **{k: {"A": now} for k in Known if k is not Known.BEFORE}}
    return SettledMonth(TERMS, lambda _booked: None, known, ({"A": taken}, {"A": approved}))


def test_a_month_becomes_a_quarter() -> None:
    """100 points then, 120 with a late list; 10.00 × 0.7 × 0.9 = 6.30 a point; the fund gives 9.00, φ 0.75, so P = 12.00."""
    before, now = sums(100), sums(120)
    value = PointValue(108_000, 100_000, 75_000, 120, 0)
    line = RunLine(
        gross_fen=108_000,
        deductions_fen=500,
        band_withheld_fen=0,
        bonuses_fen=0,
        assessment_withheld_fen=0,
        kept_fen=5_375,
    )
    change = SettledChange([month(before, now, approved=500)], [], value, {"A": line}, {"A": 3_150})
    found = explain_settled(change, {"A": 63_000})
    assert (found.before["A"], found.after["A"]) == (63_000 - 3_150, 108_000 - 500 - 5_375)
    assert found.of("A") == {
        Cause.LISTS: 120 * 630 - 63_000,
        Cause.POINT_VALUE: 120 * (756 - 630),
        Cause.PHI: 120 * (810 - 756),
        Cause.DEDUCTION: -500,
        Cause.PREPAY: 120 * 90,
        Cause.DEPOSIT: 3_150 - 5_375,
    }


def test_what_was_settled_must_be_found_again() -> None:
    value = PointValue(108_000, 100_000, 75_000, 120, 0)
    line = RunLine(108_000, 0, 0, 0, 0, 0)
    change = SettledChange([month(sums(100), sums(120))], [], value, {"A": line}, {})
    with pytest.raises(InvariantBroken, match="computed again") as broken:
        explain_settled(change, {"A": 63_001})
    assert (broken.value.account, broken.value.unexplained_fen) == ("A", -1)


def quarter_state(points: dict[str, int], fund: int) -> tuple[int, dict[str, CaseSums]]:
    return fund, {code: sums(p) for code, p in points.items()}


def test_a_changed_budget_reprices_the_quarter_before() -> None:
    """Q1 shared 1,000.00 over 60 and 40 points; the budget now opens 1,200.00 for it: that is budget, the rest is the new quarter."""
    _, known = quarter_state({"A": 60, "B": 40}, 100_000)
    quarter = SettledQuarter(QuarterTerms(), 100_000, 120_000, 0, dict.fromkeys(Known, known), ({}, {}))
    run = clear_quarter(
        120_000,
        0,
        [QuarterClaim("A", 1, 60, 100_000, 75_000), QuarterClaim("B", 1, 40, 100_000, 75_000)],
        QuarterTerms(),
    )
    lines = {line.hospital: RunLine(line.gross_fen, 0, 0, 0, 0, 0) for line in run.lines}
    found = explain_settled(SettledChange([], [quarter], run.point_value, lines, {}), {"A": 60_000, "B": 40_000})
    assert found.of("A") == {Cause.BUDGET: 12_000}
    assert found.of("B") == {Cause.BUDGET: 8_000}


def test_a_review_is_a_cause_after_phi_and_before_deductions() -> None:
    """Q1 shared 1,000.00 over 60 and 40; a review now gives A 100 points: 60,000 and 40,000 before it, 71,429 and 28,571 with it."""
    known = {"A": sums(60), "B": sums(40)}
    quarter = SettledQuarter(QuarterTerms(), 100_000, 100_000, 0, dict.fromkeys(Known, known), ({}, {}))
    then = PointValue(100_000, 200_000, 150_000, 100, 0)
    lines = {"A": RunLine(71_429, 100, 0, 0, 0, 0), "B": RunLine(28_571, 0, 0, 0, 0, 0)}
    change = SettledChange([], [quarter], then, lines, {}, {"A": 60_000, "B": 40_000})
    found = explain_settled(change, {"A": 60_000, "B": 40_000})
    assert found.of("A") == {Cause.SPECIAL_CASES: 11_429, Cause.DEDUCTION: -100}
    assert found.of("B") == {Cause.SPECIAL_CASES: -11_429}


points = st.integers(1, 10_000)


@given(
    before=st.lists(points, min_size=2, max_size=2),
    now=st.lists(points, min_size=2, max_size=2),
    quarter=st.lists(points, min_size=2, max_size=2),
    fund=st.integers(0, 10**9),
    deductions=st.tuples(st.integers(0, 10**5), st.integers(0, 10**5)),
    kept=st.tuples(st.integers(0, 10**5), st.integers(0, 10**5)),
    cap=st.one_of(st.none(), st.integers(0, 10**6)),
)
@settings(max_examples=60, deadline=None)
def test_the_causes_are_the_change_to_the_fen(  # type: ignore[no-untyped-def]
    before, now, quarter, fund, deductions, kept, cap
) -> None:
    codes = ("A", "B")
    then = {code: sums(p) for code, p in zip(codes, before, strict=True)}
    since = {code: sums(p) for code, p in zip(codes, now, strict=True)}
    part = SettledMonth(
        TERMS,
        lambda _booked: cap,
        {Known.BEFORE: then, Known.LISTS: then, Known.GROUP: since, Known.COEFFICIENT: since},
        ({"A": deductions[0]}, {"A": deductions[1]}),
    )
    shared = {code: sums(p) for code, p in zip(codes, quarter, strict=True)}
    settled = SettledQuarter(QuarterTerms(), fund // 2, fund // 3, 0, dict.fromkeys(Known, shared), ({}, {}))
    claims = [
        QuarterClaim(code, 2, since[code].points + shared[code].points, 200_000, 150_000, deductions_fen=deductions[1])
        for code in codes
    ]
    run = clear_quarter(fund, 0, claims, QuarterTerms(deposit_rate=Fraction(1, 20)))
    lines = {
        line.hospital: RunLine(line.gross_fen, line.deductions_fen, 0, 0, 0, line.deposit_withheld_fen)
        for line in run.lines
    }
    change = SettledChange([part], [settled], run.point_value, lines, dict(zip(codes, kept, strict=True)))
    again = explain_settled_before(change)
    found = explain_settled(change, again)
    for line in run.lines:
        assert found.after[line.hospital] == line.payable_fen
        moved = sum(by[line.hospital] for by in found.by_cause.values())
        assert moved == found.after[line.hospital] - found.before[line.hospital]


def explain_settled_before(change: SettledChange) -> dict[str, int]:
    """What the parts were recorded with: the same rules, asked part by part."""
    from fenzhi.rules.clearing.presettlement import MonthClaim, presettle_month

    cleared: dict[str, int] = {}
    for part in change.months:
        claims = [
            MonthClaim(
                c, s.cases, s.points, s.cost_fen, s.booked_fen, s.patient_fen, part.deductions[0].get(c, 0), part.cap(0)
            )
            for c, s in part.sums[Known.BEFORE].items()
        ]
        for line in presettle_month(claims, part.terms).lines:
            cleared[line.hospital] = cleared.get(line.hospital, 0) + line.cleared_fen
    for quarter in change.quarters:
        own = [
            QuarterClaim(c, s.cases, s.points, s.cost_fen, s.booked_fen) for c, s in quarter.sums[Known.BEFORE].items()
        ]
        for line in clear_quarter(quarter.fund_fen, 0, own, quarter.terms).lines:
            cleared[line.hospital] = cleared.get(line.hospital, 0) + line.cleared_fen
    return cleared
