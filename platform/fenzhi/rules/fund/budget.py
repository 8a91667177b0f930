"""The budget of a pool (总额预算): from all the fund may spend to what the points share.

Three methods lead to the DIP fund: item by item, by last year's share, by growth. Whichever is used, what is set aside
or paid by other means leaves first and is named, so that no case is paid from two purses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.quantities import half_up, yuan_from_fen
from fenzhi.rules.refusals import Conflict


class BudgetMethod(StrEnum):
    """How the DIP fund is found (预算编制方法)."""

    ITEMISED = "itemised"  # 分项法
    SHARE = "share"  # 占比法
    GROWTH = "growth"  # 增长率法


class SetAside(StrEnum):
    """What leaves the inpatient fund before the points share it (预留与单列)."""

    RESERVE = "reserve"  # 预留金
    ADJUSTMENT = "adjustment"  # 区域调节金
    RISK = "risk"  # 风险金
    OUT_OF_AREA = "out_of_area"  # 异地就医
    PER_DIEM = "per_diem"  # 床日付费
    SINGLE_PAY_DRUGS = "single_pay_drugs"  # 单独支付药品
    CAPITATION = "capitation"  # 按人头包干
    CHRONIC_BUNDLE = "chronic_bundle"  # 慢病打包
    HIGH_VALUE_ITEMS = "high_value_items"  # 必需高值项目单列预算
    SINGLE_DISEASE = "single_disease"  # 单病种定额
    ITEM = "item"  # 按项目付费
    DRG = "drg"  # 按疾病诊断相关分组付费
    ICU_DAYS = "icu_days"  # 重症监护床日补充
    RARE_DISEASE = "rare_disease"  # 罕见病

    @property
    def zh(self) -> str:
        return _ZH[self]

    @property
    def pays_cases(self) -> bool:
        """Whether cases are paid from it (是否支付病例); the others are funds kept back."""
        return self not in (SetAside.RESERVE, SetAside.ADJUSTMENT, SetAside.RISK)


_ZH = {
    SetAside.RESERVE: "预留金",
    SetAside.ADJUSTMENT: "区域调节金",
    SetAside.RISK: "风险金",
    SetAside.OUT_OF_AREA: "异地就医",
    SetAside.PER_DIEM: "床日付费",
    SetAside.SINGLE_PAY_DRUGS: "单独支付药品",
    SetAside.CAPITATION: "按人头包干",
    SetAside.CHRONIC_BUNDLE: "慢病打包付费",
    SetAside.HIGH_VALUE_ITEMS: "必需高值项目",
    SetAside.SINGLE_DISEASE: "单病种定额",
    SetAside.ITEM: "按项目付费",
    SetAside.DRG: "按疾病诊断相关分组付费",
    SetAside.ICU_DAYS: "重症监护床日补充",
    SetAside.RARE_DISEASE: "罕见病",
}


class BudgetExceeded(Conflict):
    """Set-asides that leave nothing, or less than nothing, to share (预留与单列超过住院基金)."""

    code = "BUDGET_SET_ASIDES_EXCEED_FUND"


class GrowthAboveTarget(Conflict):
    """A growth above the target for the growth of medical cost (增长率超过医疗费用增长控制目标)."""

    code = "BUDGET_GROWTH_ABOVE_TARGET"


class LastYearMissing(Conflict):
    """A share or growth of nothing (缺少上年数据)."""

    code = "BUDGET_LAST_YEAR_MISSING"


class PaidTwice(Conflict):
    """Cases that two purses would pay (病例重复支付): the details name the first."""

    code = "PAID_TWICE"


@dataclass(frozen=True, slots=True)
class PoolBudget:
    """The budget of one pool and year (基金池预算). Units: fen.

    `inpatient_fen = dip_fen + Σ set_asides`; `total_fen = inpatient + outpatient + chronic outpatient + risk_reserve`.
    """

    method: BudgetMethod
    inpatient_fen: int
    set_asides: Mapping[SetAside, int]
    dip_fen: int
    outpatient_fen: int = 0
    chronic_outpatient_fen: int = 0
    risk_reserve_fen: int = 0

    @property
    def total_fen(self) -> int:
        """Everything the pool's fund may spend (基金总盘)."""
        return self.inpatient_fen + self.outpatient_fen + self.chronic_outpatient_fen + self.risk_reserve_fen


def itemised_budget(
    inpatient_fen: int,
    set_asides: Mapping[SetAside, int],
    *,
    outpatient_fen: int = 0,
    chronic_outpatient_fen: int = 0,
    risk_reserve_fen: int = 0,
) -> PoolBudget:
    """Inpatient fund less every set-aside (分项法). Units: fen. Raises: BudgetExceeded; ValueError for a negative amount.

    >>> itemised_budget(1_000, {SetAside.RESERVE: 50, SetAside.OUT_OF_AREA: 200}).dip_fen
    750
    """
    amounts = (inpatient_fen, *set_asides.values(), outpatient_fen, chronic_outpatient_fen, risk_reserve_fen)
    if min(amounts) < 0:
        raise ValueError("an amount is negative")
    left = inpatient_fen - sum(set_asides.values())
    if left < 0:
        raise BudgetExceeded(
            f"预留与单列合计 {yuan_from_fen(sum(set_asides.values()))} 元，超过住院基金 {yuan_from_fen(inpatient_fen)} 元。",
            "What is set aside is more than the inpatient fund.",
            inpatient_fen=str(inpatient_fen),
            set_aside_fen=str(sum(set_asides.values())),
        )
    parts = {part: set_asides[part] for part in SetAside if part in set_asides}
    return PoolBudget(
        BudgetMethod.ITEMISED, inpatient_fen, parts, left, outpatient_fen, chronic_outpatient_fen, risk_reserve_fen
    )


