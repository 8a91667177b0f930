"""A hospital's gross over its cases (病例分摊), on read: the last level of the nested apportionment."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from fractions import Fraction

from fenzhi.rules.clearing.apportionment import apportion_in_order
from fenzhi.rules.clearing.out_of_area import case_amounts
from fenzhi.rules.refusals import InvariantBroken


def case_shares(
    gross_fen: int,
    cases: Sequence[tuple[uuid.UUID, int, int]],
    fen_per_unit: Fraction | None = None,
    by_case: Fraction | None = None,
) -> Mapping[uuid.UUID, int]:
    """Fen per case, adding up to the gross exactly (病例份额).

    Shape: cases of (id, points, paid by others in fen) in order of id, bytes order. Rounding: largest remainder by points, ties to the
    smaller id. With `fen_per_unit` the month was priced S·P − other payers: each case takes the floor of its own amount and the fen
    left go to the largest fractions. With `by_case` each case was paid by itself, half up. Raises: InvariantBroken when cases
    without points stand behind a gross, and when the cases do not add up to it.
    """
    if by_case is not None:
        paid = dict(
            zip((one for one, *_ in cases), case_amounts([points for _, points, _ in cases], by_case), strict=True)
        )
        if sum(paid.values()) != gross_fen:
            raise InvariantBroken(
                "the cases of a hospital explain its gross", unexplained_fen=gross_fen - sum(paid.values())
            )
        return paid
    if not cases or (fen_per_unit is None and not any(points for _, points, _ in cases)):
        if gross_fen:
            raise InvariantBroken("a gross has cases with points behind it", unexplained_fen=gross_fen)
        return {case_id: 0 for case_id, _, _ in cases}
    if fen_per_unit is None:
        shares = apportion_in_order(gross_fen, [points for _, points, _ in cases])
        return dict(zip((case_id for case_id, _, _ in cases), shares, strict=True))
    top, bottom = fen_per_unit.numerator, fen_per_unit.denominator
    parts = [divmod(points * top - other * bottom, bottom) for _, points, other in cases]
    left = gross_fen - sum(floor for floor, _ in parts)
    if not 0 <= left <= len(parts):
        raise InvariantBroken("the cases of a hospital explain its gross", unexplained_fen=left)
    one_more = set(sorted(range(len(parts)), key=lambda place: parts[place][1], reverse=True)[:left])
    return {
        case_id: floor + (place in one_more)
        for place, ((case_id, _, _), (floor, _)) in enumerate(zip(cases, parts, strict=True))
    }
