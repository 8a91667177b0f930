"""The rules of payment modes that golden cases may name (支付方式的黄金用例): what pays a case, and what a month holds back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from fractions import Fraction

from fenzhi.cli.golden_files import Names
from fenzhi.cli.golden_values import DECIMALS, Result, in_yuan
from fenzhi.rules.payment_modes.beside_points import BelowStandard, DayBand
from fenzhi.rules.payment_modes.case_modes import ModeCase, ModeTerms, outcome_of
from fenzhi.rules.payment_modes.controlled_months import ControlTerms, Month, PaidCase, held_back
from fenzhi.rules.payment_modes.mode_of_case import ModeFacts, PaymentMode, mode_rules
from fenzhi.rules.payment_modes.rare_diseases import PayerLayer
from fenzhi.rules.payment_modes.total_control import ControlMethod, ControlRule

_COLUMNS = ("groups", "levels", "departments", "agreement_modes")


def payer_rows(policy: Names) -> list[PayerLayer]:
    """The payers of a rare disease: rows of `payer`, `rate`, `deductible`, `cap` (支付方)."""
    layers: list[PayerLayer] = []
    for row in policy.rows("layers"):
        cap = row.fen("cap") if row.has("cap") else None
        layers.append(PayerLayer(row.text("payer"), row.number("rate"), row.fen("deductible", "0"), cap))
        row.finish()
    return layers


def _terms(policy: Names) -> ModeTerms:
    rows = []
    for row in policy.rows("table"):
        rows.append({name: row.text(name, "") for name in (*_COLUMNS, "mode")})
        row.finish()
    bands = []
    for row in policy.rows("per_diem_rates") if policy.has("per_diem_rates") else ():
        bands.append(DayBand(row.integer("from_day"), row.fen("rate")))
        row.finish()
    return ModeTerms(
        mode_rules(rows),
        policy.fen_map("standards") if policy.has("standards") else {},
        BelowStandard(policy.text("below")) if policy.has("below") else None,
        tuple(bands),
        policy.number_map("points_a_day") if policy.has("points_a_day") else {},
        policy.fen("icu_day_rate") if policy.has("icu_day_rate") else None,
        policy.integer("icu_days_included") if policy.has("icu_days_included") else None,
        tuple(payer_rows(policy)) if policy.has("layers") else (),
        tuple(policy.texts("rare_diagnoses")) if policy.has("rare_diagnoses") else (),
    )


def _case(given: Names, policy: Names) -> Mapping[str, Result]:
    """How one case is paid: given `group`, `level`, `department`, `agreement`, `diagnosis`, `cost`, `booked`, `days`, `icu_days`, `own_paid`;
    policy as its parameters are named. The answer: mode, where the case goes, and what is paid beside the points."""
    cost, booked = given.fen("cost"), given.fen("booked")
    facts = ModeFacts(
        given.text("group", ""),
        given.text("level", ""),
        given.text("department") if given.has("department") else None,
        given.text("agreement", ""),
        principal_diagnosis=given.text("diagnosis", ""),
    )
    case = ModeCase(
        facts,
        cost,
        booked,
        cost - booked,
        given.integer("days", "0"),
        given.integer("icu_days") if given.has("icu_days") else None,
        given.fen("own_paid") if given.has("own_paid") else None,
    )
    found = outcome_of(case, _terms(policy), DECIMALS)
    said: dict[str, Result] = {"mode": found.mode.value}
    said["shares_pool"] = "true" if found.mode.shares_pool and not found.waits else "false"
    if found.unjudged is not None:
        said["unjudged"] = found.unjudged.value
    if found.points is not None:
        said["points"] = Fraction(found.points, 10**DECIMALS)
    if found.payment is not None:
        said["fund"], said["other"] = in_yuan(found.payment.fund_fen), in_yuan(found.payment.other_payers_fen)
        said["hospital"] = in_yuan(found.payment.hospital_fen)
    else:
        said["fund"] = in_yuan(0)
    if found.shared is not None:
        said["payers"] = {payer: in_yuan(fen) for payer, fen in found.shared.payers}
        said["patient"] = in_yuan(found.shared.patient_fen)
    return said


def _held_back(given: Names, policy: Names) -> Mapping[str, Result]:
    """What total control holds back of a month: given `cases` of `case`, `mode`, `cost`, `fund`; policy `growth`, `prior_mean`, `total_quota`,
    `mean_quota`."""
    rules, prior, total, mean = [], {}, {}, {}
    if policy.has("growth"):
        rules.append(ControlRule(ControlMethod.MEAN_COST_GROWTH, frozenset(), policy.number("growth")))
        prior = {"H": policy.fen("prior_mean")}
    if policy.has("total_quota"):
        rules.append(ControlRule(ControlMethod.TOTAL_AND_MEAN, frozenset(), Fraction(1)))
        total, mean = {"H": policy.fen("total_quota")}, {"H": policy.fen("mean_quota")}
    cases = []
    for row in given.rows("cases"):
        one = (row.text("case"), date.min, PaymentMode(row.text("mode")), row.fen("cost"), row.fen("fund"))
        cases.append(PaidCase(*one))
        row.finish()
    findings, held = held_back(Month("H", 0, ""), cases, ControlTerms(tuple(rules), prior, total, mean))
    return {
        "withheld": {one.method.value: in_yuan(one.withheld_fen) for one in findings},
        "by_case": {name: in_yuan(fen) for name, fen in held.items()},
        "paid": in_yuan(sum(one.fund_fen for one in cases) - sum(held.values())),
    }


MODE_RULES: Mapping[str, Callable[[Names, Names], Mapping[str, Result]]] = {
    "payment_modes.case": _case,
    "payment_modes.held_back": _held_back,
}
"""Added to the rules of money (并入资金规则)."""
