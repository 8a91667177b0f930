"""The rules of money that golden cases may name (资金规则的黄金用例): bands, the year, budgets, reviews, modes, dates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from fenzhi.cli.golden_files import Names
from fenzhi.cli.golden_mode_rules import MODE_RULES, payer_rows
from fenzhi.cli.golden_values import (
    DECIMALS,
    Result,
    in_yuan,
    line_amounts,
    national_values,
    points_of,
    quarter_terms,
)
from fenzhi.rules.clearing.annual_clearing import AnnualAccount, AnnualClaim, AnnualStep, AnnualTerms, clear_year
from fenzhi.rules.clearing.annual_conservation import check_year
from fenzhi.rules.clearing.bands import (
    Band,
    BandBase,
    BandMeasure,
    BandMode,
    BandTable,
    FundSource,
    band_result,
    pay_bonuses,
)
from fenzhi.rules.clearing.quarterly import QuarterClaim
from fenzhi.rules.deadlines.clearing_calendar import policy_clearing_due
from fenzhi.rules.fund.advance_payment import advance_payment
from fenzhi.rules.fund.budget import SetAside, growth_budget, itemised_budget, share_budget
from fenzhi.rules.payment_modes.beside_points import dip_with_icu_days
from fenzhi.rules.payment_modes.rare_diseases import share_among_payers
from fenzhi.rules.payment_modes.total_control import critical_share, mean_cost_growth
from fenzhi.rules.point_value.point_value import Basis, PointValue
from fenzhi.rules.point_value.point_value_methods import elastic_value
from fenzhi.rules.point_value.settlement_point_value import settlement_point_value
from fenzhi.rules.review.outcome import award_points
from fenzhi.rules.review.special_case_cap import special_case_cap
from fenzhi.rules.scoring.coefficient_bonus import BonusShape, bonus_coefficient, coefficient_bonus, tcm_bonus_score


def _clearing_bands(given: Names, policy: Names) -> Mapping[str, Result]:
    """Bands over one hospital: given `payable`, `booked`; policy `bands`, `measure`, `mode`, caps."""
    result = band_result(given.fen("payable"), given.fen("booked"), _bands(policy), given.number("coefficient", "1"))
    return {
        "surplus": in_yuan(result.surplus_fen),
        "kept": in_yuan(result.kept_fen),
        "withheld": in_yuan(result.withheld_fen),
        "overspend": in_yuan(result.overspend_fen),
        "fund_share": in_yuan(result.bonus_fen),
        "hospital_share": in_yuan(result.hospital_share_fen),
        "balance": in_yuan(result.surplus_fen - result.overspend_fen),
    }


def _clearing_bonuses(given: Names, policy: Names) -> Mapping[str, Result]:
    """Bonuses from their sources: given `claims` by hospital, `sources` in order."""
    sources = [FundSource(name, fen) for name, fen in given.fen_map("sources").items()]
    paid = pay_bonuses(given.fen_map("claims"), sources)
    return {
        "hospitals": {code: in_yuan(fen) for code, fen in paid.hospitals.items()},
        "draws": {name: in_yuan(fen) for name, fen in paid.draws.items()},
    }


def _clearing_year(given: Names, policy: Names) -> Mapping[str, Result]:
    """A pool's year: given `fund` and `hospitals`; policy as clearing.quarter, `order`, bands and sources."""
    claims: list[AnnualClaim] = []
    for code, hospital in given.groups("hospitals").items():
        ratio = hospital.number("fund_ratio", "1")
        claims.append(
            AnnualClaim(
                QuarterClaim(
                    code,
                    hospital.integer("cases", "1"),
                    points_of(hospital.number("points")),
                    ratio.denominator,
                    ratio.numerator,
                    deductions_fen=hospital.fen("deductions", "0"),
                    assessment_coefficient=hospital.number("assessment_coefficient", "1"),
                    payments_recorded_fen=hospital.fen("payments_recorded", "0"),
                    deposit_held_fen=hospital.fen("deposit_held", "0"),
                ),
                hospital.fen("booked_after_audit", "0"),
                hospital.fen("advance", "0"),
                hospital.number("deposit_release", "1"),
            )
        )
        hospital.finish()
    order = policy.texts("order", list(national_values().list("annual.order")))
    terms = AnnualTerms(
        quarter_terms(policy),
        tuple(AnnualStep(step) for step in order),
        _bands(policy) if policy.has("bands") else None,
        BandBase(policy.text("bands_act_on", national_values().text("bands.acts_on"))),
        (FundSource("adjustment", policy.fen("adjustment", "0")),),
    )
    fund = given.fen("fund")
    run = clear_year(fund, DECIMALS, claims, terms)
    balance = check_year(run, claims, fund)
    return {
        "hospitals": {
            line.hospital: {
                **line_amounts(line.line),
                "band_withheld": in_yuan(line.line.band_withheld_fen),
                "bonus": in_yuan(line.line.bonuses_fen),
                "deposit_released": in_yuan(line.deposit_released_fen),
                "deposit_forfeited": in_yuan(line.final.deposit_forfeited_fen),
                "final": in_yuan(line.final.final_fen),
            }
            for line in run.lines
        },
        "accounts": {account.value: in_yuan(fen) for account, fen in run.year.accounts.items()}
        | {account.value: in_yuan(run.accounts[account]) for account in AnnualAccount},
        "unexplained": in_yuan(balance.unexplained_fen),
    }


