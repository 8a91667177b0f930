"""Age coefficient and paediatric bonus (年龄系数与儿童加成): one multiplies, the other adds a share; both lie in a published range."""

from __future__ import annotations

from fractions import Fraction

from fenzhi.rules.refusals import DataRefused, Refusal


def elderly_score(score: Fraction, coefficient: Fraction, allowed: tuple[Fraction, Fraction]) -> Fraction:
    """score × coefficient (老年病例分值). Raises: DataRefused for a coefficient outside its range, both ends included."""
    _within(coefficient, allowed, "elderly_coefficient")
    return score * coefficient


def paediatric_score(score: Fraction, bonus: Fraction, allowed: tuple[Fraction, Fraction]) -> Fraction:
    """score × (1 + bonus) (儿童病例分值). Raises: DataRefused for a bonus outside its range, both ends included."""
    _within(bonus, allowed, "child_bonus")
    return score * (1 + bonus)


def _within(value: Fraction, allowed: tuple[Fraction, Fraction], where: str) -> None:
    if not allowed[0] <= value <= allowed[1]:
        refusal = Refusal(
            "coefficient_outside_range",
            where,
            str(value),
            f"系数须在 {allowed[0]} 与 {allowed[1]} 之间。",
            f"The coefficient must lie between {allowed[0]} and {allowed[1]}.",
            "在公布的范围内取值，或由省级放宽范围。",
            "Choose within the published range, or let the province widen it.",
        )
        raise DataRefused((refusal,))
