"""The working of a statement in words (结算单计算过程), Chinese and English, with the exact numbers.

Written so that a hospital that objects can recompute every line with a pocket calculator and knows which document to
read.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from fenzhi.rules.clearing.annual_clearing import DEFAULT_ORDER, AnnualLine, AnnualRun, AnnualStep
from fenzhi.rules.clearing.assessment import AssessmentBase
from fenzhi.rules.clearing.presettlement import MonthMethod, MonthRun
from fenzhi.rules.clearing.quarterly import QuarterMode, QuarterRun
from fenzhi.rules.clearing.scoped_clearing import ScopedShares
from fenzhi.rules.clearing.shares import PayBy, ShareMethod
from fenzhi.rules.clearing.statement import Account, StatementLine
from fenzhi.rules.point_value.point_value_methods import PointValueMethod
from fenzhi.rules.quantities import decimal_places, yuan_from_fen
from fenzhi.rules.working import Step, Working

_SHARE_TEXTS = {
    ShareMethod.DEFAULT: (
        "按分值占比分摊可分配基金：基金 × 本机构分值 ÷ 总分值，最大余数法取到分。",
        "Share of the fund by points: fund × own points ÷ all points, to the fen by largest remainder.",
    ),
    ShareMethod.RENORMALISE: (
        "按分值×机构支付比例归一分摊可分配基金，最大余数法取到分。",
        "Share of the fund by points × own fund ratio over the sum of these, to the fen by largest remainder.",
    ),
    ShareMethod.ACCOUNT: (
        "按分值 × 结算点值 × 机构支付比例计算，与按分值分摊额的差额记入支付比例调节账户；账户不足时按最大余数法同比分摊。",
        "Points × settlement point value × own fund ratio; the difference to the share by points goes to the fund ratio "
        "account, and when that is short all claims share what there is by largest remainder.",
    ),
}


def quarter_working(run: QuarterRun, line: StatementLine, scoped: ScopedShares | None = None) -> Working:
    """The working of one hospital of a quarter run (季度结算单计算过程), posting order, zero steps left out."""
    steps = share_steps(run, line, scoped)
    _below_gross(steps, run, line)
    _deposit(steps, line, run.terms.deposit_rate, run.terms.documents.get("deposit.rate", ""))
    steps.append(_payable(line))
    steps.append(
        Step(
            "clearing.transfer",
            "本次拨付＝应拨付 − 当年已拨付 − 往年应收抵扣；为负表示应由机构退回，不作截断。",
            "Transfer: payable − payments recorded − offsets; negative means the hospital owes it, never clipped.",
            (
                ("payable", yuan_from_fen(line.payable_fen)),
                ("payments_recorded", yuan_from_fen(line.payments_recorded_fen)),
                ("offsets", yuan_from_fen(line.offsets_fen)),
                ("transfer", yuan_from_fen(line.transfer_fen)),
            ),
        )
    )
    return tuple(steps)


def annual_working(run: AnnualRun, line: AnnualLine, scoped: ScopedShares | None = None) -> Working:
    """The working of one hospital of an annual run (年度结算单计算过程), in the policy's order, zero steps left out."""
    own = line.line
    documents = run.year.terms.documents
    steps = share_steps(run.year, own, scoped)
    _below_gross(steps, run.year, own, run.terms.order, line)
    _deposit(steps, own, run.year.terms.deposit_rate, documents.get("deposit.rate", ""))
    if line.deposit_released_fen or line.final.deposit_forfeited_fen:
        steps.append(
            Step(
                "clearing.deposit_release",
                "年末返还质量保证金；没收额＝应留额 ×（1 − 返还比例），四舍五入到分。",
                "The deposit returns at the end of the year; forfeited: target × (1 − share released), half up to the fen.",
                (
                    ("deposit", yuan_from_fen(own.deposit_withheld_fen)),
                    ("released", yuan_from_fen(line.deposit_released_fen)),
                    ("forfeited", yuan_from_fen(line.final.deposit_forfeited_fen)),
                ),
                documents.get("annual.deposit_release", ""),
            )
        )
    steps.append(
        Step(
            "clearing.final",
            "年度最终拨付＝清算额 − 当年已拨付 − 往年应收抵扣 − 预付金 − 没收保证金；为负表示应由机构退回，不作截断。",
            "Final: cleared − payments recorded − offsets − advance − deposit forfeited; negative means the hospital owes it.",
            (
                ("cleared", yuan_from_fen(own.cleared_fen)),
                ("payments_recorded", yuan_from_fen(own.payments_recorded_fen)),
                ("offsets", yuan_from_fen(own.offsets_fen)),
                ("advance", yuan_from_fen(line.final.advance_fen)),
                ("forfeited", yuan_from_fen(line.final.deposit_forfeited_fen)),
                ("final", yuan_from_fen(line.final.final_fen)),
            ),
        )
    )
    return tuple(steps)