def _point_value_elastic(given: Names, policy: Names) -> Mapping[str, Result]:
    """An elastic point value: given `total`, `baseline_points`, `fixed`, `increment_points`; policy `cap`."""
    baseline, increment = points_of(given.number("baseline_points")), points_of(given.number("increment_points"))
    unit = Fraction(100, 10**DECIMALS)
    cap = policy.number("cap") * unit if policy.has("cap") else None
    value = elastic_value(given.fen("total"), baseline, given.number("fixed") * unit, increment, cap)
    return {
        "baseline_total": value.baseline_fen / 100,
        "increment_pool": value.increment_pool_fen / 100,
        "floating": value.increment_fen_per_unit / unit,
        "capped": "true" if value.capped else "false",
    }


def _point_value_basis(given: Names, policy: Names) -> Mapping[str, Result]:
    """Both bases of one pool: given `fund`, `fund_ratio`, `total_points`."""
    ratio = given.number("fund_ratio")
    fund, points = given.fen("fund"), points_of(given.number("total_points"))
    values = {
        basis: settlement_point_value(fund, ratio.numerator, ratio.denominator, points, DECIMALS, basis)
        for basis in Basis
    }
    return {basis.value: value.exact() for basis, value in values.items()}


def _fund_budget(given: Names, policy: Names) -> Mapping[str, Result]:
    """A budget item by item: given `inpatient`, `set_asides`; or `last_dip` with `last_inpatient`, or with `growth`."""
    if given.has("set_asides"):
        aside = {SetAside(name): fen for name, fen in given.fen_map("set_asides").items()}
        return {"dip": in_yuan(itemised_budget(given.fen("inpatient"), aside).dip_fen)}
    last = given.fen("last_dip")
    if given.has("growth"):
        return {"dip": in_yuan(growth_budget(last, given.number("growth"), policy.number("growth_target")))}
    return {"dip": in_yuan(share_budget(last, given.fen("last_inpatient"), given.fen("inpatient")))}


def _fund_advance(given: Names, policy: Names) -> Mapping[str, Result]:
    """The advance: given `annual_fund`; policy `months`, `factor`."""
    months = policy.number("months", national_values().text("advance.months"))
    return {"advance": in_yuan(advance_payment(given.fen("annual_fund"), months, policy.number("factor", "1")))}


def _review_cap(given: Names, policy: Names) -> Mapping[str, Result]:
    """The cap of an area: given `discharges` by hospital; policy `cap_ratio`. The sum of hospital floors stands beside it."""
    ratio = policy.number("cap_ratio", national_values().text("special_case.cap_ratio"))
    discharges = [int(one) for one in given.number_map("discharges").values()]
    return {
        "cap": Fraction(special_case_cap(sum(discharges), ratio)),
        "sum_of_hospital_floors": Fraction(sum(special_case_cap(one, ratio) for one in discharges)),
    }


def _review_award(given: Names, policy: Names) -> Mapping[str, Result]:
    """An award in points: given `award`, `budget_point_value`; policy `basis`."""
    basis = Basis(policy.text("basis", Basis.TOTAL_COST.value))
    value = PointValue.stated(given.number("budget_point_value"), DECIMALS, basis)
    return {"points": Fraction(award_points(given.fen("award"), value), 10**DECIMALS)}


def _payment_icu(given: Names, policy: Names) -> Mapping[str, Result]:
    """Points and ICU days: given `score`, `point_value`, `icu_days`; policy `days_included`, `day_rate`."""
    paid = dip_with_icu_days(
        points_of(given.number("score")),
        PointValue.stated(given.number("point_value"), DECIMALS),
        given.integer("icu_days"),
        policy.integer("days_included"),
        policy.fen("day_rate"),
    )
    return {"pay": in_yuan(paid)}


