"""Surplus kept and overspend shared by bands (结余留用、超支分担): a local table over a ratio, never a national one.

The table runs over u, either booked ÷ payable or payable ÷ booked, since both are in use. Where u lies says how large
the gap is and how much of it the hospital keeps or the fund bears. An edge belongs to the band that says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise

from fenzhi.rules.clearing.apportionment import apportion
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.quantities import exact_decimal, half_up
from fenzhi.rules.refusals import Conflict


class BandMeasure(StrEnum):
    """What u is (分档口径)."""

    BOOKED_OVER_PAYABLE = "booked_over_payable"  # 记账 ÷ 应付
    PAYABLE_OVER_BOOKED = "payable_over_booked"  # 应付 ÷ 记账


class BandMode(StrEnum):
    """Whether a band's share applies to its slice or to the whole gap (分档方式)."""

    MARGINAL = "marginal"  # 超额累进
    WHOLE_AMOUNT = "whole_amount"  # 全额按所在档


class BandBase(StrEnum):
    """What stands for payable (分档应付基数)."""

    GROSS_LESS_DEDUCTIONS = "gross_less_deductions"
    RUNNING = "running"  # 按过账顺序至本步的余额


class BandsUnreadable(Conflict):
    """A table of bands that does not cover every ratio once (分档表无法识别)."""

    code = "BANDS_UNREADABLE"


@dataclass(frozen=True, slots=True)
class Band:
    """One band (一档): up to an edge, None for without end; `inclusive`: the edge itself lies here.

    `share`: of the surplus, what the hospital keeps; of the overspend, what the fund bears.
    """

    upto: Fraction | None
    inclusive: bool
    share: Fraction


@dataclass(frozen=True, slots=True)
class BandTable:
    """The bands of a policy (分档表). Requires an edge at 1, where surplus turns into overspend, and a last band without end.

    `surplus_cap`, `overspend_cap`: most that is kept or borne, as a ratio of payable (配额封顶). Raises: BandsUnreadable.
    """

    bands: tuple[Band, ...]
    measure: BandMeasure = BandMeasure.BOOKED_OVER_PAYABLE
    mode: BandMode = BandMode.MARGINAL
    surplus_cap: Fraction | None = None
    overspend_cap: Fraction | None = None

    def __post_init__(self) -> None:
        edges = [band.upto for band in self.bands]
        if not edges or edges[-1] is not None or None in edges[:-1]:
            raise _unreadable("最后一档且仅最后一档不设上限", "the last band, and only it, has no end")
        known = [edge for edge in edges if edge is not None]
        if any(before >= after for before, after in pairwise(known)) or any(e < 0 for e in known):
            raise _unreadable("各档上限须由小到大", "the edges must rise")
        if 1 not in known:
            raise _unreadable("须以 1 为一档的界限", "1 must be an edge")
        if any(not 0 <= band.share <= 1 for band in self.bands):
            raise _unreadable("分担或留用比例须在 0 与 1 之间", "a share must lie between 0 and 1")


@dataclass(frozen=True, slots=True)
class BandResult:
    """What the bands make of one hospital (分档结果). Units: fen.

    surplus = kept + withheld; overspend = borne by the fund + borne by the hospital. `bonus_fen` is what the fund would
    bear if its source holds enough.
    """

    surplus_fen: int
    kept_fen: int
    overspend_fen: int
    bonus_fen: int
    ratio: Fraction | None
    """u; None where its denominator is not above 0 (比值)."""

    @property
    def withheld_fen(self) -> int:
        return self.surplus_fen - self.kept_fen

    @property
    def hospital_share_fen(self) -> int:
        return self.overspend_fen - self.bonus_fen


@dataclass(frozen=True, slots=True)
class FundSource:
    """An account that pays bonuses (资金来源), and what it holds. Units: fen."""

    account: str
    balance_fen: int


@dataclass(frozen=True, slots=True)
class PaidBonuses:
    """Bonuses as paid, and what each source gave (实付分担). Units: fen."""

    hospitals: Mapping[str, int]
    draws: Mapping[str, int]


