"""Payment modes in a run (支付方式入算): each case by its one mode, as the policy of its day of discharge says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fenzhi.rules.fund.budget import PurseClaim, refuse_paid_twice
from fenzhi.rules.payment_modes.beside_points import CasePayment
from fenzhi.rules.payment_modes.case_modes import (
    PURSES,
    RECORDED,
    ModeCase,
    ModeOutcome,
    ModeTerms,
    Purse,
    Unjudged,
    is_plain,
    outcome_of,
    purses,
)
from fenzhi.rules.payment_modes.controlled_months import (
    CRITICAL,
    ControlFinding,
    ControlTerms,
    Month,
    PaidCase,
    check_beside,
    held_back,
    over_the_share,
)
from fenzhi.rules.payment_modes.mode_of_case import ModeFacts, PaymentMode, asks_department, mode_of
from fenzhi.rules.periods import SettlementMonth
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.services.clearing.grading import GradingBasis, days_in_icu, place_codes, place_of
from fenzhi.services.clearing.special_cases import SpecialCases
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.services.scoring.basis import hospital_terms
from fenzhi.store.repositories import policy as policy_store
from fenzhi.store.session import UnitOfWork

ONE_MODE = "each case is paid by one mode"
OVER_THE_SHARE = "dip:over_the_share"
"""How a critical case beyond its share is paid: by the points of its group (超出占比、退回病种分值)."""
_KEYS = ("payment_mode.", "rare_disease.")
_CONTROLS = "total_control."
_UNGROUPED = "pending:ungrouped"


@dataclass(frozen=True)
class ModeBasis:
    """What the modes of a run's cases are chosen by, frozen (支付方式依据)."""

    terms: tuple[ModeTerms, ...] = ()
    from_day: tuple[date, ...] = ()
    """The day from which each of `terms` counts, rising."""
    agreement_of: Mapping[tuple[int, date], str] = field(default_factory=dict)
    """(hospital, discharge date) → mode of the agreement."""
    set_asides: Mapping[str, int] = field(default_factory=dict)
    """What the budget in force sets aside, by name, in fen."""
    controls: Mapping[int, ControlTerms] = field(default_factory=dict)
    """The checks of total control by settlement month, yyyymm; months without any are absent."""
    codes: Mapping[int, str] = field(default_factory=dict)
    """Institution code of each hospital, by id."""

    @property
    def is_plain(self) -> bool:
        """Whether every case is paid by its points (是否全部按病种分值)."""
        return all(not one.rare_layers and is_plain(one.rules, self.agreement_of.values()) for one in self.terms)

    def on(self, day: date) -> ModeTerms:
        """The terms of a day of discharge (当日口径)."""
        found = [terms for begins, terms in zip(self.from_day, self.terms, strict=True) if begins <= day]
        return found[-1] if found else self.terms[0]

    def described(self) -> dict[str, Any]:
        """For the manifest: where no case is asked, nothing (清单内容)."""
        if self.is_plain:
            return {}
        agreed = sorted([hospital, day.isoformat(), mode] for (hospital, day), mode in self.agreement_of.items())
        return {
            "terms": [[day.isoformat(), repr(terms)] for day, terms in zip(self.from_day, self.terms, strict=True)],
            "agreements": [one for one in agreed if one[2] != PaymentMode.DIP.value],
            "set_asides": dict(sorted(self.set_asides.items())),
        } | (
            {"controls": [[month, repr(self.controls[month])] for month in sorted(self.controls)]}
            if self.controls
            else {}
        )


async def load_modes(
    uow: UnitOfWork,
    insurance: str,
    basis: GradingBasis,
    set_asides: Mapping[str, int],
    months: Sequence[SettlementMonth] = (),
    codes: Mapping[int, str] | None = None,
) -> ModeBasis:
    """Read the modes of every day of discharge (装载支付方式): the policy is resolved anew only where it changes; the checks of total control
    are those of the last day of each settlement month.

    Raises: as `ModeTerms.from_policy` and `ControlTerms.from_policy`.
    """
    days = sorted({day for _, day in basis.factor_of})
    if not days:
        return ModeBasis()
    changes = {day for key in _KEYS for day in await policy_store.days_of_change(uow, key, days[-1])}
    begins = sorted({days[0], *(day for day in changes if days[0] < day <= days[-1])})
    terms = tuple([ModeTerms.from_policy(await resolved_policy(uow, day, insurance=insurance)) for day in begins])
    agreements = (await hospital_terms(uow, uow.scope.area, insurance)).agreements
    agreement_of: dict[tuple[int, date], str] = {}
    for hospital, day in basis.factor_of:
        for row in agreements.get(hospital, ()):
            if row.valid_from <= day <= row.valid_to:
                agreement_of[hospital, day] = row.payment_mode
    controls = await _controls(uow, insurance, months)
    return ModeBasis(terms, tuple(begins), agreement_of, set_asides, controls, codes or {})


