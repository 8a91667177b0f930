"""One fen too many, one case too few, two ratios swapped: each stops the run and names the place (守恒)."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction

import pytest

from fenzhi.rules.clearing.apportionment import apportion
from fenzhi.rules.clearing.conservation import (
    ACCOUNT_COVERS,
    ACCOUNT_TOTAL,
    CASE_SHARES,
    FIRST_IDENTITY,
    OWN_RULE,
    SAME_CASES,
    SAME_HOSPITALS,
    SECOND_IDENTITY,
    TRANSFER_IDENTITY,
    CaseTotals,
    check_case_totals,
    check_cases,
    check_hospital,
    check_month,
    check_pool,
    check_quarter,
)
from fenzhi.rules.clearing.presettlement import MonthClaim, MonthTerms, presettle_month
from fenzhi.rules.clearing.quarterly import QuarterClaim, QuarterRun, QuarterTerms, clear_quarter
from fenzhi.rules.clearing.shares import ShareMethod, ShareOrder
from fenzhi.rules.clearing.statement import Account, StatementLine
from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.rules.refusals import InvariantBroken

FUND = 1_000_000_01

QUARTER = (
    QuarterClaim("H2", 20, 200, 400_00, 280_00, deductions_fen=5_00, payments_recorded_fen=100_000_00),
    QuarterClaim("H1", 10, 100, 300_00, 150_00, assessment_coefficient=Fraction("0.98"), deposit_held_fen=7_00),
    QuarterClaim("H3", 30, 300, 500_00, 400_00),
)
TERMS = QuarterTerms(ShareOrder(ShareMethod.RENORMALISE), deposit_rate=Fraction("0.05"))

MONTH = (
    MonthClaim("H2", 2, 200, 400_00, 280_00, 120_00, deductions_fen=5_00, cash_cap_fen=1_000_00),
    MonthClaim("H1", 1, 100, 300_00, 150_00, 150_00),
)
MONTH_TERMS = MonthTerms(
    PointValue(10_000_00, 10_000_00, 10_000_00, 900, 0), Fraction("0.7"), Fraction("0.9"), deposit_rate=Fraction("0.05")
)

RUN = clear_quarter(FUND, 0, QUARTER, TERMS)
MONTH_RUN = presettle_month(MONTH, MONTH_TERMS)
FEN_FIELDS = [field.name for field in fields(StatementLine) if field.name.endswith("_fen")]
REPORTED = {
    "default_share_fen": "default_share",
    "method_share_fen": "phi",
    "gross_fen": "gross",
    "assessment_withheld_fen": "assessment",
    "band_withheld_fen": "bands",
    "deposit_withheld_fen": "deposit",
    "payments_recorded_fen": "payments",
    "cash_cut_fen": "cash_cut",
}


def with_line(run: QuarterRun, place: int, **changes: object) -> QuarterRun:
    lines = list(run.lines)
    lines[place] = replace(lines[place], **changes)  # type: ignore[arg-type]
    return replace(run, lines=tuple(lines))


def test_an_honest_run_passes_and_leaves_nothing_unexplained() -> None:
    balance = check_quarter(RUN, QUARTER, FUND)
    assert (balance.pool_fen, balance.gross_fen, balance.unexplained_fen) == (FUND, FUND, 0)
    assert check_month(MONTH_RUN, MONTH).unexplained_fen == 0


@pytest.mark.parametrize("name", FEN_FIELDS)
def test_one_fen_added_to_any_term_of_a_quarter_names_it(name: str) -> None:
    broken = with_line(RUN, 1, **{name: getattr(RUN.lines[1], name) + 1})
    with pytest.raises(InvariantBroken) as stopped:
        check_quarter(broken, QUARTER, FUND)
    assert stopped.value.law == OWN_RULE
    assert stopped.value.account == f"H2/{REPORTED.get(name, name.removesuffix('_fen'))}"
    assert stopped.value.unexplained_fen == 1


@pytest.mark.parametrize("name", FEN_FIELDS)
def test_one_fen_added_to_any_term_of_a_month_names_it(name: str) -> None:
    lines = (MONTH_RUN.lines[0], replace(MONTH_RUN.lines[1], **{name: getattr(MONTH_RUN.lines[1], name) + 1}))
    with pytest.raises(InvariantBroken) as stopped:
        check_month(replace(MONTH_RUN, lines=lines), MONTH)
    assert stopped.value.account == f"H2/{REPORTED.get(name, name.removesuffix('_fen'))}"


@pytest.mark.parametrize("account", list(Account))
def test_one_fen_added_to_any_account_names_it(account: Account) -> None:
    broken = replace(RUN, accounts={**RUN.accounts, account: RUN.accounts[account] + 1})
    with pytest.raises(InvariantBroken) as stopped:
        check_quarter(broken, QUARTER, FUND)
    assert (stopped.value.account, stopped.value.unexplained_fen) == (account.value, 1)


@pytest.mark.parametrize("account", list(MONTH_RUN.accounts))
def test_one_fen_added_to_an_account_of_a_month_names_it(account: Account) -> None:
    broken = replace(MONTH_RUN, accounts={**MONTH_RUN.accounts, account: MONTH_RUN.accounts[account] + 1})
    with pytest.raises(InvariantBroken) as stopped:
        check_month(broken, MONTH)
    assert stopped.value.account == account.value


def test_swapped_ratios_are_found_against_the_manifest() -> None:
    swapped = (
        replace(QUARTER[0], booked_fen=QUARTER[1].booked_fen, cost_fen=QUARTER[1].cost_fen),
        replace(QUARTER[1], booked_fen=QUARTER[0].booked_fen, cost_fen=QUARTER[0].cost_fen),
        QUARTER[2],
    )
    with pytest.raises(InvariantBroken) as stopped:
        check_quarter(clear_quarter(FUND, 0, swapped, TERMS), QUARTER, FUND)
    assert stopped.value.account == "H1/cost"


def test_a_ratio_swapped_in_the_line_alone_is_found() -> None:
    broken = with_line(RUN, 0, fund_ratio=RUN.lines[2].fund_ratio)
    with pytest.raises(InvariantBroken) as stopped:
        check_quarter(broken, QUARTER, FUND)
    assert stopped.value.account == "H1/fund_ratio"


def test_booked_and_cost_swapped_in_the_point_value_are_found() -> None:
    value = replace(RUN.point_value, booked_fen=RUN.point_value.cost_fen, cost_fen=RUN.point_value.booked_fen)
    with pytest.raises(InvariantBroken) as stopped:
        check_quarter(replace(RUN, point_value=value), QUARTER, FUND)
    assert stopped.value.account == "point_value/booked_fen"


def test_another_fund_than_the_approved_one_is_found() -> None:
    with pytest.raises(InvariantBroken) as stopped:
        check_quarter(RUN, QUARTER, FUND - 1)
    assert stopped.value.account == "point_value/fund_fen"


def test_a_hospital_left_out_or_twice_is_named() -> None:
    with pytest.raises(InvariantBroken) as missing:
        check_quarter(replace(RUN, lines=RUN.lines[:2]), QUARTER, FUND)
    assert (missing.value.law, missing.value.account) == (SAME_HOSPITALS, "H3")
    with pytest.raises(InvariantBroken) as twice:
        check_quarter(replace(RUN, lines=(*RUN.lines, RUN.lines[0])), QUARTER, FUND)
    assert (twice.value.law, twice.value.account) == (SAME_HOSPITALS, "H1")


def test_the_identities_hold_without_the_claims_too() -> None:
    check_pool(RUN.lines, RUN.accounts)
    for line in RUN.lines:
        check_hospital(line)
    with pytest.raises(InvariantBroken) as second:
        check_hospital(replace(RUN.lines[0], gross_fen=RUN.lines[0].gross_fen + 1))
    assert (second.value.law, second.value.account) == (SECOND_IDENTITY, "H1")
    with pytest.raises(InvariantBroken) as transfer:
        check_hospital(replace(RUN.lines[0], transfer_fen=0))
    assert (transfer.value.law, transfer.value.account) == (TRANSFER_IDENTITY, "H1/transfer")


def test_a_pool_that_does_not_add_up_is_found_whatever_else_agrees() -> None:
    # Gross, rounding and their totals moved together: only the first identity can see it.
    line = RUN.lines[0]
    lines = (replace(line, gross_fen=line.gross_fen + 1, method_share_fen=line.method_share_fen + 1), *RUN.lines[1:])
    accounts = {**RUN.accounts, Account.GROSS: RUN.accounts[Account.GROSS] + 1}
    with pytest.raises(InvariantBroken) as phi:
        check_pool(lines, accounts)
    assert (phi.value.law, phi.value.account) == (ACCOUNT_TOTAL, "phi")
    pool = {**RUN.accounts, Account.POOL: RUN.accounts[Account.POOL] + 1}
    with pytest.raises(InvariantBroken) as first:
        check_pool(RUN.lines, pool)
    assert first.value.account == "pool"
    assert FIRST_IDENTITY == "pool + draws = gross + returns"


def test_a_draw_beyond_its_account_is_found() -> None:
    terms = replace(TERMS, shares=replace(TERMS.shares, phi_balance_fen=-1))
    with pytest.raises(InvariantBroken) as stopped:
        check_quarter(replace(RUN, terms=terms), QUARTER, FUND)
    assert (stopped.value.law, stopped.value.account) == (ACCOUNT_COVERS, "phi")


def case_rows() -> list[tuple[str, str, int, int]]:
    rows: list[tuple[str, str, int, int]] = []
    for line in RUN.lines:
        points = {f"{line.hospital}-{n}": line.points // line.cases for n in range(line.cases)}
        shares = apportion(line.gross_fen, points)
        rows += [(case, line.hospital, points[case], share) for case, share in shares.items()]
    return rows


def test_cases_add_up_to_their_hospital() -> None:
    check_cases(RUN.lines, case_rows())
    totals = [CaseTotals(line.hospital, line.cases, line.points, line.gross_fen) for line in RUN.lines]
    check_case_totals(RUN.lines, totals)


def test_a_dropped_case_names_its_hospital() -> None:
    rows = case_rows()
    with pytest.raises(InvariantBroken) as dropped:
        check_cases(RUN.lines, rows[1:])
    assert (dropped.value.law, dropped.value.account) == (SAME_CASES, "H1")
    assert dropped.value.unexplained_fen == rows[0][3]


def test_a_case_standing_twice_names_the_case() -> None:
    rows = case_rows()
    with pytest.raises(InvariantBroken) as twice:
        check_cases(RUN.lines, [*rows, rows[3]])
    assert twice.value.account == "H1/H1-3"


def test_one_fen_added_to_a_case_names_its_hospital() -> None:
    rows = case_rows()
    rows[-1] = (*rows[-1][:3], rows[-1][3] + 1)
    with pytest.raises(InvariantBroken) as stopped:
        check_cases(RUN.lines, rows)
    assert (stopped.value.law, stopped.value.account, stopped.value.unexplained_fen) == (CASE_SHARES, "H3", -1)


def test_totals_of_a_stranger_or_a_double_are_named() -> None:
    totals = [CaseTotals(line.hospital, line.cases, line.points, line.gross_fen) for line in RUN.lines]
    with pytest.raises(InvariantBroken) as stranger:
        check_case_totals(RUN.lines, [*totals, CaseTotals("H9", 1, 1, 1)])
    assert (stranger.value.law, stranger.value.account) == (SAME_HOSPITALS, "H9")
    with pytest.raises(InvariantBroken) as double:
        check_case_totals(RUN.lines, [*totals, totals[0]])
    assert double.value.account == "H1"