def share_steps(run: QuarterRun, line: StatementLine, scoped: ScopedShares | None = None) -> list[Step]:
    """The steps from the pool to gross (自基金池至应付的步骤); `scoped`: of a pool that was divided by level or month first."""
    terms = run.terms
    value = run.paid_point_value
    if terms.price.by_case is not None:
        return [_case_by_case(run, line, terms.price.by_case)]
    zh, en = _SHARE_TEXTS[terms.shares.method]
    if terms.shares.pay_by is PayBy.PRINTED_POINT_VALUE:
        zh += "按公布点值支付，差额记入点值尾差账户。"
        en += " Paid at the printed point value; the difference goes to the rounding account."
    span_zh, span_en = ("年初至本季末累计。", " Year to date.") if terms.mode is QuarterMode.CUMULATIVE else ("", "")
    if scoped is not None:
        return [
            *_priced(run, line),
            *_by_scope(run, line, scoped, zh + span_zh, en + span_en),
            _scoped_remainder(line),
            *_floor(run, line),
        ]
    steps = [
        *_priced(run, line),
        Step(
            f"clearing.share.{terms.shares.method.value}",
            zh + span_zh,
            en + span_en,
            (
                ("fund", yuan_from_fen(value.fund_fen)),
                ("points", _points(line.points, value.points_decimals)),
                ("fund_ratio", str(line.fund_ratio)),
                ("share_base", decimal_places(run.share_base / Fraction(10**value.points_decimals), 12)),
                ("share", yuan_from_fen(line.method_share_fen)),
                ("gross", yuan_from_fen(line.gross_fen)),
            ),
            terms.documents.get("clearing.share_method", ""),
        ),
        _remainder(line, value.printed(terms.shares.printed_decimals), value.points_decimals, provisional=True),
    ]
    return [*steps, *_floor(run, line)]


def _floor(run: QuarterRun, line: StatementLine) -> list[Step]:
    """What the floor account gave, where it gave anything (病例保底步骤)."""
    if not line.floor_fen:
        return []
    return [
        Step(
            "clearing.floor",
            "病例保底补足额：分值 × 点值低于基金以外支付的病例补足至 0，四舍五入到分，由病例保底账户支付，以余额为限，含在应付内。",
            "What lifts cases whose other payers paid more than their points are worth to 0, half up per case, paid by the floor account as far "
            "as it holds, within gross.",
            (("floor", yuan_from_fen(line.floor_fen)),),
            run.terms.documents.get("clearing.case_floor", ""),
        )
    ]


def _by_scope(run: QuarterRun, line: StatementLine, scoped: ScopedShares, zh: str, en: str) -> list[Step]:
    """One step for each scope in which the hospital has a share (分范围份额步骤)."""
    places, steps = run.terms.shares.printed_decimals, []
    for scope, shares in sorted(scoped.shares.items()):
        own = shares.shares.get(line.hospital)
        if own is None:
            continue
        value = scoped.point_values[scope]
        steps.append(
            Step(
                "clearing.share.scope",
                f"范围“{scope}”单独定点值。{zh}",
                f"Scope {scope} has a point value of its own. {en}",
                (
                    ("scope", scope),
                    ("fund", yuan_from_fen(value.fund_fen)),
                    ("points_of_scope", _points(value.points, value.points_decimals)),
                    ("point_value_printed", value.printed(places)),
                    ("fund_ratio", str(own.fund_ratio)),
                    ("share", yuan_from_fen(own.method_fen)),
                    ("gross", yuan_from_fen(own.gross_fen)),
                ),
                run.terms.documents.get("point_value.scope", ""),
            )
        )
    return steps


def _scoped_remainder(line: StatementLine) -> Step:
    """The remainders of all scopes together (分范围尾差步骤)."""
    return Step(
        "clearing.remainder",
        "尾差＝应付 − 各范围公布点值 × 分值 × 支付比例之和（归一或账户不足时按同一系数折算）。公布点值为暂定值。",
        "Remainder: gross − the sum over the scopes of printed point value × points × fund ratio, times the factor of a renormalised or short "
        "scope. The printed point values are provisional.",
        (("gross", yuan_from_fen(line.gross_fen)), ("remainder", yuan_from_fen(line.remainder_fen))),
    )


