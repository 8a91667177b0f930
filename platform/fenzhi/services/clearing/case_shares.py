"""A hospital's gross over its cases (病例分摊), on read: the last level of the nested apportionment.

Every case takes the floor of its exact part, and the fen left go one each to the largest remainders. Which of them is the last to take
one is found once, when the run is computed, and kept on the statement: from then on the share of any case follows from the case alone,
so that a page of a statement reads its own rows and no others.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from fenzhi.rules.clearing.apportionment import apportion_in_order
from fenzhi.rules.clearing.out_of_area import case_amounts
from fenzhi.rules.refusals import InvariantBroken


@dataclass(frozen=True, slots=True)
class ShareCut:
    """The last case that takes one of the fen left (末位分摊病例); without a case, none were left."""

    remainder: int = 0
    case_id: uuid.UUID | None = None

    def described(self) -> list[str]:
        """As a statement keeps it (入库形式)."""
        return [] if self.case_id is None else [str(self.remainder), str(self.case_id)]

    @classmethod
    def read(cls, kept: Sequence[str]) -> ShareCut:
        """From what a statement keeps (读取). Raises: ValueError for another shape."""
        if not kept:
            return cls()
        remainder, case_id = kept
        return cls(int(remainder), uuid.UUID(case_id))

    def takes(self, remainder: int, case_id: uuid.UUID) -> int:
        """1 when a case takes one of the fen left, else 0: larger remainders first, of equal ones the smaller id."""
        if self.case_id is None:
            return 0
        return int(remainder > self.remainder or (remainder == self.remainder and case_id <= self.case_id))


@dataclass(frozen=True, slots=True)
class ShareRule:
    """What a case of a statement is due, by itself (逐例份额): `numerator · points / denominator`, less what others paid where so priced."""

    numerator: int
    denominator: int
    less_patient: bool
    cut: ShareCut

    @classmethod
    def of(cls, row: Any, terms: Mapping[str, Any], part: str | None = None) -> ShareRule | None:
        """The rule of a stored statement (结算单的逐例份额规则); none where its release kept no cut or its cases were priced one by one.

        `part`: the scope of the case, where the pool was divided by level or month.
        """
        if "parts" in terms and part is not None:
            own = terms["parts"][part]
            return cls(own["gross_fen"], own["points"], False, ShareCut.read(own["case_cut"]))
        kept = terms.get("case_cut")
        if kept is None or terms.get("by_case"):
            return None
        cut = ShareCut.read(kept)
        if terms.get("less_patient"):
            price = Fraction(terms["fen_per_unit"])
            return cls(price.numerator, price.denominator, True, cut)
        return cls(row.gross_fen, row.points, False, cut)

    def share_fen(self, case_id: uuid.UUID, points: int, patient_fen: int) -> int:
        """The share of a cleared case (病例份额). Units: fen; points in 10^-d."""
        if not self.denominator:
            return 0
        part = points * self.numerator - (patient_fen * self.denominator if self.less_patient else 0)
        floor, remainder = divmod(part, self.denominator)
        return floor + self.cut.takes(remainder, case_id)


def less_patient_cut(gross_fen: int, cases: Sequence[tuple[uuid.UUID, int, int]], fen_per_unit: Fraction) -> ShareCut:
    """The cut of a hospital priced S·P − other payers (减其他支付时的末位病例).

    Shape: cases of (id, points, paid by others in fen) in order of id. Raises: InvariantBroken when they do not add up to the gross.
    """
    top, bottom = fen_per_unit.numerator, fen_per_unit.denominator
    parts = [divmod(points * top - other * bottom, bottom) for _, points, other in cases]
    left = gross_fen - sum(floor for floor, _ in parts)
    if not 0 <= left <= len(parts):
        raise InvariantBroken("the cases of a hospital explain its gross", unexplained_fen=left)
    if not left:
        return ShareCut()
    last = sorted(range(len(parts)), key=lambda place: parts[place][1], reverse=True)[left - 1]
    return ShareCut(parts[last][1], cases[last][0])


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
    cut = less_patient_cut(gross_fen, cases, fen_per_unit)
    rule = ShareRule(fen_per_unit.numerator, fen_per_unit.denominator, True, cut)
    return {case_id: rule.share_fen(case_id, points, other) for case_id, points, other in cases}
