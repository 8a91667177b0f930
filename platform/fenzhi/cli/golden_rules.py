"""The rules that golden cases may name (黄金用例可用的规则), each from text values to exact values.

An adapter reads what a case gives, calls the rule as the platform calls it, and returns every number by name. It
computes nothing of its own. Numbers of policy that a case does not state are the national values in force.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from fenzhi.cli.golden_catalog_rules import CATALOG_RULES
from fenzhi.cli.golden_files import Names
from fenzhi.cli.golden_money_rules import MONEY_RULES
from fenzhi.cli.golden_values import (
    DECIMALS,
    Result,
    booked_and_cost,
    deposit_rate,
    in_yuan,
    line_amounts,
    named_value,
    national_values,
    points_of,
    quarter_claims,
    quarter_terms,
    share_order,
    whole_numbers,
)
from fenzhi.rules.catalog.score_derivation import WeightingBasis, average_cost_score, weighted_mean
from fenzhi.rules.clearing.annual import annual_final
from fenzhi.rules.clearing.apportionment import apportion, apportion_nested
from fenzhi.rules.clearing.conservation import check_month, check_quarter
from fenzhi.rules.clearing.deposit import deposit_target
from fenzhi.rules.clearing.presettlement import MonthClaim, MonthMethod, MonthTerms, presettle_month
from fenzhi.rules.clearing.quarterly import clear_quarter
from fenzhi.rules.clearing.shares import pool_shares
from fenzhi.rules.point_value.budget_point_value import HistoryYear, budget_point_value
from fenzhi.rules.point_value.fund_pool import fund_ytd
from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.rules.point_value.settlement_point_value import settlement_point_value
from fenzhi.rules.scorecard.indicators import RatioTerm, cmi, mean_of_ratios
from fenzhi.rules.scoring.cost_outliers import OutlierLines, OutlierMethod, outlier_factor
from fenzhi.rules.scoring.hospital_coefficient import level_coefficient

GoldenRule = Callable[[Names, Names], Mapping[str, Result]]


def _catalog_weighted_mean(given: Names, policy: Names) -> Mapping[str, Result]:
    """Weighted mean cost over the years, oldest first: given `mean_cost` (and `cases`); policy `weights`, `basis`."""
    means = given.fen_map("mean_cost")
    cases = given.number_map("cases") if given.has("cases") else dict.fromkeys(means, Fraction(1))
    weights = whole_numbers(policy.numbers("weights", list(national_values().list("catalog.year_weights"))))
    basis = WeightingBasis(policy.text("basis", WeightingBasis.YEARLY_MEANS.value))
    by_year = {place: (int(mean * cases[year]), int(cases[year])) for place, (year, mean) in enumerate(means.items())}
    return {"mean": weighted_mean(by_year, dict(enumerate(weights)), basis) / 100}


def _catalog_score(given: Names, policy: Names) -> Mapping[str, Result]:
    """Score of a group: given `mean_cost` and `reference` (mean of all, of the base group, or the quota); policy `scale`."""
    scale = policy.integer("scale", national_values().text("catalog.score_scale"))
    places = policy.integer("score_places")
    mean, reference = given.number("mean_cost"), given.number("reference")
    return {"score": Fraction(average_cost_score(mean, reference, scale, places))}


def _scoring_cost_outliers(given: Names, policy: Names) -> Mapping[str, Result]:
    """Points of a case against its reference: given `score`, `cost`, `reference_mean`, `hospital_coefficient`."""
    national = national_values()
    extreme = policy.text("extreme_ratio", national.text("scoring.extreme_ratio"))
    lines = OutlierLines(
        Decimal(policy.text("low_ratio", national.text("scoring.low_ratio"))),
        Decimal(policy.text("high_ratio", national.text("scoring.high_ratio"))),
        None if extreme == "none" else Decimal(extreme),
        policy.flag("low_inclusive", national.text("scoring.low_inclusive")),
        policy.flag("high_inclusive", national.text("scoring.high_inclusive")),
        policy.flag("extreme_inclusive", national.text("scoring.extreme_inclusive")),
        OutlierMethod(policy.text("method", national.text("scoring.outlier_method"))),
    )
    k = given.number("hospital_coefficient", "1")
    factor = outlier_factor(given.fen("cost"), given.fen("reference_mean"), 1, lines, k)
    result: dict[str, Result] = {
        "band": factor.band.value,
        "multiplier": factor.multiplier,
        "case_score": given.number("score") * factor.multiplier,
    }
    if factor.ratio is not None:
        result["ratio"] = factor.ratio
    if lines.method is OutlierMethod.NATIONAL_2020 and k:
        result["coefficient"] = factor.multiplier / k
    return result


def _scoring_hospital_coefficient(given: Names, policy: Names) -> Mapping[str, Result]:
    """Coefficient of a level: given `level_mean`, `area_mean`."""
    return {"coefficient": level_coefficient(given.number("level_mean"), given.number("area_mean"))}


def _point_value_payment(given: Names, policy: Names) -> Mapping[str, Result]:
    """What a score is worth: given `score`, `point_value`, and `cost` for the balance."""
    value = PointValue.stated(given.number("point_value"), DECIMALS)
    standard = value.payment_standard(points_of(given.number("score")))
    result: dict[str, Result] = {"standard": in_yuan(standard)}
    if given.has("cost"):
        result["balance"] = in_yuan(standard - given.fen("cost"))
    return result


def _point_value_budget(given: Names, policy: Names) -> Mapping[str, Result]:
    """Budget point value: given `total_cost` and `total_points` by year, oldest first; policy `weights`."""
    cost, points = given.fen_map("total_cost"), given.number_map("total_points")
    years = [HistoryYear(place, fen, points_of(points[year])) for place, (year, fen) in enumerate(cost.items())]
    weights = policy.numbers("weights", list(national_values().list("point_value.budget_weights")))
    budget = budget_point_value(years, weights, DECIMALS)
    return {
        "weighted_cost": budget.weighted_cost_fen() / 100,
        "weighted_points": budget.weighted_points(),
        "point_value": budget.point_value.exact(),
    }


def _point_value_settlement(given: Names, policy: Names) -> Mapping[str, Result]:
    """Settlement point value: given `fund`, `total_points`, and `fund_ratio` or `booked` and `cost`."""
    booked, cost = booked_and_cost(given)
    value = settlement_point_value(given.fen("fund"), booked, cost, points_of(given.number("total_points")), DECIMALS)
    covered = Fraction(value.fund_fen, 100) / value.fund_ratio()
    return {"covered_cost": covered, "point_value": value.exact(), "fund_ratio": value.fund_ratio()}


def _point_value_fund_ytd(given: Names, policy: Names) -> Mapping[str, Result]:
    """Fund of the year to date: given `annual_fund`, `curve` of four, `quarter`, `off_pool`."""
    fund = fund_ytd(
        given.fen("annual_fund"), given.numbers("curve"), given.integer("quarter"), given.fen("off_pool", "0")
    )
    return {"fund": in_yuan(fund)}


def _clearing_apportion(given: Names, policy: Names) -> Mapping[str, Result]:
    """A total split by largest remainder: given `total`, and `weights` by key."""
    shares = apportion(given.fen("total"), given.number_map("weights"))
    return {"shares": {key: in_yuan(fen) for key, fen in shares.items()}}


def _clearing_nested(given: Names, policy: Names) -> Mapping[str, Result]:
    """Pool to hospital to case: given `total`, and `cases` by hospital, points by case id."""
    points: dict[str, dict[str, int]] = {}
    for code, cases in given.groups("cases").items():
        points[code] = {case: points_of(cases.number(case)) for case in cases.names()}
        cases.finish()
    nested = apportion_nested(given.fen("total"), points)
    return {
        "hospitals": {key: in_yuan(fen) for key, fen in nested.hospitals.items()},
        "cases": {code: {key: in_yuan(fen) for key, fen in cases.items()} for code, cases in nested.cases.items()},
    }


def _clearing_shares(given: Names, policy: Names) -> Mapping[str, Result]:
    """Gross of each hospital: given `fund`, `points`, `fund_ratios` by hospital, `fund_ratio` of the pool."""
    points = {code: points_of(value) for code, value in given.number_map("points").items()}
    ratios = given.number_map("fund_ratios") if given.has("fund_ratios") else dict.fromkeys(points, Fraction(1))
    pool_ratio = given.number("fund_ratio", "1")
    value = settlement_point_value(
        given.fen("fund"), pool_ratio.numerator, pool_ratio.denominator, sum(points.values()), DECIMALS
    )
    shares = pool_shares(value, points, ratios, share_order(policy))
    return {
        "gross": {code: in_yuan(share.gross_fen) for code, share in shares.shares.items()},
        "remainder": {code: in_yuan(share.gross_fen - share.printed_fen) for code, share in shares.shares.items()},
        "fund_ratio": {code: share.fund_ratio for code, share in shares.shares.items()},
        "phi": in_yuan(shares.phi_fen),
        "phi_cap_excess": in_yuan(shares.phi_cap_excess_fen),
        "rounding": in_yuan(shares.rounding_fen),
        "point_value": value.exact(),
    }


def _clearing_month(given: Names, policy: Names) -> Mapping[str, Result]:
    """One hospital's month: given `points`, `point_value`, `fund_ratio`, `other_payers`, `deductions`, `cash_cap`, …"""
    claim = MonthClaim(
        "H",
        given.integer("cases", "1"),
        points_of(given.number("points")),
        given.fen("cost", "0"),
        given.fen("booked", "0"),
        given.fen("other_payers", "0"),
        given.fen("deductions", "0"),
        given.fen("cash_cap") if given.has("cash_cap") else None,
        given.fen("deposit_held", "0"),
        given.fen("earlier_cleared", "0"),
    )
    terms = MonthTerms(
        PointValue.stated(given.number("point_value"), DECIMALS),
        given.number("fund_ratio", "1"),
        policy.number("prepay_ratio"),
        MonthMethod(policy.text("method", national_values().text("presettlement.method"))),
        deposit_rate(policy, "0"),
        policy.integer("printed_decimals", "4"),
    )
    run = presettle_month([claim], terms)
    check_month(run, [claim])
    return line_amounts(run.lines[0])


