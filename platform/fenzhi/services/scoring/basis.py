"""What a case's points rest on, by date (计分依据的选取): read here once for a single case and for a whole run.

Edition, overlay, level, coefficient and agreement are those of the discharge date. A run and an explanation that chose them in two places
could one day disagree without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

from sqlalchemy import Row

from fenzhi.rules.catalog.reference_costs import MeanCost, ReferenceCosts, mean_fen, references_by_score
from fenzhi.rules.editions import NothingInForce
from fenzhi.rules.grouping.grouping_method import GroupingMethod, TieBreak
from fenzhi.rules.point_value.point_value import Basis, PointValue
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.refusals import Conflict
from fenzhi.rules.scoring.cost_outliers import OutlierLines, OutlierMethod
from fenzhi.rules.scoring.score_case import HospitalFactor
from fenzhi.services.catalog import book
from fenzhi.store.repositories import point_value, registry
from fenzhi.store.session import UnitOfWork

UNASKED_LINES = OutlierLines(Decimal("0.5"), Decimal(2), None)
"""Where policy rescores nothing there are no references either, so no line is ever asked."""


class Withheld(StrEnum):
    """Why a case cannot be paid whatever its group (不予结算原因)."""

    NO_EDITION = "no_edition"
    NO_STANDING = "no_standing"
    NO_COEFFICIENT = "no_coefficient"
    NO_AGREEMENT = "no_agreement"

    @property
    def zh(self) -> str:
        """In Chinese (中文说明)."""
        return _WITHHELD[self][0]

    @property
    def en(self) -> str:
        """In English."""
        return _WITHHELD[self][1]


_WITHHELD = {
    Withheld.NO_EDITION: ("出院日没有生效的目录版本。", "No catalog edition was in force on the day of discharge."),
    Withheld.NO_STANDING: (
        "出院日没有登记医院等级。",
        "No level of the hospital was registered on the day of discharge.",
    ),
    Withheld.NO_COEFFICIENT: (
        "出院日没有该险种的医疗机构系数。",
        "No coefficient of the hospital for this insurance on the day of discharge.",
    ),
    Withheld.NO_AGREEMENT: (
        "出院日没有该险种的医保服务协议。",
        "No agreement of the hospital for this insurance on the day of discharge.",
    ),
}


def outlier_lines_of(policy: ResolvedPolicy, price_fen: Fraction | None = None) -> OutlierLines | None:
    """The lines of cost outliers (费用异常界限), or none where the policy rescores nothing.

    `price_fen`: the frozen budget point value in fen per point, for the method payment_standard. Raises: PolicyNotEntered.
    """
    if policy.method("scoring.outlier_method") == "none":
        return None
    method = OutlierMethod(policy.method("scoring.outlier_method"))
    stated = not policy.has("scoring.extreme_applies") or policy.flag("scoring.extreme_applies")
    has_extreme = stated and method is not OutlierMethod.LINEAR
    applied = not policy.has("scoring.outlier_coefficient") or policy.flag("scoring.outlier_coefficient")
    return OutlierLines(
        low=policy.decimal("scoring.low_ratio"),
        high=policy.decimal("scoring.high_ratio"),
        extreme=policy.decimal("scoring.extreme_ratio") if has_extreme else None,
        low_inclusive=policy.flag("scoring.low_inclusive"),
        high_inclusive=policy.flag("scoring.high_inclusive"),
        extreme_inclusive=policy.flag("scoring.extreme_inclusive"),
        method=method,
        coefficient_applied=applied,
        price_fen=price_fen,
    )


def needs_price(policy: ResolvedPolicy) -> bool:
    """Does the outlier method ask for a frozen point value (是否须以预算点值判定)?"""
    return policy.method("scoring.outlier_method") == OutlierMethod.PAYMENT_STANDARD.value


async def frozen_price(uow: UnitOfWork, policy: ResolvedPolicy, pool: tuple[str, str, int]) -> Fraction | None:
    """The approved budget point value of a pool in fen per point (冻结的预算点值), where the outlier method asks for it.

    Raises: Conflict POINT_VALUE_NOT_APPROVED where it asks and there is none.
    """
    if not needs_price(policy):
        return None
    row = await point_value.budget_in_force(uow, pool)
    if row is None:
        raise Conflict(
            "没有已批准的预算点值，不能以支付标准判定费用异常。",
            "There is no approved budget point value, so no payment standard to judge cost outliers by.",
            code="POINT_VALUE_NOT_APPROVED",
        )
    value = PointValue(row.fund_fen, row.cost_fen, row.booked_fen, row.points, row.points_decimals, Basis(row.basis))
    return value.exact() * 100


async def edition_on(uow: UnitOfWork, day: date) -> Row[Any] | None:
    """The edition in force on a day, or none (当日目录版本)."""
    try:
        return await book.edition_for(uow, day)
    except NothingInForce:
        return None


async def references_of(
    uow: UnitOfWork,
    policy: ResolvedPolicy,
    edition: Row[Any],
    year: int,
    *,
    area_id: int | None = None,
    group: str | None = None,
) -> ReferenceCosts:
    """An area's reference costs of a year in the words of the rules (参照费用), of one group where it is named. Policy: scoring.reference."""
    kind = policy.method("scoring.reference")
    if kind == "score_factor":
        opened = await book.load_book(uow, edition.edition_id)
        wanted = opened.by_code if group is None else {group: opened.by_code[group]}
        scores = {code: Fraction(one.score) for code, one in wanted.items()}
        return references_by_score(scores, policy.fraction("scoring.reference_yuan_per_point") * 100)
    found = await book.references(uow, edition.edition_id, year, area_id=area_id, group=group)
    return ReferenceCosts(
        {
            key: MeanCost(one.total_fen, one.n)
            for key, one in found.items()
            if key[1] and kind == "same_level_last_year"
        },
        {code: MeanCost(one.total_fen, one.n) for (code, level), one in found.items() if not level},
    )


