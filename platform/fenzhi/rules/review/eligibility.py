"""Which cases may ask for a special-case review (特例单议申请条件), by policy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.refusals import Refusal


class SpecialReason(StrEnum):
    """Why a case is special (申请理由)."""

    HIGH_COST = "high_cost"  # 费用高、资源消耗多
    LONG_STAY = "long_stay"  # 住院时间长
    NEW_DRUG_OR_TECHNOLOGY = "new_drug_or_technology"  # 新药新耗材新技术
    CRITICAL_AND_COMPLEX = "critical_and_complex"  # 复杂危重症
    MULTIDISCIPLINARY = "multidisciplinary"  # 多学科联合诊疗
    CHILD_OR_NEWBORN = "child_or_newborn"  # 儿童、新生儿
    MULTIPLE_INJURY = "multiple_injury"  # 多器官损伤
    BURN = "burn"  # 烧伤
    INFECTIOUS_DISEASE = "infectious_disease"  # 传染病


MEASURED = (SpecialReason.HIGH_COST, SpecialReason.LONG_STAY)
"""Reasons a number decides; the others rest on evidence that the panel weighs."""


@dataclass(frozen=True, slots=True)
class EligibilityTerms:
    """What an area asks of an application (申请口径). A multiple is met when strictly above, or at it if inclusive."""

    reasons: frozenset[SpecialReason]
    cost_multiple: Fraction
    stay_multiple: Fraction | None = None
    multiple_inclusive: bool = False
    high_cost_always: bool = True
    """Whether every application, whatever its reason, must reach the cost multiple (费用倍数是否为必要条件)."""

    @classmethod
    def from_policy(cls, policy: ResolvedPolicy) -> EligibilityTerms:
        """The terms of an area (按策略确定申请口径). Raises: PolicyNotEntered."""
        return cls(
            frozenset(SpecialReason(name) for name in policy.list("special_case.reasons")),
            policy.fraction("special_case.cost_multiple"),
            policy.optional_fraction("special_case.stay_multiple"),
            policy.flag("special_case.multiple_inclusive"),
            policy.flag("special_case.cost_multiple_always"),
        )


@dataclass(frozen=True, slots=True)
class SpecialCase:
    """A case as its hospital applies with it (申请病例). Units: fen, days."""

    cost_fen: int
    payment_standard_fen: int
    los_days: int
    mean_los_days: Fraction
    reasons: frozenset[SpecialReason]
    evidence: tuple[str, ...] = ()
    """SHA-256 digests of the material handed in, as hex (材料摘要)."""


def eligibility_faults(case: SpecialCase, terms: EligibilityTerms) -> tuple[Refusal, ...]:
    """Everything that keeps a case from being heard, none when it may (不符合申请条件之处).

    Policy: special_case.reasons, special_case.cost_multiple, special_case.stay_multiple.
    """
    found: list[Refusal] = []

    def fault(code: str, where: str, saw: object, zh: str, en: str) -> None:
        remedy = ("请核对申请条件。", "Check the conditions of application.")
        found.append(Refusal(code, where, str(saw), zh, en, *remedy))

    if not case.reasons:
        fault("SPECIAL_CASE_NO_REASON", "reasons", "", "未选择申请理由。", "No reason is given.")
    for reason in sorted(case.reasons - terms.reasons):
        fault(
            "SPECIAL_CASE_REASON",
            "reasons",
            reason.value,
            "该理由不在本地申请范围内。",
            "The area hears no such reason.",
        )
    asks_cost = terms.high_cost_always or SpecialReason.HIGH_COST in case.reasons
    if asks_cost and not _reaches(case.cost_fen, case.payment_standard_fen * terms.cost_multiple, terms):
        fault(
            "SPECIAL_CASE_COST",
            "cost",
            case.cost_fen,
            f"医疗总费用未超过支付标准的 {terms.cost_multiple} 倍。",
            f"The cost does not exceed {terms.cost_multiple} times the payment standard.",
        )
    if SpecialReason.LONG_STAY in case.reasons:
        if terms.stay_multiple is None:
            fault(
                "SPECIAL_CASE_STAY",
                "los_days",
                case.los_days,
                "本地未规定住院天数倍数。",
                "The area sets no multiple of stay.",
            )
        elif not _reaches(case.los_days, case.mean_los_days * terms.stay_multiple, terms):
            fault(
                "SPECIAL_CASE_STAY",
                "los_days",
                case.los_days,
                f"住院天数未超过平均住院日的 {terms.stay_multiple} 倍。",
                f"The stay does not exceed {terms.stay_multiple} times the mean.",
            )
    if not all(_is_digest(digest) for digest in case.evidence) or not case.evidence:
        fault(
            "SPECIAL_CASE_EVIDENCE", "evidence", "", "须附材料及其摘要。", "Material with its digest must be handed in."
        )
    return tuple(found)


def _reaches(value: int, edge: Fraction, terms: EligibilityTerms) -> bool:
    return value > edge or (terms.multiple_inclusive and value == edge)


def _is_digest(text: str) -> bool:
    return len(text) == 64 and all(sign in "0123456789abcdef" for sign in text)