async def _controls(uow: UnitOfWork, insurance: str, months: Sequence[SettlementMonth]) -> dict[int, ControlTerms]:
    if not months or not await policy_store.days_of_change(uow, _CONTROLS, months[-1].last_day):
        return {}
    found = {}
    for month in months:
        terms = ControlTerms.from_policy(await resolved_policy(uow, month.last_day, insurance=insurance))
        if terms.rules:
            found[month.year * 100 + month.month] = terms
    return found


@dataclass(frozen=True)
class BesideSums:
    """What a run pays beside the points, in sums (分值以外支付合计). Units: fen, by hospital id."""

    by_hospital: Mapping[int, int] = field(default_factory=dict)
    from_pool_fen: int = 0
    """What of it leaves the pool before the point value."""
    withheld: Mapping[int, int] = field(default_factory=dict)
    """What total control holds back of it."""


NOTHING_BESIDE = BesideSums()


@dataclass(frozen=True)
class BesidePayments:
    """What a run pays beside the points (分值以外支付). Units: fen, by hospital id."""

    cases: Mapping[str, tuple[int, PaymentMode, CasePayment]] = field(default_factory=dict)
    """Case id → hospital, mode and payment."""
    purses: tuple[Purse, ...] = ()
    held: Mapping[str, int] = field(default_factory=dict)
    """Case id → what total control holds back of its payment."""
    findings: tuple[ControlFinding, ...] = ()
    """What each check of total control said (总额控制结果)."""
    unjudged: Mapping[str, tuple[int, PaymentMode, Unjudged]] = field(default_factory=dict)
    """Case id → hospital, mode and what its list does not say."""
    payers: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """Hospital → what each payer of its rare diseases pays, the patient among them (罕见病各方支付)."""

    @property
    def from_pool_fen(self) -> int:
        """What leaves the pool before the point value (先于点值扣除额)."""
        return sum(one.from_pool_fen for one in self.purses)

    def of(self, hospital: int) -> list[dict[str, Any]]:
        """What one hospital is paid, by mode, in order (机构各支付方式合计)."""
        found: dict[str, dict[str, Any]] = {}
        for owner, mode, payment in self.cases.values():
            if owner == hospital:
                held = found.setdefault(mode.value, _nothing_of(mode))
                held["cases"] += 1
                held["cost_fen"] += payment.cost_fen
                held["fund_fen"] += payment.fund_fen
                held["other_fen"] += payment.other_payers_fen
                held["hospital_fen"] += payment.hospital_fen
        for case, (owner, mode, _) in self.cases.items():
            if owner == hospital and (back := self.held.get(case, 0)):
                found[mode.value]["withheld_fen"] = found[mode.value].get("withheld_fen", 0) + back
        for owner, mode, _ in self.unjudged.values():
            if owner == hospital:
                held = found.setdefault(mode.value, _nothing_of(mode))
                held["unjudged"] = held.get("unjudged", 0) + 1
        return [found[name] for name in sorted(found)]

    def sums(self) -> BesideSums:
        """The sums that money is made of (合计)."""
        withheld: dict[int, int] = {}
        for case, fen in self.held.items():
            withheld[self.cases[case][0]] = withheld.get(self.cases[case][0], 0) + fen
        return BesideSums(
            self.by_hospital(), self.from_pool_fen, {hospital: fen for hospital, fen in withheld.items() if fen}
        )

    def by_hospital(self) -> dict[int, int]:
        """What the fund pays each hospital (各机构支付额)."""
        found: dict[int, int] = {}
        for hospital, _, payment in self.cases.values():
            found[hospital] = found.get(hospital, 0) + payment.fund_fen
        return found


def _nothing_of(mode: PaymentMode) -> dict[str, Any]:
    return {"mode": mode.value, "cases": 0, "cost_fen": 0, "fund_fen": 0, "other_fen": 0, "hospital_fen": 0}


_READ = (
    "case_id",
    "hospital_id",
    "discharge_date",
    "settlement_month",
    "total_fen",
    "basic_fund_fen",
    "patient_fen",
    "los_days",
)
_TOLD = ("principal_diagnosis", "discharge_department", "own_paid_fen", "icu_days")


def _with_days(cases: pa.Table, basis: GradingBasis) -> pa.Table:
    """The cases with days of intensive care, where they carry its time."""
    if "icu_minutes" not in cases.column_names or "icu_days" in cases.column_names:
        return cases
    return cases.append_column("icu_days", days_in_icu(cases["icu_minutes"], basis.icu_counting))