def _case_by_case(run: QuarterRun, line: StatementLine, fen_per_unit: Fraction) -> Step:
    """Cases of other areas, each at the exact price of the local pool (异地病例步骤)."""
    places = run.point_value.points_decimals
    return Step(
        "clearing.out_of_area",
        "异地病例按就医地本地基金池同期每分值基金逐例计付，四舍五入到分，由参保地负担。",
        "Cases of other areas, each at the local pool's exact fund per point of the same period, half up to the fen; the area of "
        "insurance bears them.",
        (
            ("fund_per_point", str(fen_per_unit * Fraction(10**places, 100))),
            ("points", _points(line.points, places)),
            ("gross", yuan_from_fen(line.gross_fen)),
        ),
    )


def _priced(run: QuarterRun, line: StatementLine) -> list[Step]:
    """How the point-value method changed what is shared; nothing where it floats (点值方式步骤)."""
    method = run.terms.price.method
    if method is PointValueMethod.FLOATING:
        return []
    paid = run.paid_point_value
    places = run.terms.shares.printed_decimals
    return [
        Step(
            f"clearing.point_value.{method.value}",
            f"{_METHOD_ZH[method]}；与按浮动点值分摊额的差额记入点值差额账户或点值封顶结余账户。",
            f"Point value: {method.value}; the difference to the floating share goes to the point-value or cap-excess account.",
            (
                ("floating_point_value", run.point_value.printed(places)),
                ("paid_point_value", paid.printed(places)),
                ("floating_share", yuan_from_fen(line.default_share_fen)),
                ("priced_share", yuan_from_fen(line.priced_share_fen)),
                ("difference", yuan_from_fen(line.default_share_fen - line.priced_share_fen)),
            ),
            run.terms.documents.get("point_value.method", ""),
        )
    ]


_METHOD_ZH = {
    PointValueMethod.FIXED: "按固定点值支付",
    PointValueMethod.CORRIDOR: "浮动点值，设上下限",
    PointValueMethod.ELASTIC: "弹性点值：基准量按固定点值，增量浮动",
    PointValueMethod.BUDGET: "按预算点值支付",
    PointValueMethod.BARGAINED: "按协商点值支付",
}


def _below_gross(
    steps: list[Step],
    run: QuarterRun,
    line: StatementLine,
    order: Sequence[AnnualStep] = DEFAULT_ORDER,
    annual: AnnualLine | None = None,
) -> None:
    """Deductions, bands and assessment in their order (应付以下各步)."""
    terms = run.terms
    for step in order:
        match step:
            case AnnualStep.DEDUCTIONS:
                _taken(steps, line, Account.DEDUCTIONS, "clearing.deductions", "审核扣款。", "Audit deductions.", "")
            case AnnualStep.BANDS:
                if annual is not None and (annual.bands.surplus_fen or annual.bands.overspend_fen):
                    steps.append(_band_step(annual))
                _taken(steps, line, Account.BANDS, "clearing.bands", "分担扣减。", "Withheld by bands.", "")
                _taken(steps, line, Account.BONUSES, "clearing.bonuses", "奖励。", "Bonuses.", "")
            case AnnualStep.ASSESSMENT:
                base_zh, base_en = _BASES[terms.assessment_base]
                _taken(
                    steps,
                    line,
                    Account.ASSESSMENT,
                    "clearing.assessment",
                    f"考核扣减＝{base_zh} ×（1 − 考核系数），四舍五入到分。",
                    f"Withheld by the assessment: {base_en} × (1 − coefficient), half up to the fen.",
                    terms.documents.get("assessment.acts_on", ""),
                )
            case _:
                pass


_BASES = {
    AssessmentBase.GROSS: ("应付", "gross"),
    AssessmentBase.GROSS_LESS_DEDUCTIONS: ("应付减扣款", "gross less deductions"),
    AssessmentBase.RUNNING: ("按次序至本步的余额", "what the order has left so far"),
}


def _band_step(line: AnnualLine) -> Step:
    bands = line.bands
    return Step(
        "clearing.band_result",
        "分档：结余为应付大于审核后记账的部分，按档留用；超支为不足的部分，按档由基金分担，资金来源不足时同比。",
        "Bands: a surplus is kept by its bands; an overspend is borne by the fund by its bands, pro rata when the sources are short.",
        (
            ("ratio", "" if bands.ratio is None else decimal_places(bands.ratio, 6)),
            ("surplus", yuan_from_fen(bands.surplus_fen)),
            ("kept", yuan_from_fen(bands.kept_fen)),
            ("overspend", yuan_from_fen(bands.overspend_fen)),
            ("borne_by_fund_if_funded", yuan_from_fen(bands.bonus_fen)),
            ("bonus_paid", yuan_from_fen(line.line.bonuses_fen)),
        ),
    )


