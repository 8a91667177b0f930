"""Annual clearing (年度清算): the whole year once more, step by step in the order the policy states.

Gross is what a cumulative fourth quarter would give. Below it each step takes from, or adds to, what the steps before
have left, always into a named account. The deposit is trued up and released, the advance and what was paid leave, and
the rest is transferred, or is owed by the hospital.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.clearing.annual import AnnualFinal, annual_final
from fenzhi.rules.clearing.assessment import AssessmentPlace, assessment_withheld
from fenzhi.rules.clearing.bands import (
    BandBase,
    BandResult,
    BandTable,
    FundSource,
    PaidBonuses,
    band_result,
    band_table,
    pay_bonuses,
)
from fenzhi.rules.clearing.deposit_release import forfeited
from fenzhi.rules.clearing.offsets import offset_receivables
from fenzhi.rules.clearing.quarterly import (
    QuarterClaim,
    QuarterMode,
    QuarterRun,
    QuarterTerms,
    posted_line,
    quarter_shares,
    run_accounts,
)
from fenzhi.rules.clearing.shares import GrossShare, PoolShares
from fenzhi.rules.clearing.statement import StatementLine
from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.refusals import Conflict


class AnnualStep(StrEnum):
    """The steps below gross (应付以下的过账步骤)."""

    DEDUCTIONS = "deductions"  # 审核扣款
    BANDS = "bands"  # 结余留用与超支分担
    ASSESSMENT = "assessment"  # 考核
    DEPOSIT = "deposit"  # 质量保证金
    OFFSETS = "offsets"  # 往年应收抵扣


DEFAULT_ORDER = tuple(AnnualStep)


class AnnualOrderInvalid(Conflict):
    """An order that misses a step, repeats one, or does not end with deposit and offsets (过账次序无效)."""

    code = "ANNUAL_ORDER_INVALID"


class AssessmentActsTwice(Conflict):
    """An assessment at two places, or at another place than the policy says (考核重复作用)."""

    code = "ASSESSMENT_ACTS_TWICE"


class AnnualAccount(StrEnum):
    """The accounts below payable that only a year has (年度账户)."""

    DEPOSIT_RELEASED = "deposit_released"
    DEPOSIT_FORFEITED = "deposit_forfeited"
    ADVANCE = "advance"
    FINAL = "final"

    @property
    def zh(self) -> str:
        return {
            AnnualAccount.DEPOSIT_RELEASED: "返还的质量保证金",
            AnnualAccount.DEPOSIT_FORFEITED: "没收的质量保证金",
            AnnualAccount.ADVANCE: "预付金",
            AnnualAccount.FINAL: "年度最终拨付",
        }[self]


@dataclass(frozen=True, slots=True)
class AnnualClaim:
    """What one hospital brings to the annual run (机构年度数据). Units: fen.

    `year`: the whole year's terms, as to a cumulative quarter; its `band_withheld_fen` and `bonuses_fen` stay 0, the
    bands are computed here. `booked_after_audit_fen`: what the bands compare with. `deposit_release`: the share of the
    deposit that returns, below 1 only where the assessment acts at the deposit.
    """

    year: QuarterClaim
    booked_after_audit_fen: int = 0
    advance_fen: int = 0
    deposit_release: Fraction = Fraction(1)

    @property
    def hospital(self) -> str:
        return self.year.hospital


@dataclass(frozen=True, slots=True)
class AnnualTerms:
    """The methods of an annual run, frozen before it (年度清算口径)."""

    year: QuarterTerms = field(default_factory=QuarterTerms)
    order: tuple[AnnualStep, ...] = DEFAULT_ORDER
    bands: BandTable | None = None
    band_base: BandBase = BandBase.GROSS_LESS_DEDUCTIONS
    sources: tuple[FundSource, ...] = ()

    def __post_init__(self) -> None:
        closing = (AnnualStep.DEPOSIT, AnnualStep.OFFSETS)
        if sorted(self.order) != sorted(AnnualStep) or tuple(self.order[-2:]) != closing:
            raise AnnualOrderInvalid(
                "过账次序须含各步骤一次，并以保证金、抵扣结束。",
                "The order needs each step once and ends with deposit and offsets.",
                order=",".join(self.order),
            )
        if self.year.mode is not QuarterMode.CUMULATIVE:
            raise AnnualOrderInvalid("年度清算须为全年累计。", "An annual run counts the whole year.")

    @classmethod
    def from_policy(cls, policy: ResolvedPolicy, year: QuarterTerms, balances: Mapping[str, int]) -> AnnualTerms:
        """The terms an area's policy sets (按策略确定年度口径).

        `year`: from `QuarterTerms.from_policy`; its mode is made cumulative. `balances`: what each source of bonuses
        holds. Policy: annual.order, bands.*. Raises: PolicyNotEntered, BandsUnreadable, AnnualOrderInvalid.
        """
        table = band_table(policy)
        names = policy.list("bands.sources") if table is not None else ()
        return cls(
            replace(year, mode=QuarterMode.CUMULATIVE),
            tuple(AnnualStep(name) for name in policy.list("annual.order")),
            table,
            BandBase(policy.method("bands.acts_on")),
            tuple(FundSource(name, balances.get(name, 0)) for name in names),
        )


@dataclass(frozen=True, slots=True)
class AnnualLine:
    """The annual statement of one hospital (机构年度结算单). Units: fen.

    `line`: from gross to payable and what is left of it; `bands`: what the bands said; `final`: the last transfer.
    """

    line: StatementLine
    bands: BandResult
    deposit_released_fen: int
    final: AnnualFinal

    @property
    def hospital(self) -> str:
        return self.line.hospital

    def amount(self, account: AnnualAccount) -> int:
        """What the line brings to an annual account (该行记入年度账户的金额)."""
        match account:
            case AnnualAccount.DEPOSIT_RELEASED:
                return self.deposit_released_fen
            case AnnualAccount.DEPOSIT_FORFEITED:
                return self.final.deposit_forfeited_fen
            case AnnualAccount.ADVANCE:
                return self.final.advance_fen
            case _:
                return self.final.final_fen


@dataclass(frozen=True, slots=True)
class AnnualRun:
    """A year cleared (年度清算结果): lines in bytes order, the accounts of the year, and where the bonuses came from.

    `year` holds point value, statement lines and the accounts above payable, as a quarter run does.
    """

    terms: AnnualTerms
    year: QuarterRun
    lines: tuple[AnnualLine, ...]
    accounts: dict[AnnualAccount, int]
    bonuses: PaidBonuses


def clear_year(
    fund_fen: int,
    points_decimals: int,
    claims: Sequence[AnnualClaim],
    terms: AnnualTerms,
    shared: tuple[PointValue, PoolShares] | None = None,
) -> AnnualRun:
    """Clear the year of a pool (年度清算).

    Policy: annual.order, bands.*, clearing.*, deposit.rate, assessment.*. Units: fen; `fund_fen` is the annual fund in
    force less off-pool payments. Rounding: as the step. A bonus is paid from its sources, pro rata when short; band
    withholdings of the run do not feed them. Nothing is clipped: a negative final is what the hospital owes. `shared`: the shares of a pool
    that was divided by level or month first, see `scoped_shares`; from gross down the year is one.
    Raises: as `clear_quarter`; AssessmentActsTwice; ForfeitExceedsDeposit.
    """
    ordered = sorted(claims, key=lambda claim: claim.hospital)
    _refuse_twice(ordered, terms)
    value, shares = shared or quarter_shares(
        fund_fen, points_decimals, [claim.year for claim in ordered], terms.year.shares, terms.year.price
    )
    steps = _Steps(ordered, shares.shares, terms)
    lines: list[AnnualLine] = []
    for claim in ordered:
        code = claim.hospital
        year = replace(
            claim.year, band_withheld_fen=steps.bands[code].withheld_fen, bonuses_fen=steps.paid.hospitals[code]
        )
        line = posted_line(replace(year, receivables=()), shares.shares[code], terms.year, steps.withheld[code])
        lines.append(_closed(claim, line, steps.bands[code], terms))
    statements = tuple(one.line for one in lines)
    run = QuarterRun(terms.year, value, statements, run_accounts(fund_fen, shares, statements), shares.base)
    accounts = {account: sum(line.amount(account) for line in lines) for account in AnnualAccount}
    return AnnualRun(terms, run, tuple(lines), accounts, steps.paid)


class _Steps:
    """Deductions, bands and assessment over all hospitals, in the order of the policy."""

    def __init__(self, claims: Sequence[AnnualClaim], shares: Mapping[str, GrossShare], terms: AnnualTerms) -> None:
        self.running = {claim.hospital: shares[claim.hospital].gross_fen for claim in claims}
        self.withheld: dict[str, int] = {}
        self.bands = {claim.hospital: BandResult(0, 0, 0, 0, None) for claim in claims}
        self.paid = PaidBonuses({claim.hospital: 0 for claim in claims}, {s.account: 0 for s in terms.sources})
        for step in terms.order:
            if step is AnnualStep.DEDUCTIONS:
                for claim in claims:
                    self.running[claim.hospital] -= claim.year.deductions_fen
            elif step is AnnualStep.ASSESSMENT:
                self._assess(claims, shares, terms)
            elif step is AnnualStep.BANDS and terms.bands is not None:
                self._share_by_bands(claims, shares, terms, terms.bands)

    def _assess(self, claims: Sequence[AnnualClaim], shares: Mapping[str, GrossShare], terms: AnnualTerms) -> None:
        for claim in claims:
            code = claim.hospital
            self.withheld[code] = assessment_withheld(
                shares[code].gross_fen,
                claim.year.deductions_fen,
                claim.year.assessment_coefficient,
                terms.year.assessment_place,
                terms.year.assessment_base,
                self.running[code],
            )
            self.running[code] -= self.withheld[code]

    def _share_by_bands(
        self, claims: Sequence[AnnualClaim], shares: Mapping[str, GrossShare], terms: AnnualTerms, table: BandTable
    ) -> None:
        for claim in claims:
            code = claim.hospital
            payable = shares[code].gross_fen - claim.year.deductions_fen
            if terms.band_base is BandBase.RUNNING:
                payable = self.running[code]
            at_bands = terms.year.assessment_place is AssessmentPlace.BANDS
            coefficient = claim.year.assessment_coefficient if at_bands else Fraction(1)
            self.bands[code] = band_result(payable, claim.booked_after_audit_fen, table, coefficient)
        self.paid = pay_bonuses({code: result.bonus_fen for code, result in self.bands.items()}, terms.sources)
        for code, result in self.bands.items():
            self.running[code] += self.paid.hospitals[code] - result.withheld_fen


def _closed(claim: AnnualClaim, line: StatementLine, bands: BandResult, terms: AnnualTerms) -> AnnualLine:
    """Deposit released, payments, advance and offsets: the bottom of an annual statement."""
    kept = forfeited(line.deposit_target_fen, claim.deposit_release)
    earlier = claim.year.offset_earlier_fen
    before_offsets = line.cleared_fen - kept - line.payments_recorded_fen - claim.advance_fen - earlier
    taken = offset_receivables(
        before_offsets,
        claim.year.receivables,
        limit_fen=terms.year.offset_limit_fen,
        limit_ratio=terms.year.offset_limit_ratio,
    )
    offsets = earlier + sum(taken.values())
    final = annual_final(
        line.cleared_fen,
        payments_recorded_fen=line.payments_recorded_fen,
        offsets_fen=offsets,
        advance_fen=claim.advance_fen,
        deposit_held_fen=line.deposit_target_fen,
        deposit_forfeited_fen=kept,
    )
    settled = replace(line, offsets_fen=offsets, transfer_fen=line.payable_fen - line.payments_recorded_fen - offsets)
    return AnnualLine(settled, bands, line.deposit_target_fen - kept, final)


def _refuse_twice(claims: Sequence[AnnualClaim], terms: AnnualTerms) -> None:
    for claim in claims:
        at_deposit = terms.year.assessment_place is AssessmentPlace.DEPOSIT
        if claim.deposit_release != 1 and not at_deposit:
            raise AssessmentActsTwice(
                f"机构 {claim.hospital} 的考核按策略不作用于保证金。",
                f"By policy the assessment of hospital {claim.hospital} does not act on its deposit.",
                hospital=claim.hospital,
            )