def means_for(method: GroupingMethod, references: ReferenceCosts) -> dict[str, int]:
    """Means in whole fen where the method chooses by cost (择优所需均费), else none."""
    return mean_fen(references) if TieBreak.NEAREST_COST in method.tie_break else {}


@dataclass(frozen=True)
class HospitalTerms:
    """The dated levels, coefficients and agreements of hospitals for one insurance (机构计分条件)."""

    levels: Mapping[int, Sequence[Row[Any]]]
    coefficients: Mapping[int, Sequence[Row[Any]]]
    agreements: Mapping[int, Sequence[Row[Any]]]

    def on(
        self, hospital: int, day: date, *, earliest: bool = False
    ) -> tuple[HospitalFactor | None, str, Withheld | None]:
        """Factor, its document, and why cases of the day cannot be paid, if so (当日等级与系数).

        With `earliest` a day before the first known level or coefficient takes the first one and no agreement is asked for: history is
        priced, not paid.
        """
        level = _dated(self.levels.get(hospital, ()), day, earliest=earliest)
        if level is None:
            return None, "", Withheld.NO_STANDING
        coefficient = _dated(self.coefficients.get(hospital, ()), day, earliest=earliest)
        if coefficient is None:
            return None, "", Withheld.NO_COEFFICIENT
        factor = HospitalFactor(level.level, coefficient.coefficient)
        covered = earliest or any(a.valid_from <= day <= a.valid_to for a in self.agreements.get(hospital, ()))
        return factor, coefficient.document, None if covered else Withheld.NO_AGREEMENT

    def days_of_change(self, hospital: int) -> list[date]:
        """The days from which anything of a hospital is otherwise than the day before, rising (变化日)."""
        days = {row.effective_from for row in (*self.levels.get(hospital, ()), *self.coefficients.get(hospital, ()))}
        for row in self.agreements.get(hospital, ()):
            days.add(row.valid_from)
            if row.valid_to < date.max:
                days.add(row.valid_to + timedelta(days=1))
        return sorted(days)


async def hospital_terms(
    uow: UnitOfWork, area_id: int, insurance: str, hospital_id: int | None = None
) -> HospitalTerms:
    """Read the terms of an area's hospitals, or of one (读取机构条件)."""

    def of_insurance(rows: Iterable[Row[Any]]) -> dict[int, list[Row[Any]]]:
        return _by_hospital(row for row in rows if row.insurance == insurance)

    return HospitalTerms(
        levels=_by_hospital(await registry.standings(uow, area_id, hospital_id)),
        coefficients=of_insurance(await registry.coefficients(uow, area_id, hospital_id)),
        agreements=of_insurance(await registry.agreements(uow, area_id, hospital_id)),
    )


def _by_hospital(rows: Iterable[Row[Any]]) -> dict[int, list[Row[Any]]]:
    found: dict[int, list[Row[Any]]] = {}
    for row in rows:
        found.setdefault(row.hospital_id, []).append(row)
    return found


def _dated(rows: Sequence[Row[Any]], day: date, *, earliest: bool) -> Row[Any] | None:
    found = registry.in_force(rows, day)
    return rows[0] if found is None and earliest and rows else found