def _clearing_deposit(given: Names, policy: Names) -> Mapping[str, Result]:
    """The deposit of one amount: given `cleared` to date and `held`; policy `deposit_rate`, at most the national limit."""
    cleared, held = given.fen("cleared"), given.fen("held", "0")
    target = deposit_target(deposit_rate(policy, None), cleared)
    return {"target": in_yuan(target), "posting": in_yuan(target - held), "payable": in_yuan(cleared - target)}


def _clearing_quarter(given: Names, policy: Names) -> Mapping[str, Result]:
    """A pool's quarter: given `fund` and `hospitals`; all terms year to date in cumulative mode."""
    claims = quarter_claims(given)
    fund = given.fen("fund")
    run = clear_quarter(fund, DECIMALS, claims, quarter_terms(policy))
    balance = check_quarter(run, claims, fund)
    return {
        "hospitals": {line.hospital: line_amounts(line) for line in run.lines},
        "accounts": {account.value: in_yuan(fen) for account, fen in run.accounts.items()},
        "unexplained": in_yuan(balance.unexplained_fen),
    }


def _clearing_quarters(given: Names, policy: Names) -> Mapping[str, Result]:
    """Quarters of one year in order: given `quarters`, each as for clearing.quarter; the deposit is carried along."""
    terms = quarter_terms(policy)
    held: dict[str, int] = {}
    results: list[Result] = []
    for quarter in given.rows("quarters"):
        claims = [
            replace(claim, deposit_held_fen=held.get(claim.hospital, claim.deposit_held_fen))
            for claim in quarter_claims(quarter)
        ]
        fund = quarter.fen("fund")
        quarter.finish()
        run = clear_quarter(fund, DECIMALS, claims, terms)
        check_quarter(run, claims, fund)
        held = {line.hospital: line.deposit_held_before_fen + line.deposit_posting_fen for line in run.lines}
        results.append({line.hospital: line_amounts(line) for line in run.lines})
    return {"quarters": results}


