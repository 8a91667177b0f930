"""Payments beside the points (分值以外的支付): single-disease standard, per diem, ICU days, item.

Each says what the fund pays, what the patient pays and what the hospital bears or keeps, and the three add up to the
cost. What the fund pays leaves the pool's fund before the point value.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise

from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.rules.quantities import half_up
from fenzhi.rules.refusals import Conflict


class PatientAboveStandard(Conflict):
    """Other payers paid more than the whole standard (基金以外支付超过定额)."""

    code = "PATIENT_ABOVE_STANDARD"


class BelowStandard(StrEnum):
    """What a cost below the standard is paid (费用低于定额时)."""

    STANDARD = "standard"  # 按定额支付，结余归机构
    ACTUAL = "actual"  # 按实支付


@dataclass(frozen=True, slots=True)
class CasePayment:
    """A payment in its parts (支付构成). Units: fen. cost = fund + other payers + borne by the hospital.

    `hospital_fen` below 0 is what the hospital keeps.
    """

    cost_fen: int
    fund_fen: int
    other_payers_fen: int

    @property
    def hospital_fen(self) -> int:
        """What the hospital bears; what it keeps when negative (机构承担)."""
        return self.cost_fen - self.fund_fen - self.other_payers_fen


def single_disease_payment(
    cost_fen: int, other_payers_fen: int, standard_fen: int, below: BelowStandard
) -> CasePayment:
    """A disease at its standard price (单病种定额): standard − other payers, the excess borne by the hospital.

    Policy: payment_mode.single_disease_below. Units: fen. Raises: PatientAboveStandard.

    >>> single_disease_payment(12_000, 3_000, 10_000, BelowStandard.STANDARD).hospital_fen
    2000
    """
    basis = min(standard_fen, cost_fen) if below is BelowStandard.ACTUAL else standard_fen
    if other_payers_fen > basis:
        raise PatientAboveStandard(
            "基金以外支付已超过定额标准，请核对个人负担的计算。",
            "Other payers paid more than the standard: check how the patient's part was computed.",
        )
    return CasePayment(cost_fen, basis - other_payers_fen, other_payers_fen)


@dataclass(frozen=True, slots=True)
class DayBand:
    """A rate of a per-diem table (床日标准): from a day of the stay on, in fen a day."""

    from_day: int
    rate_fen: int


def per_diem_payment(days: int, bands: tuple[DayBand, ...], fund_ratio: Fraction = Fraction(1)) -> int:
    """Σ of the daily rates of a stay × fund ratio (床日付费).

    Policy: payment_mode.per_diem_rates. Units: days, fen. Rounding: half up once. Requires: bands in rising order, the
    first from day 1 (ValueError).

    >>> per_diem_payment(40, (DayBand(1, 300_00), DayBand(31, 200_00)))
    1100000
    """
    if days < 0 or not bands or bands[0].from_day != 1:
        raise ValueError("a per-diem table begins with day 1, and a stay has no negative days")
    if any(one.from_day >= other.from_day for one, other in pairwise(bands)):
        raise ValueError("the bands of a per-diem table rise")
    total = 0
    for place, band in enumerate(bands):
        last = bands[place + 1].from_day - 1 if place + 1 < len(bands) else days
        total += max(0, min(days, last) - band.from_day + 1) * band.rate_fen
    return half_up(total * fund_ratio)


def per_diem_points(days: int, points_per_day: int) -> int:
    """A per-diem group inside DIP: days × points a day, at the pool's own point value (床日病种分值).

    Units: days, points in 10^-d: the fund is the pool's, so nothing leaves it.
    """
    if days < 0:
        raise ValueError("a stay has no negative days")
    return days * points_per_day


def icu_supplement(icu_days: int, included_days: int, rate_fen: int) -> int:
    """max(0, ICU days − days the score includes) × daily rate (重症监护床日补充支付).

    Policy: payment_mode.icu_day_rate, payment_mode.icu_days_included. Units: days, fen. It leaves the pool before the
    point value.

    >>> icu_supplement(6, 2, 1_500_00)
    600000
    """
    return max(0, icu_days - included_days) * rate_fen


def dip_with_icu_days(points: int, point_value: PointValue, icu_days: int, included_days: int, rate_fen: int) -> int:
    """Points at the point value plus the ICU supplement (病种分值加重症监护床日). Units: fen. Rounding: half up."""
    return point_value.payment_standard(points) + icu_supplement(icu_days, included_days, rate_fen)


def item_payment(cost_fen: int, in_scope_fen: int, fund_ratio: Fraction) -> CasePayment:
    """Items within scope × fund ratio (按项目付费). Units: fen. Rounding: half up. The rest is the patient's.

    >>> item_payment(1_000, 900, Fraction(7, 10)).fund_fen
    630
    """
    fund = half_up(in_scope_fen * fund_ratio)
    return CasePayment(cost_fen, fund, cost_fen - fund)
