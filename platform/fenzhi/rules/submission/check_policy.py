"""How strict the checks are, and against what they look things up (质控政策与对照表).

Everything here is dated data that a service loads: nothing of it is written in the checks.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.submission.optional_checks import NO_OPTIONAL_CHECKS, OptionalChecks, optional_checks
from fenzhi.rules.submission.verdict import Severity


class AgeReckoning(StrEnum):
    """The day to which the stated age is counted (年龄计算日)."""

    ADMISSION = "admission"
    DISCHARGE = "discharge"


class LatenessReckoning(StrEnum):
    """Which day counts as reported when lateness is judged (及时性计算日)."""

    RECEIVED = "received"
    """The day the platform received the batch."""
    DECLARED = "declared"
    """The hospital's own reporting time (申报时间); the day of receipt where it states none."""


class PeriodDate(StrEnum):
    """The date that decides the settlement period (结算期归属日期)."""

    SETTLEMENT_END = "settlement_end"
    DISCHARGE = "discharge"


@dataclass(frozen=True, slots=True)
class SubmissionPolicy:
    """The submission policy of one pooling area, as in force (上报与质控政策)."""

    insurance_of: Mapping[str, str]
    """`insutype` → insurance of a fund pool (险种类型对应的基金池险种), such as 310 → employee."""
    basic_fund_types: Mapping[str, frozenset[str]]
    """Insurance → the `fund_pay_type` codes of its basic fund (基本医保统筹基金的支付类型)."""
    list_due_days: int
    """Days after discharge within which a list is timely (清单上报时限, 天)."""
    same_day_stay_days: frozenset[int] = frozenset({0})
    """Stays that may be stated when admission and discharge fall on one day (当日出入院可填的住院天数)."""
    age_reckoning: AgeReckoning = AgeReckoning.ADMISSION
    lateness_reckoning: LatenessReckoning = LatenessReckoning.RECEIVED
    required_fields: frozenset[str] = frozenset()
    """National names required beyond those without which there is no case (政策另行规定的必填项)."""
    severities: Mapping[str, Severity] = field(default_factory=dict)
    """Code → severity, where policy differs from the registry (严重程度调整)."""
    settlement_period_by: PeriodDate = PeriodDate.SETTLEMENT_END
    optional: OptionalChecks = NO_OPTIONAL_CHECKS
    """Rules the area has switched on (已启用的可选规则)."""
    tcm_charge_classes: frozenset[str] = frozenset()
    """Charge classes that count as TCM cost (计为中医药费用的收费项目类别); empty: TCM cost is not known."""


def submission_policy(resolved: ResolvedPolicy) -> SubmissionPolicy:
    """The submission policy an area has entered (由生效策略取得上报政策).

    Policy: submission/lists. Raises: PolicyNotEntered while the area still has to enter a value.
    """
    insurance_of = resolved.map("submission.insurance_types")
    basic = resolved.map("submission.basic_fund_pay_types")
    return SubmissionPolicy(
        insurance_of=insurance_of,
        basic_fund_types={
            insurance: frozenset(kind for kind, paid_for in basic.items() if paid_for == insurance)
            for insurance in insurance_of.values()
        },
        list_due_days=resolved.integer("submission.upload_days"),
        severities={"GRAY_PRINCIPAL_DIAGNOSIS": Severity(resolved.method("submission.gray_principal_severity"))},
        settlement_period_by=PeriodDate(resolved.method("submission.settlement_period_date")),
        optional=optional_checks(resolved),
        tcm_charge_classes=frozenset(
            resolved.list("scoring.tcm_charge_classes") if resolved.has("scoring.tcm_charge_classes") else ()
        ),
    )


@dataclass(frozen=True, slots=True)
class CodeEdition:
    """One edition of the national code tables with its time in force (编码版本). Value of a code: is it gray (灰码)."""

    effective_from: dt.date
    effective_to: dt.date | None
    diagnoses: Mapping[str, bool]
    procedures: Mapping[str, bool]

    def in_force_on(self, day: dt.date) -> bool:
        """Whether the edition holds on `day` (是否生效); both ends count."""
        return self.effective_from <= day and (self.effective_to is None or day <= self.effective_to)


@dataclass(frozen=True, slots=True)
class AgreementTerm:
    """One agreement of the hospital with the area (医保服务协议), by insurance. Both dates count."""

    insurance: str
    effective_from: dt.date
    effective_to: dt.date | None

    def covers(self, insurance: str, day: dt.date) -> bool:
        """Whether the agreement holds for `insurance` on `day` (协议是否覆盖)."""
        return (
            self.insurance == insurance
            and self.effective_from <= day
            and (self.effective_to is None or day <= self.effective_to)
        )


@dataclass(frozen=True, slots=True)
class CheckBook:
    """All that a list is held against (校验对照): one hospital, one area, one day of receipt."""

    hospital_code: str
    """The hospital that submits."""
    policy: SubmissionPolicy
    codes: tuple[CodeEdition, ...]
    agreements: tuple[AgreementTerm, ...] | None
    """The hospital's agreements; None where none was ever entered, which leaves the list unjudged."""
    received_on: dt.date
    """Business day (Asia/Shanghai) on which the platform received the batch."""
    crosswalk: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Kind → code of another edition → code of the insurance edition (编码映射); empty where policy names none."""

    def codes_on(self, day: dt.date) -> CodeEdition | None:
        """The code edition in force on `day` (当日生效的编码版本), the one that began last; None where none is."""
        held = [edition for edition in self.codes if edition.in_force_on(day)]
        return max(held, key=lambda edition: edition.effective_from, default=None)