def _rows(cases: pa.Table, places: Sequence[int]) -> list[dict[str, Any]]:
    names = [*_READ, *(name for name in _TOLD if name in cases.column_names)]
    found: list[dict[str, Any]] = cases.select(names).take(pa.array(list(places), pa.int64())).to_pylist()
    return found


def with_modes(
    graded: pa.Table, cases: pa.Table, basis: GradingBasis, modes: ModeBasis, special: SpecialCases
) -> tuple[pa.Table, BesidePayments]:
    """Graded cases with their modes in place (支付方式改变入组计分结果), in the order of the rows given, and what is paid beside.

    A reviewed case is left to its review. Only cases whose group, level, department, diagnosis and agreement lead to another mode than the
    points are looked at one by one, by the rule. What a list does not say is never taken for zero: the case waits on a list, or is paid
    by its points alone, with the reason. Raises: NoMode, ModeTermsMissing, PatientAboveStandard, PaidTwice, ControlTermsMissing,
    InvariantBroken.
    """
    if not modes.terms or modes.is_plain:
        return graded.append_column("beside_fen", pa.nulls(graded.num_rows, pa.int64())), BesidePayments()
    cases = _with_days(cases, basis)
    asked = _asked(graded, cases, basis, modes)
    disposition, points = graded["disposition"].to_pylist(), graded["points"].to_pylist()
    groups = graded["group_code"].take(pa.array(asked, pa.int64())).to_pylist()
    rows = {
        place: (case, group)
        for place, case, group in zip(asked, _rows(cases, asked), groups, strict=True)
        if case["case_id"] not in special.hospital_of
    }
    outcomes = {place: _by_the_rule(case, group, basis, modes) for place, (case, group) in rows.items()}
    shared, over = _shares(cases, basis, modes, rows, outcomes)
    said: list[str | None] = [None] * graded.num_rows
    beside: dict[str, tuple[int, PaymentMode, CasePayment]] = {}
    unjudged: dict[str, tuple[int, PaymentMode, Unjudged]] = {}
    payers: dict[int, dict[str, int]] = {}
    claims = [PurseClaim(case, "special_case", amount_fen=fen) for case, fen in special.off_pool.items()]
    for place, (case, _group) in rows.items():
        outcome, name = outcomes[place], case["case_id"]
        is_by_points = disposition[place] == "cleared"
        if name in over:
            said[place] = OVER_THE_SHARE
            continue
        if outcome.mode.shares_pool and outcome.payment is not None and not is_by_points:
            # A case that waits for its group waits for what comes beside its points.
            continue
        if outcome.mode is not PaymentMode.DIP:
            said[place] = outcome.mode.value
        if outcome.unjudged is not None and (outcome.waits or is_by_points):
            unjudged[name] = (case["hospital_id"], outcome.mode, outcome.unjudged)
            said[place] = f"{outcome.mode.value}:{outcome.unjudged.value}"
            if outcome.waits:
                disposition[place], points[place] = f"pending:{outcome.unjudged.value}", 0
        if outcome.payment is not None:
            beside[name] = (case["hospital_id"], outcome.mode, outcome.payment)
            part = "" if outcome.leaves_pool else PURSES[outcome.mode].value
            claims.append(PurseClaim(name, PURSES[outcome.mode].value, part, outcome.payment.fund_fen))
            if outcome.leaves_pool:
                disposition[place], points[place] = f"beside:{outcome.mode.value}", 0
            if outcome.shared is not None:
                held = payers.setdefault(case["hospital_id"], {})
                for payer, fen in (*outcome.shared.payers, ("patient", outcome.shared.patient_fen)):
                    held[payer] = held.get(payer, 0) + fen
        elif outcome.mode in RECORDED:
            disposition[place], points[place] = f"recorded:{outcome.mode.value}", 0
        elif outcome.points is not None:
            disposition[place], points[place] = "cleared", outcome.points
    refuse_paid_twice(claims)
    paid: dict[PaymentMode, int] = {}
    for _, mode, payment in beside.values():
        paid[mode] = paid.get(mode, 0) + payment.fund_fen
    months = {name: month for name, month in _months(rows.values(), basis, modes) if name in beside}
    days = {case["case_id"]: case["discharge_date"] for case, _ in rows.values()}
    findings, held_of = _held_back(beside, months, days, modes)
    findings = (*shared, *findings)
    check_beside({name: (payment, held_of.get(name, 0)) for name, (_, _, payment) in beside.items()}, findings)
    amounts: list[int | None] = [None] * graded.num_rows
    withheld: list[int | None] = [None] * graded.num_rows
    for place, (case, _group) in rows.items():
        found = beside.get(case["case_id"])
        if found is not None:
            amounts[place] = found[2].fund_fen
            withheld[place] = held_of.get(case["case_id"]) or None
    for column, values, kind in (("disposition", disposition, pa.string()), ("points", points, pa.int64())):
        graded = graded.set_column(graded.column_names.index(column), column, pa.array(values, kind))
    graded = graded.append_column("beside_fen", pa.array(amounts, pa.int64()))
    graded = graded.append_column("mode", pa.array(said, pa.string()))
    graded = graded.append_column("control_fen", pa.array(withheld, pa.int64()))
    return graded, BesidePayments(
        beside,
        purses(paid, modes.set_asides),
        held_of,
        findings,
        unjudged,
        {one: payers[one] for one in sorted(payers)},
    )