def share_budget(last_dip_fen: int, last_inpatient_fen: int, inpatient_fen: int) -> int:
    """Last year's DIP share of the inpatient fund × this year's inpatient fund (占比法).

    Units: fen. Rounding: half up. Raises: LastYearMissing.

    >>> share_budget(70, 100, 1_001)
    701
    """
    if last_inpatient_fen <= 0 or not 0 <= last_dip_fen <= last_inpatient_fen:
        raise LastYearMissing(
            "缺少上年住院基金或其中的DIP基金。", "Last year's inpatient fund, or its DIP part, is missing."
        )
    return half_up(Fraction(last_dip_fen, last_inpatient_fen) * inpatient_fen)


def growth_budget(last_dip_fen: int, growth: Fraction, target: Fraction) -> int:
    """Last year's DIP fund × (1 + growth), growth not above the target (增长率法).

    Policy: budget.growth_target, inclusive. Units: fen. Rounding: half up. Raises: LastYearMissing, GrowthAboveTarget.

    >>> growth_budget(1_000, Fraction("0.0555"), Fraction("0.06"))
    1056
    """
    if last_dip_fen <= 0:
        raise LastYearMissing("缺少上年DIP基金。", "Last year's DIP fund is missing.")
    if growth > target:
        raise GrowthAboveTarget(
            f"增长率 {growth} 超过控制目标 {target}。",
            f"A growth of {growth} is above the target of {target}.",
            growth=str(growth),
            target=str(target),
        )
    return half_up(last_dip_fen * (1 + growth))


def budget_of_dip(method: BudgetMethod, dip_fen: int, set_asides: Mapping[SetAside, int], **others: int) -> PoolBudget:
    """A budget whose DIP part came from a share or a growth (占比法、增长率法预算): the inpatient fund is their sum."""
    whole = itemised_budget(dip_fen + sum(set_asides.values()), set_asides, **others)
    return PoolBudget(
        method,
        whole.inpatient_fen,
        whole.set_asides,
        whole.dip_fen,
        whole.outpatient_fen,
        whole.chronic_outpatient_fen,
        whole.risk_reserve_fen,
    )


@dataclass(frozen=True, slots=True)
class PurseClaim:
    """A case and the purse that pays a part of it (病例与支付来源). Units: fen.

    `part`: what of the case is paid: blank for the whole case, else the item (a drug, ICU days) that leaves it.
    """

    case_id: str
    purse: str
    part: str = ""
    amount_fen: int = 0


def refuse_paid_twice(claims: Iterable[PurseClaim]) -> dict[str, int]:
    """Σ per purse, once each case and part has one purse (各来源合计，一例一付).

    Two purses for one part, or one purse twice, are refused; an item that leaves a case may have a purse beside that of
    the case. Units: fen. Raises: PaidTwice naming the first case in bytes order and how many there are.
    """
    seen: dict[tuple[str, str], str] = {}
    twice: list[tuple[str, str, str, str]] = []
    sums: dict[str, int] = {}
    for claim in claims:
        place = (claim.case_id, claim.part)
        if place in seen:
            one, other = sorted((seen[place], claim.purse))
            twice.append((claim.case_id, claim.part, one, other))
        seen[place] = claim.purse
        sums[claim.purse] = sums.get(claim.purse, 0) + claim.amount_fen
    if twice:
        case_id, part, one, other = min(twice)
        raise PaidTwice(
            f"病例 {case_id} 由 {one} 与 {other} 重复支付，共 {len(twice)} 处。",
            f"Case {case_id} would be paid by {one} and by {other}; {len(twice)} such places.",
            case_id=case_id,
            part=part,
            purses=f"{one},{other}",
            places=str(len(twice)),
        )
    return dict(sorted(sums.items()))


def seasonal_curve(months_by_year: Sequence[Sequence[int]], places: int = 10) -> tuple[Fraction, ...]:
    """The quarterly curve of booked amounts of earlier years (按历年记账季节性测算的季度进度).

    Shape: twelve booked amounts a year. Rounding: half up to `places` decimals; the last is 1. Units: shares of the year.
    Raises: LastYearMissing without amounts; the result is checked by `checked_curve` where it is used.

    >>> [str(share) for share in seasonal_curve([[1] * 12])]
    ['1/4', '1/2', '3/4', '1']
    """
    if any(len(year) != 12 for year in months_by_year):
        raise ValueError("a year has twelve months")
    total = sum(sum(year) for year in months_by_year)
    if total <= 0:
        raise LastYearMissing("缺少历年记账金额，无法测算季节性。", "There are no booked amounts to see a season in.")
    shares: list[Fraction] = []
    for quarter in (1, 2, 3):
        opened = sum(sum(year[: 3 * quarter]) for year in months_by_year)
        shares.append(Fraction(half_up(Fraction(opened, total) * 10**places), 10**places))
    return (*shares, Fraction(1))
