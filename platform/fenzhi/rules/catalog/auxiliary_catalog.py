"""The auxiliary catalog (辅助目录): subtypes that explain why cases of one group differ, their gates and their coefficients.

A case that fits several subtypes takes the one with the highest trigger and no other: coefficients are never multiplied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class AuxiliaryGate:
    """What a subtype must pass to be published (辅助分型准入条件). Case counts are exceeded, the reduction is reached."""

    group_cases: int
    subtype_cases: int
    cv_above: Fraction
    least_reduction: Fraction


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """A subtype against its gate (准入判定): each condition by itself."""

    group_cases: bool
    subtype_cases: bool
    cv_above: bool
    reduction: bool

    @property
    def passed(self) -> bool:
        """Did it pass all (是否准入)?"""
        return self.group_cases and self.subtype_cases and self.cv_above and self.reduction


def judge_gate(
    gate: AuxiliaryGate, group_cases: int, subtype_cases: int, cv_squared_before: Fraction, cv_squared_after: Fraction
) -> GateOutcome:
    """A subtype against its gate (准入判定), on exact squares of the coefficients of variation.

    (before − after) / before ≥ r holds exactly when after² ≤ (1 − r)² × before², so no root is taken.
    """
    kept = 1 - gate.least_reduction
    return GateOutcome(
        group_cases > gate.group_cases,
        subtype_cases > gate.subtype_cases,
        cv_squared_before > gate.cv_above**2,
        cv_squared_after <= kept * kept * cv_squared_before,
    )


def trigger(subtype_mean_fen: Fraction, group_mean_fen: Fraction) -> Fraction:
    """Mean of the subtype over the mean of its group (辅助系数), exact. Raises: ValueError for a mean at or below zero."""
    if subtype_mean_fen <= 0 or group_mean_fen <= 0:
        raise ValueError("a mean cost at or below zero")
    return subtype_mean_fen / group_mean_fen


def highest_trigger(triggers: Mapping[str, Fraction]) -> tuple[str, Fraction] | None:
    """The one subtype a case takes (取系数最高者): ties to the smaller name; None where it fits none.

    >>> highest_trigger({"age_1_6": Fraction(5, 4), "severity_moderate": Fraction(7, 5)})
    ('severity_moderate', Fraction(7, 5))
    """
    return min(triggers.items(), key=lambda item: (-item[1], item[0])) if triggers else None