def _months(
    rows: Iterable[tuple[Mapping[str, Any], str]], basis: GradingBasis, modes: ModeBasis
) -> Iterable[tuple[str, Month]]:
    """The months of total control that cases fall into, by case id."""
    for case, _ in rows:
        if case["settlement_month"] in modes.controls:
            level = basis.factors[basis.factor_of[case["hospital_id"], case["discharge_date"]]].level
            yield case["case_id"], Month(modes.codes[case["hospital_id"]], case["settlement_month"], level)


def _shares(
    cases: pa.Table,
    basis: GradingBasis,
    modes: ModeBasis,
    rows: Mapping[int, tuple[Mapping[str, Any], str]],
    outcomes: Mapping[int, ModeOutcome],
) -> tuple[tuple[ControlFinding, ...], frozenset[str]]:
    """The critical share of every month, and the cases beyond it (危急重症占比)."""
    months = dict(_months(rows.values(), basis, modes))
    critical: dict[Month, list[PaidCase]] = {}
    for place, (case, _) in rows.items():
        payment, month = outcomes[place].payment, months.get(case["case_id"])
        if payment is not None and month is not None and outcomes[place].mode in CRITICAL:
            one = PaidCase(
                case["case_id"], case["discharge_date"], outcomes[place].mode, payment.cost_fen, payment.fund_fen
            )
            critical.setdefault(month, []).append(one)
    if not critical:
        return (), frozenset()
    counted = _cases_by_month(cases, basis, modes)
    findings, over = [], set[str]()
    for month in sorted(critical):
        found, beyond = over_the_share(month, critical[month], counted[month], modes.controls[month.month])
        over |= beyond
        if found is not None:
            findings.append(found)
    return tuple(findings), frozenset(over)


def _cases_by_month(cases: pa.Table, basis: GradingBasis, modes: ModeBasis) -> dict[Month, int]:
    """All cases of a hospital, settlement month and level, whatever pays them."""
    place = pa.table({"place": place_codes(cases), "month": cases["settlement_month"], "one": cases["hospital_id"]})
    levels = {place_of(hospital, day): basis.factors[at].level for (hospital, day), at in basis.factor_of.items()}
    found: dict[Month, int] = {}
    for row in place.group_by(["place", "month", "one"]).aggregate([([], "count_all")]).to_pylist():
        if row["place"] in levels:
            month = Month(modes.codes[row["one"]], row["month"], levels[row["place"]])
            found[month] = found.get(month, 0) + row["count_all"]
    return found


def _held_back(
    beside: Mapping[str, tuple[int, PaymentMode, CasePayment]],
    months: Mapping[str, Month],
    days: Mapping[str, date],
    modes: ModeBasis,
) -> tuple[tuple[ControlFinding, ...], dict[str, int]]:
    paid: dict[Month, list[PaidCase]] = {}
    for name, month in months.items():
        _, mode, payment = beside[name]
        paid.setdefault(month, []).append(PaidCase(name, days[name], mode, payment.cost_fen, payment.fund_fen))
    findings: list[ControlFinding] = []
    held: dict[str, int] = {}
    for month in sorted(paid):
        found, parts = held_back(month, paid[month], modes.controls[month.month])
        findings += found
        held |= {name: fen for name, fen in parts.items() if fen}
    return tuple(findings), held


def _by_the_rule(case: Mapping[str, Any], group: str, basis: GradingBasis, modes: ModeBasis) -> ModeOutcome:
    day, place = case["discharge_date"], (case["hospital_id"], case["discharge_date"])
    facts = ModeFacts(
        group,
        basis.factors[basis.factor_of[place]].level,
        case.get("discharge_department"),
        modes.agreement_of.get(place, ""),
        principal_diagnosis=case.get("principal_diagnosis") or "",
    )
    one = ModeCase(
        facts,
        case["total_fen"],
        case["basic_fund_fen"],
        case["patient_fen"],
        case["los_days"],
        case.get("icu_days"),
        case.get("own_paid_fen"),
    )
    return outcome_of(one, modes.on(day), basis.points_decimals)