def _payment_critical(given: Names, policy: Names) -> Mapping[str, Result]:
    """Critical cases of a month: given `cases`, `critical`; policy `cap`."""
    found = critical_share(given.integer("critical"), given.integer("cases"), policy.number("cap"))
    return {
        "share": found.share,
        "over_cap": "true" if found.is_over else "false",
        "admitted": Fraction(found.admitted),
        "over": Fraction(found.over),
    }


def _payment_growth(given: Names, policy: Names) -> Mapping[str, Result]:
    """Mean cost of a month: given `cost`, `cases`, `prior_mean`; policy `cap`."""
    found = mean_cost_growth(given.fen("cost"), given.integer("cases"), given.fen("prior_mean"), policy.number("cap"))
    return {"withheld_per_case": found.excess_per_case_fen / 100, "withheld": in_yuan(found.withheld_fen)}


def _payment_rare(given: Names, policy: Names) -> Mapping[str, Result]:
    """Several payers: given `cost`, `covered`; policy `layers` of `payer`, `rate`, `deductible`, `cap`."""
    shared = share_among_payers(given.fen("cost"), given.fen("covered"), payer_rows(policy))
    return {"payers": {name: in_yuan(fen) for name, fen in shared.payers}, "patient": in_yuan(shared.patient_fen)}


def _deadline_clearing(given: Names, policy: Names) -> Mapping[str, Result]:
    """The calendar of annual clearing, looked up: given `year`."""
    due = policy_clearing_due(national_values(), given.integer("year"))
    return {"due": due.due.isoformat(), "pilot_due": due.pilot_due.isoformat(), "share": due.share}


def _scoring_bonus(given: Names, policy: Names) -> Mapping[str, Result]:
    """Bonuses on a coefficient: given `base`, `bonuses` of `above`, `step`, `cap`, `entry`; policy `shape`."""
    shape = BonusShape(policy.text("shape"))
    found: dict[str, Fraction] = {}
    for name, one in given.groups("bonuses").items():
        found[name] = coefficient_bonus(
            one.number("above"), one.number("step"), one.number("cap"), shape, entry=one.number("entry", "0")
        )
        one.finish()
    return {"bonuses": dict(found), "coefficient": bonus_coefficient(given.number("base"), found.values())}


def _scoring_tcm(given: Names, policy: Names) -> Mapping[str, Result]:
    """A TCM bonus: given `score`, `tcm_cost`, `total_cost`; policy `threshold`, `bonus`."""
    score = tcm_bonus_score(
        given.number("score"),
        given.fen("tcm_cost"),
        given.fen("total_cost"),
        policy.number("threshold"),
        policy.number("bonus"),
    )
    return {"case_score": score}


MONEY_RULES: Mapping[str, Callable[[Names, Names], Mapping[str, Result]]] = {
    "scoring.coefficient_bonus": _scoring_bonus,
    "scoring.tcm_bonus": _scoring_tcm,
    "point_value.elastic": _point_value_elastic,
    "point_value.basis": _point_value_basis,
    "clearing.bands": _clearing_bands,
    "clearing.bonuses": _clearing_bonuses,
    "clearing.year": _clearing_year,
    "fund.budget": _fund_budget,
    "fund.advance": _fund_advance,
    "review.cap": _review_cap,
    "review.award": _review_award,
    "payment_modes.icu_days": _payment_icu,
    "payment_modes.critical_share": _payment_critical,
    "payment_modes.mean_cost_growth": _payment_growth,
    "payment_modes.rare_disease": _payment_rare,
    "deadlines.annual_clearing": _deadline_clearing,
    **MODE_RULES,
}
"""Added to the rules of `golden_rules` (并入规则表)."""


def _bands(policy: Names) -> BandTable:
    bands: list[Band] = []
    for row in policy.rows("bands"):
        upto = row.number("upto") if row.has("upto") else None
        bands.append(Band(upto, row.flag("inclusive", "true"), row.number("share")))
        row.finish()
    return BandTable(
        tuple(bands),
        BandMeasure(policy.text("measure", BandMeasure.BOOKED_OVER_PAYABLE.value)),
        BandMode(policy.text("band_mode", BandMode.MARGINAL.value)),
        policy.number("surplus_cap") if policy.has("surplus_cap") else None,
        policy.number("overspend_cap") if policy.has("overspend_cap") else None,
    )
