"""Every code a hospital can meet at intake, with its words (上报环节全部结论代码).

One registry: a code that is not here cannot be given, and a code that is here has its page in docs/refusals.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from fenzhi.rules.refusals import Refusal
from fenzhi.rules.submission.check_texts import CHECK_TEXTS
from fenzhi.rules.submission.evidence_texts import EVIDENCE_TEXTS
from fenzhi.rules.submission.format_texts import FORMAT_TEXTS
from fenzhi.rules.submission.optional_texts import OPTIONAL_TEXTS
from fenzhi.rules.submission.table_texts import TABLE_TEXTS
from fenzhi.rules.submission.verdict import Severity, Verdict, VerdictText

VERDICT_TEXTS: Mapping[str, VerdictText] = MappingProxyType(
    {text.code: text for text in FORMAT_TEXTS + TABLE_TEXTS + CHECK_TEXTS + OPTIONAL_TEXTS + EVIDENCE_TEXTS}
)

_SAW_LIMIT = 200
_SLOT = re.compile(r"\{([a-z_]+)\}")


def filled(text: str, slots: Mapping[str, str]) -> str:
    """`text` with its slots filled once (填充文本). A brace that opens no named slot stays as it is, in a value too."""
    return _SLOT.sub(lambda slot: slots.get(slot[1], slot[0]), text)


@lru_cache(maxsize=4096)
def _words(code: str, slots: tuple[tuple[str, str], ...]) -> tuple[str, str, str, str]:
    """The four texts of a code with their slots filled; the same finding is made of many lists."""
    text, given = VERDICT_TEXTS[code], dict(slots)
    return filled(text.zh, given), filled(text.en, given), filled(text.remedy_zh, given), filled(text.remedy_en, given)


def verdict(
    code: str,
    where: str,
    saw: str,
    /,
    *,
    severities: Mapping[str, Severity] = MappingProxyType({}),
    **slots: str,
) -> Verdict:
    """A finding with its words (生成结论); `severities` is what policy says against the registry's own severity.

    Raises: KeyError for a code that is not registered.
    """
    text = VERDICT_TEXTS[code]
    seen = saw if len(saw) <= _SAW_LIMIT else saw[:_SAW_LIMIT] + "…"
    zh, en, remedy_zh, remedy_en = _words(code, tuple(slots.items()))
    return Verdict(
        code=code,
        where=where,
        saw=seen,
        zh=zh,
        en=en,
        remedy_zh=remedy_zh,
        remedy_en=remedy_en,
        rule=text.rule,
        dimension=text.dimension,
        severity=severities.get(code, text.severity),
        judged=text.judged,
    )


def refusal(code: str, where: str, saw: str, /, **slots: str) -> Refusal:
    """A fault with its words and without its rule (生成校验不通过)."""
    return verdict(code, where, saw, severities=MappingProxyType({}), **slots).refusal()


def format_verdict(fault: Refusal, severities: Mapping[str, Severity] = MappingProxyType({})) -> Verdict:
    """A reader's fault as a finding (格式差错转为结论), with the rule and severity of its code.

    Raises: KeyError for a code that is not registered.
    """
    text = VERDICT_TEXTS[fault.code]
    return Verdict(
        fault.code,
        fault.where,
        fault.saw,
        fault.zh,
        fault.en,
        fault.remedy_zh,
        fault.remedy_en,
        text.rule,
        text.dimension,
        severities.get(fault.code, text.severity),
        text.judged,
    )