def _clearing_final(given: Names, policy: Names) -> Mapping[str, Result]:
    """The last transfer of a year: given `cleared`, `payments_recorded`, `offsets`, `advance`, `deposit_forfeited`."""
    final = annual_final(
        given.fen("cleared"),
        payments_recorded_fen=given.fen("payments_recorded", "0"),
        offsets_fen=given.fen("offsets", "0"),
        advance_fen=given.fen("advance", "0"),
        deposit_held_fen=given.fen("deposit_held", "0"),
        deposit_forfeited_fen=given.fen("deposit_forfeited", "0"),
    )
    return {"final": in_yuan(final.final_fen)}


def _scorecard_cmi(given: Names, policy: Names) -> Mapping[str, Result]:
    """Case-mix index: given `groups` of `score` and `cases`; policy `scale` (1 keeps the index in scores)."""
    total, cases = Fraction(0), 0
    for group in given.rows("groups"):
        n = group.integer("cases")
        total, cases = total + group.number("score") * n, cases + n
        group.finish()
    return named_value("cmi", cmi(total, cases, policy.integer("scale", "1")).value)


def _scorecard_indexes(given: Names, policy: Names) -> Mapping[str, Result]:
    """Time and cost index: given `cases` of `los`, `ref_los` (whole days) and `cost`, `ref_cost`."""
    time: list[RatioTerm] = []
    cost: list[RatioTerm] = []
    for case in given.rows("cases"):
        time.append(RatioTerm(case.integer("los"), 1, case.integer("ref_los"), 1))
        cost.append(RatioTerm(case.fen("cost"), 1, case.fen("ref_cost"), 1))
        case.finish()
    return {
        **named_value("time_index", mean_of_ratios("time_index", time).value),
        **named_value("cost_index", mean_of_ratios("cost_index", cost).value),
    }


RULES: Mapping[str, GoldenRule] = {
    "catalog.weighted_mean": _catalog_weighted_mean,
    "catalog.score": _catalog_score,
    "scoring.cost_outliers": _scoring_cost_outliers,
    "scoring.hospital_coefficient": _scoring_hospital_coefficient,
    "point_value.payment": _point_value_payment,
    "point_value.budget": _point_value_budget,
    "point_value.settlement": _point_value_settlement,
    "point_value.fund_ytd": _point_value_fund_ytd,
    "clearing.apportion": _clearing_apportion,
    "clearing.nested": _clearing_nested,
    "clearing.shares": _clearing_shares,
    "clearing.month": _clearing_month,
    "clearing.deposit": _clearing_deposit,
    "clearing.quarter": _clearing_quarter,
    "clearing.quarters": _clearing_quarters,
    "clearing.final": _clearing_final,
    **MONEY_RULES,
    **CATALOG_RULES,
    "scorecard.cmi": _scorecard_cmi,
    "scorecard.indexes": _scorecard_indexes,
}
