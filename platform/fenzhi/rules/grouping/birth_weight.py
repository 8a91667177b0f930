"""Low birth weight (低出生体重): the weight band of a newborn, whose priority group looks at nothing else."""

from __future__ import annotations

from collections.abc import Sequence


def birth_weight_band(
    principal: str, age_days: int, weight_g: int, bands: Sequence[tuple[int, int]], *, prefix: str, below_days: int
) -> tuple[int, int] | None:
    """The band of a newborn, both ends included (体重段), or None when the case is none of the bands'.

    Policy: diagnosis prefix, age below which a case counts as newborn, bands. Units: days, grams.

    >>> birth_weight_band("P07.100", 3, 740, [(0, 749), (750, 999)], prefix="P07", below_days=29)
    (0, 749)
    """
    if not principal.startswith(prefix) or not 0 <= age_days < below_days:
        return None
    return next(((low, high) for low, high in bands if low <= weight_g <= high), None)