def band_result(payable_fen: int, booked_fen: int, table: BandTable, coefficient: Fraction = Fraction(1)) -> BandResult:
    """Surplus kept or overspend borne for one hospital (结余留用与超支分担).

    Policy: bands.*. `coefficient`: the assessment where it acts on the bands; what is kept or borne is multiplied by
    it, never above the gap. Units: fen. Rounding: half up once; a cap is half up of its ratio × payable. A
    denominator not above 0 puts the whole gap into the outermost band of its side.

    >>> T = BandTable((Band(Fraction(1), True, Fraction(1)), Band(Fraction("1.05"), True, Fraction("0.6")),
    ...     Band(Fraction("1.1"), True, Fraction("0.5")), Band(None, False, Fraction(0))))
    >>> band_result(1_000_000_00, 1_120_000_00, T).bonus_fen
    5500000
    """
    gap = abs(booked_fen - payable_fen)
    surplus = payable_fen > booked_fen
    by_payable = table.measure is BandMeasure.BOOKED_OVER_PAYABLE
    above, below = (booked_fen, payable_fen) if by_payable else (payable_fen, booked_fen)
    ratio = Fraction(above, below) if below > 0 else None
    if gap == 0:
        return BandResult(0, 0, 0, 0, ratio)
    over_one = above > below
    if ratio is None:
        share = gap * (table.bands[-1] if over_one else table.bands[0]).share
    elif table.mode is BandMode.WHOLE_AMOUNT:
        share = gap * _band_of(ratio, table.bands).share
    else:
        share = _marginal(ratio, table.bands) * below
    cap = table.surplus_cap if surplus else table.overspend_cap
    amount = half_up(share * coefficient)
    if cap is not None:
        amount = min(amount, half_up(cap * max(0, payable_fen)))
    amount = max(0, min(amount, gap))
    return BandResult(gap, amount, 0, 0, ratio) if surplus else BandResult(0, 0, gap, amount, ratio)


def pay_bonuses(claims: Mapping[str, int], sources: Sequence[FundSource]) -> PaidBonuses:
    """Bonuses paid from their sources in order, pro rata when they are short (按资金来源支付，不足时同比).

    Policy: bands.sources. Units: fen. Rounding: largest remainder over the claims. A source never gives more than it
    holds; a negative balance gives nothing.

    >>> pay_bonuses({"A": 60, "B": 60}, [FundSource("adjustment", 70), FundSource("risk", 20)]).draws
    {'adjustment': 70, 'risk': 20}
    """
    due = sum(claims.values())
    held = sum(max(0, source.balance_fen) for source in sources)
    paid = {code: claims[code] for code in sorted(claims)} if due <= held else apportion(held, claims)
    left = min(due, held)
    draws: dict[str, int] = {}
    for source in sources:
        draws[source.account] = min(left, max(0, source.balance_fen))
        left -= draws[source.account]
    return PaidBonuses(paid, draws)


def band_table(policy: ResolvedPolicy) -> BandTable | None:
    """The bands of an area; None where its policy says there are none (按策略读取分档表).

    Policy: bands.applies, bands.table, bands.measure, bands.mode, bands.surplus_cap, bands.overspend_cap.
    Raises: PolicyNotEntered, BandsUnreadable.
    """
    if not policy.flag("bands.applies"):
        return None
    bands: list[Band] = []
    for row in policy.table("bands.table"):
        try:
            upto = Fraction(exact_decimal(row["upto"])) if row["upto"] else None
            bands.append(
                Band(upto, {"true": True, "false": False}[row["inclusive"]], Fraction(exact_decimal(row["share"])))
            )
        except (ValueError, KeyError) as error:
            raise _unreadable(f"第 {len(bands) + 1} 档“{row}”", f"row {len(bands) + 1} is {row}") from error
    return BandTable(
        tuple(bands),
        BandMeasure(policy.method("bands.measure")),
        BandMode(policy.method("bands.mode")),
        policy.optional_fraction("bands.surplus_cap"),
        policy.optional_fraction("bands.overspend_cap"),
    )


def _band_of(ratio: Fraction, bands: Sequence[Band]) -> Band:
    for band in bands:
        if band.upto is None or ratio < band.upto or (ratio == band.upto and band.inclusive):
            return band
    return bands[-1]


def _marginal(ratio: Fraction, bands: Sequence[Band]) -> Fraction:
    """Σ width × share of the slices between 1 and the ratio (自 1 至比值的各档之和)."""
    low, high = min(ratio, Fraction(1)), max(ratio, Fraction(1))
    total, begin = Fraction(0), Fraction(0)
    for place, band in enumerate(bands):
        # The first band also holds ratios below 0.
        start = low if place == 0 else max(low, begin)
        end = high if band.upto is None else min(high, band.upto)
        if end > start:
            total += (end - start) * band.share
        if band.upto is not None:
            begin = band.upto
    return total


def _unreadable(zh: str, en: str) -> BandsUnreadable:
    return BandsUnreadable(f"分档表无法识别：{zh}。", f"The bands do not read: {en}.")
