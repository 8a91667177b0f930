"""The words of the checks that policy switches on (可选质控规则结论文本): no primary text sets them, so each is off until entered."""

from __future__ import annotations

from fenzhi.rules.submission.verdict import Dimension, Severity, VerdictText

_ACCURATE = Dimension.ACCURATE
_WARNING = Severity.WARNING

OPTIONAL_TEXTS: tuple[VerdictText, ...] = (
    VerdictText(
        "SEX_DIAGNOSIS_MISMATCH",
        "Q05",
        _ACCURATE,
        _WARNING,
        "诊断 {coded} 限性别 {wanted}，清单性别为 {stated}。",
        "Diagnosis {coded} belongs to sex {wanted}; the list states {stated}.",
        "核对性别与诊断编码。",
        "Check the sex and the diagnosis.",
    ),
    VerdictText(
        "AGE_DIAGNOSIS_MISMATCH",
        "Q06",
        _ACCURATE,
        _WARNING,
        "诊断 {coded} 限年龄 {limits} 天，入院时 {days} 天。",
        "Diagnosis {coded} belongs to ages of {limits} days; on admission it was {days}.",
        "核对出生日期与诊断编码。",
        "Check the date of birth and the diagnosis.",
    ),
    VerdictText(
        "NEWBORN_DIAGNOSIS_AGE",
        "Q12",
        _ACCURATE,
        _WARNING,
        "诊断 {coded} 用于出生未满 29 天者，入院时 {days} 天。",
        "Diagnosis {coded} is for an age below 29 days; on admission it was {days}.",
        "核对出生日期与诊断编码。",
        "Check the date of birth and the diagnosis.",
    ),
    VerdictText(
        "SURGERY_CHARGE_WITHOUT_PROCEDURE",
        "Q15",
        _ACCURATE,
        _WARNING,
        "有手术费 {amount} 元，没有手术操作编码，疑漏填。",
        "A surgery charge of {amount} yuan and no procedure: one may be missing.",
        "补填手术操作，或核对收费类别。",
        "State the procedure, or check the charge class.",
    ),
    VerdictText(
        "SHORT_STAY_WITHOUT_PROCEDURE",
        "Q20",
        _ACCURATE,
        _WARNING,
        "住院 {days} 天，少于 {limit} 天，且没有手术操作。",
        "A stay of {days} days, below {limit}, and no procedure.",
        "核对是否符合住院指征；漏填手术操作的请补填。",
        "Check whether it was an admission; state a procedure that is missing.",
    ),
    VerdictText(
        "ONLY_DRUGS_CHARGED",
        "Q21",
        _ACCURATE,
        _WARNING,
        "全部费用为药品或挂号费，没有诊疗费用。",
        "Only drugs or registration were charged, no care.",
        "核对收费项目与是否符合住院指征。",
        "Check the charges and whether it was an admission.",
    ),
)
