"""Payment modes in a run (支付方式入算): each case by its one mode, as the policy of its day of discharge says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    is_plain,
    outcome_of,
    purses,
)
from fenzhi.rules.payment_modes.mode_of_case import ModeFacts, PaymentMode, mode_of
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.services.clearing.grading import GradingBasis, MethodNotSupported, place_codes, place_of
from fenzhi.services.clearing.special_cases import SpecialCases
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.services.scoring.basis import hospital_terms
from fenzhi.store.repositories import policy as policy_store
from fenzhi.store.session import UnitOfWork

ONE_MODE = "each case is paid by one mode"
_KEY = "payment_mode."
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

    @property
    def is_plain(self) -> bool:
        """Whether every case is paid by its points (是否全部按病种分值)."""
        return all(is_plain(one.rules, self.agreement_of.values()) for one in self.terms)

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
        }


async def load_modes(uow: UnitOfWork, insurance: str, basis: GradingBasis, set_asides: Mapping[str, int]) -> ModeBasis:
    """Read the modes of every day of discharge (装载支付方式): the policy is resolved anew only where it changes.

    Raises: MethodNotSupported for a mode whose facts no list carries; as `ModeTerms.from_policy`.
    """
    days = sorted({day for _, day in basis.factor_of})
    if not days:
        return ModeBasis()
    changes = await policy_store.days_of_change(uow, _KEY, days[-1])
    begins = sorted({days[0], *(day for day in changes if days[0] < day <= days[-1])})
    terms = tuple([ModeTerms.from_policy(await resolved_policy(uow, day, insurance=insurance)) for day in begins])
    for one in terms:
        _refuse_unknown_facts(one)
    agreements = (await hospital_terms(uow, uow.scope.area, insurance)).agreements
    agreement_of: dict[tuple[int, date], str] = {}
    for hospital, day in basis.factor_of:
        for row in agreements.get(hospital, ()):
            if row.valid_from <= day <= row.valid_to:
                agreement_of[hospital, day] = row.payment_mode
    return ModeBasis(terms, tuple(begins), agreement_of, set_asides)


def _refuse_unknown_facts(terms: ModeTerms) -> None:
    for rule in terms.rules:
        if rule.mode is PaymentMode.DIP_ICU_DAYS or rule.departments:
            raise MethodNotSupported(
                "结算暂不支持按科室或重症监护床日确定支付方式：清单未载明相应内容。",
                "A run cannot choose a mode by department or pay ICU days: its lists do not say them.",
                hint="在策略 payment_mode.table 中改用病种、级别或协议 / choose by group, level or agreement",
            )


@dataclass(frozen=True)
class BesideSums:
    """What a run pays beside the points, in sums (分值以外支付合计). Units: fen, by hospital id."""

    by_hospital: Mapping[int, int] = field(default_factory=dict)
    from_pool_fen: int = 0
    """What of it leaves the pool before the point value."""


NOTHING_BESIDE = BesideSums()


@dataclass(frozen=True)
class BesidePayments:
    """What a run pays beside the points (分值以外支付). Units: fen, by hospital id."""

    cases: Mapping[str, tuple[int, PaymentMode, CasePayment]] = field(default_factory=dict)
    """Case id → hospital, mode and payment."""
    purses: tuple[Purse, ...] = ()

    @property
    def from_pool_fen(self) -> int:
        """What leaves the pool before the point value (先于点值扣除额)."""
        return sum(one.from_pool_fen for one in self.purses)

    def of(self, hospital: int) -> list[dict[str, Any]]:
        """What one hospital is paid, by mode, in order (机构各支付方式合计)."""
        found: dict[str, dict[str, Any]] = {}
        for owner, mode, payment in self.cases.values():
            if owner == hospital:
                held = found.setdefault(
                    mode.value,
                    {"mode": mode.value, "cases": 0, "cost_fen": 0, "fund_fen": 0, "other_fen": 0, "hospital_fen": 0},
                )
                held["cases"] += 1
                held["cost_fen"] += payment.cost_fen
                held["fund_fen"] += payment.fund_fen
                held["other_fen"] += payment.other_payers_fen
                held["hospital_fen"] += payment.hospital_fen
        return [found[name] for name in sorted(found)]

    def sums(self) -> BesideSums:
        """The sums that money is made of (合计)."""
        return BesideSums(self.by_hospital(), self.from_pool_fen)

    def by_hospital(self) -> dict[int, int]:
        """What the fund pays each hospital (各机构支付额)."""
        found: dict[int, int] = {}
        for hospital, _, payment in self.cases.values():
            found[hospital] = found.get(hospital, 0) + payment.fund_fen
        return found


def with_modes(
    graded: pa.Table, cases: pa.Table, basis: GradingBasis, modes: ModeBasis, special: SpecialCases
) -> tuple[pa.Table, BesidePayments]:
    """Graded cases with their modes in place (支付方式改变入组计分结果), in the order of the rows given, and what is paid beside.

    A reviewed case is left to its review. Only cases whose group, level and agreement lead to another mode than the points are looked
    at one by one, by the rule. Raises: NoMode, ModeTermsMissing, PatientAboveStandard, PaidTwice.
    """
    if not modes.terms or modes.is_plain:
        return graded.append_column("beside_fen", pa.nulls(graded.num_rows, pa.int64())), BesidePayments()
    asked = _asked(graded, cases, basis, modes)
    disposition, points = graded["disposition"].to_pylist(), graded["points"].to_pylist()
    rows = cases.take(pa.array(asked, pa.int64())).select(
        ["case_id", "hospital_id", "discharge_date", "total_fen", "basic_fund_fen", "patient_fen", "los_days"]
    )
    groups = graded["group_code"].take(pa.array(asked, pa.int64())).to_pylist()
    beside: dict[str, tuple[int, PaymentMode, CasePayment]] = {}
    claims = [PurseClaim(case, "special_case", amount_fen=fen) for case, fen in special.off_pool.items()]
    for place, case, group in zip(asked, rows.to_pylist(), groups, strict=True):
        if case["case_id"] in special.hospital_of:
            continue
        outcome = _by_the_rule(case, group, basis, modes)
        if outcome.payment is not None:
            disposition[place], points[place] = f"beside:{outcome.mode.value}", 0
            beside[case["case_id"]] = (case["hospital_id"], outcome.mode, outcome.payment)
            claims.append(PurseClaim(case["case_id"], PURSES[outcome.mode].value, amount_fen=outcome.payment.fund_fen))
        elif outcome.mode in RECORDED:
            disposition[place], points[place] = f"recorded:{outcome.mode.value}", 0
        elif outcome.points is not None:
            disposition[place], points[place] = "cleared", outcome.points
    refuse_paid_twice(claims)
    paid: dict[PaymentMode, int] = {}
    for _, mode, payment in beside.values():
        paid[mode] = paid.get(mode, 0) + payment.fund_fen
    for name, values, kind in (("disposition", disposition, pa.string()), ("points", points, pa.int64())):
        graded = graded.set_column(graded.column_names.index(name), name, pa.array(values, kind))
    amounts: list[int | None] = [None] * graded.num_rows
    ids = cases["case_id"]
    for place in asked:
        held = beside.get(ids[place].as_py())
        amounts[place] = held[2].fund_fen if held else None
    graded = graded.append_column("beside_fen", pa.array(amounts, pa.int64()))
    return graded, BesidePayments(beside, purses(paid, modes.set_asides))


def _by_the_rule(case: Mapping[str, Any], group: str, basis: GradingBasis, modes: ModeBasis) -> ModeOutcome:
    day, place = case["discharge_date"], (case["hospital_id"], case["discharge_date"])
    facts = ModeFacts(
        group, basis.factors[basis.factor_of[place]].level, agreement_mode=modes.agreement_of.get(place, "")
    )
    one = ModeCase(facts, case["total_fen"], case["basic_fund_fen"], case["patient_fen"], case["los_days"])
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
    looked = pa.table(
        {
            "row": pa.array(range(graded.num_rows), pa.int64()),
            "kind": kind_column,
            "group": graded["group_code"],
        }
    ).filter(pc.and_(may_be_asked, pc.is_valid(kind_column)))
    found: list[int] = []
    combinations = looked.group_by(["kind", "group"]).aggregate([]).to_pylist()
    others: list[tuple[int, str]] = []
    for one in combinations:
        level, agreement, at = names[one["kind"]]
        facts = ModeFacts(one["group"], level, agreement_mode=agreement)
        if mode_of(facts, modes.terms[at].rules) is not PaymentMode.DIP:
            others.append((one["kind"], one["group"]))
    for kind_number, group in sorted(others):
        hit = pc.and_(pc.equal(looked["kind"], kind_number), pc.equal(looked["group"], group))
        found.extend(looked.filter(hit)["row"].to_pylist())
    return sorted(found)


def cross_check_modes(
    graded: pa.Table, cases: pa.Table, basis: GradingBasis, modes: ModeBasis, sample: Sequence[int]
) -> None:
    """Ask a sample one by one whether its points are its mode (抽样复核支付方式). `sample`: rows of a run whose modes are in place.

    Raises: InvariantBroken naming the first case that its mode does not pay by points and that stands as cleared by its group.
    """
    if not modes.terms or modes.is_plain:
        return
    rows = pa.array(list(sample), pa.int64())
    for case, said in zip(cases.take(rows).to_pylist(), graded.take(rows).to_pylist(), strict=True):
        is_by_group = said["disposition"] == "cleared"
        if is_by_group and (case["hospital_id"], case["discharge_date"]) in basis.factor_of:
            outcome = _by_the_rule(case, said["group_code"], basis, modes)
            if outcome.payment is not None or outcome.mode in RECORDED or outcome.points not in (None, said["points"]):
                raise InvariantBroken(ONE_MODE, account=str(case["case_id"]), detail=f"{outcome.mode} stands as points")
