"""One finding about a settlement list (质控结论)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from fenzhi.rules.refusals import Refusal


class Severity(StrEnum):
    """What a finding does to its list (严重程度)."""

    ERROR = "error"
    """The list is refused (不通过)."""
    WARNING = "warning"
    """The list is accepted and the finding is recorded (提示)."""


class Dimension(StrEnum):
    """Which quality of the data a finding concerns (质控维度)."""

    TIMELY = "timely"
    COMPLETE = "complete"
    ACCURATE = "accurate"


@dataclass(frozen=True, slots=True)
class VerdictText:
    """The words of one code (结论文本): slots in braces are filled with what was seen."""

    code: str
    rule: str
    """The quality-control rule the code belongs to (质控规则), such as Q08."""
    dimension: Dimension
    severity: Severity
    """Severity where policy does not say otherwise."""
    zh: str
    en: str
    remedy_zh: str
    remedy_en: str
    judged: bool = True
    """False for "cannot judge" (无法判定): data the platform needs are missing, so the list neither passed nor failed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One finding about one list (质控结论): a refusal's words with its rule, dimension and severity."""

    code: str
    where: str
    saw: str
    zh: str
    en: str
    remedy_zh: str
    remedy_en: str
    rule: str
    dimension: Dimension
    severity: Severity
    judged: bool = True

    def refusal(self) -> Refusal:
        """The finding without its rule (校验不通过), for those who only read faults."""
        return Refusal(self.code, self.where, self.saw, self.zh, self.en, self.remedy_zh, self.remedy_en)


def deciding(verdicts: Iterable[Verdict]) -> Verdict | None:
    """The finding a list is refused for (首要不通过原因): its first error, or None when the list is accepted."""
    for finding in verdicts:
        if finding.severity is Severity.ERROR:
            return finding
    return None