def month_working(run: MonthRun, line: StatementLine) -> Working:
    """The working of one hospital of a month run (月度结算单计算过程), posting order, zero steps left out."""
    terms = run.terms
    value = terms.point_value
    if terms.method is MonthMethod.SP_PHI:
        zh = "分值 × 预算点值 × 上年基金支付比例，四舍五入到分。"
        en = "Points × budget point value × last year's fund ratio, half up to the fen."
    else:
        zh = "分值 × 预算点值 − 基本医保统筹基金以外的支付，四舍五入到分。"
        en = "Points × budget point value − every payer but the basic fund, half up to the fen."
    steps = [
        Step(
            f"presettlement.{terms.method.value}",
            zh,
            en,
            (
                ("points", _points(line.points, value.points_decimals)),
                ("point_value_exact", str(value.exact())),
                ("fund_ratio", str(line.fund_ratio)),
                ("other_payers", yuan_from_fen(line.patient_fen)),
                ("gross", yuan_from_fen(line.gross_fen)),
            ),
            terms.documents.get("presettlement.method", ""),
        ),
        _remainder(line, value.printed(terms.printed_decimals), value.points_decimals, provisional=False),
        Step(
            "presettlement.prepay_ratio",
            "乘预付比例并减当月扣款，四舍五入到分；其余部分待季度清算。",
            "Times the prepay ratio, less the deductions of the month, half up to the fen; the rest waits for the quarter.",
            (
                ("prepay_ratio", str(terms.prepay_ratio)),
                ("not_prepaid", yuan_from_fen(line.not_prepaid_fen)),
                ("deductions", yuan_from_fen(line.deductions_fen)),
            ),
            terms.documents.get("presettlement.prepay_ratio", ""),
        ),
    ]
    _taken(
        steps,
        line,
        Account.CASH_CUT,
        "presettlement.cash_cap",
        "超过月度现金上限的部分不拨付，不结转。",
        "What exceeds the cash cap of the month is not paid and not carried.",
        "",
    )
    _deposit(steps, line, terms.deposit_rate, terms.documents.get("deposit.rate", ""))
    steps.append(_payable(line))
    return tuple(steps)


def _remainder(line: StatementLine, printed: str, places: int, *, provisional: bool) -> Step:
    note_zh, note_en = ("公布点值为暂定值。", " The printed point value is provisional.") if provisional else ("", "")
    return Step(
        "clearing.remainder",
        f"尾差＝应付 − 公布点值 × 分值 × 支付比例（归一或账户不足时按同一系数折算）。{note_zh}",
        f"Remainder: gross − printed point value × points × fund ratio, times the factor of a renormalised or short pool.{note_en}",
        (
            ("point_value_printed", printed),
            ("points", _points(line.points, places)),
            ("fund_ratio", str(line.fund_ratio)),
            ("printed_amount", yuan_from_fen(line.printed_fen)),
            ("remainder", yuan_from_fen(line.remainder_fen)),
        ),
    )


def _taken(
    steps: list[Step], line: StatementLine, account: Account, rule: str, zh: str, en: str, document: str
) -> None:
    amount = line.amount(account)
    if amount:
        steps.append(Step(rule, zh, en, ((account.value, yuan_from_fen(amount)),), document))


def _deposit(steps: list[Step], line: StatementLine, rate: Fraction, document: str) -> None:
    if not rate and not line.deposit_posting_fen:
        return
    steps.append(
        Step(
            "clearing.deposit",
            "质量保证金＝比例 × 累计清算额（不低于 0），本次过账为应留与已留之差。",
            "Quality deposit: rate × cumulative cleared amount, never below 0; this run posts target − already held.",
            (
                ("rate", str(rate)),
                ("cleared", yuan_from_fen(line.cleared_fen)),
                ("target", yuan_from_fen(line.deposit_target_fen)),
                ("held_before", yuan_from_fen(line.deposit_held_before_fen)),
                ("posting", yuan_from_fen(line.deposit_posting_fen)),
            ),
            document,
        )
    )


def _payable(line: StatementLine) -> Step:
    return Step(
        "clearing.payable",
        "应拨付＝清算额 − 质量保证金。",
        "Payable: cleared amount − quality deposit.",
        (
            ("cleared", yuan_from_fen(line.cleared_fen)),
            ("deposit", yuan_from_fen(line.deposit_withheld_fen)),
            ("payable", yuan_from_fen(line.payable_fen)),
        ),
    )


def _points(points: int, places: int) -> str:
    return decimal_places(Fraction(points, 10**places), places)