def _asked(graded: pa.Table, cases: pa.Table, basis: GradingBasis, modes: ModeBasis) -> list[int]:
    """The rows whose mode is not the points, by what the choice looks at: each combination is asked once."""
    kinds: dict[tuple[str, str, int], int] = {}
    kind_of_place: dict[int, int] = {}
    for (hospital, day), factor in basis.factor_of.items():
        at = max([n for n, begins in enumerate(modes.from_day) if begins <= day], default=0)
        kind = (basis.factors[factor].level, modes.agreement_of.get((hospital, day), ""), at)
        kind_of_place[place_of(hospital, day)] = kinds.setdefault(kind, len(kinds))
    names = {number: kind for kind, number in kinds.items()}
    keys = sorted(kind_of_place)
    index = pc.index_in(place_codes(cases), value_set=pa.array(keys, pa.int64()))
    kind_column = pc.take(pa.array([kind_of_place[key] for key in keys], pa.int32()), index)
    may_be_asked = pc.or_(pc.equal(graded["disposition"], "cleared"), pc.starts_with(graded["disposition"], _UNGROUPED))
    rows = graded.num_rows
    by_department = any(rule.departments for terms in modes.terms for rule in terms.rules)
    told = cases["discharge_department"] if by_department and "discharge_department" in cases.column_names else None
    department = pa.nulls(rows, pa.string()) if told is None else told
    looked = pa.table(
        {
            "row": pa.array(range(rows), pa.int64()),
            "kind": kind_column,
            "group": graded["group_code"],
            "department": department,
            "rare": _rare_prefix(cases, modes),
        }
    ).filter(pc.and_(may_be_asked, pc.is_valid(kind_column)))
    by = ["kind", "group", "department", "rare"]
    found: list[int] = []
    for one in looked.group_by(by).aggregate([("row", "list")]).to_pylist():
        level, agreement, at = names[one["kind"]]
        facts = ModeFacts(one["group"], level, one["department"], agreement)
        terms = modes.terms[at]
        is_rare = bool(terms.rare_layers) and terms.is_rare(one["rare"])
        if is_rare or asks_department(facts, terms.rules) or mode_of(facts, terms.rules) is not PaymentMode.DIP:
            found.extend(one["row_list"])
    return sorted(found)


def _rare_prefix(cases: pa.Table, modes: ModeBasis) -> pa.Array | pa.ChunkedArray:
    """The principal diagnosis where some terms call it rare, blank elsewhere: so that combinations stay few."""
    wanted = tuple(sorted({one for terms in modes.terms if terms.rare_layers for one in terms.rare_diagnoses}))
    if not wanted:
        return pa.repeat(pa.scalar(""), cases.num_rows)
    principal = pc.fill_null(cases["principal_diagnosis"], "")
    rare = [code for code in pc.unique(principal).to_pylist() if code and code.startswith(wanted)]
    return pc.if_else(pc.is_in(principal, value_set=pa.array(rare, pa.string())), principal, "")


def cross_check_modes(
    graded: pa.Table,
    cases: pa.Table,
    basis: GradingBasis,
    modes: ModeBasis,
    sample: Sequence[int],
) -> None:
    """Ask a sample one by one whether its points are its mode (抽样复核支付方式). `sample`: rows of a run whose modes are in place.

    Raises: InvariantBroken naming the first case that its mode does not pay by points and that stands as cleared by its group.
    """
    if not modes.terms or modes.is_plain:
        return
    rows = _rows(_with_days(cases, basis), sample)
    for case, said in zip(rows, graded.take(pa.array(list(sample), pa.int64())).to_pylist(), strict=True):
        is_by_group = said["disposition"] == "cleared" and said["mode"] != OVER_THE_SHARE
        if is_by_group and (case["hospital_id"], case["discharge_date"]) in basis.factor_of:
            outcome = _by_the_rule(case, said["group_code"], basis, modes)
            due = outcome.payment.fund_fen if outcome.payment is not None else None
            is_other = outcome.leaves_pool or outcome.waits or outcome.mode in RECORDED
            if is_other or due != said["beside_fen"] or outcome.points not in (None, said["points"]):
                raise InvariantBroken(ONE_MODE, account=str(case["case_id"]), detail=f"{outcome.mode} stands as points")
