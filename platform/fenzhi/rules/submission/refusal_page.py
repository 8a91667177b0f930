"""The page that explains a code (结论代码说明页): docs/refusals/<CODE>.md."""

from __future__ import annotations

from fenzhi.rules.submission.verdict import Dimension, Severity, VerdictText
from fenzhi.rules.submission.verdict_texts import VERDICT_TEXTS

_DIMENSIONS = {
    Dimension.TIMELY: "及时性 (timely)",
    Dimension.COMPLETE: "完整性 (complete)",
    Dimension.ACCURATE: "准确性 (accurate)",
}
_EFFECTS = {
    Severity.ERROR: "清单不予受理，更正后以同一结算号重新上报。 / The list is refused; correct it and submit it again.",
    Severity.WARNING: "清单受理，本条作为提示记录。 / The list is accepted and the finding is recorded.",
}
_UNJUDGED = (
    "平台缺少判定所需的数据，既不算通过也不算差错。 / The platform lacks data: the list neither passed nor failed."
)


def refusal_page(code: str) -> str:
    """The page of one code in Markdown, Chinese first (说明页全文). Raises: KeyError for an unregistered code."""
    text = VERDICT_TEXTS[code]
    return "\n".join((*_head(text), *_body(text), ""))


def _head(text: VerdictText) -> tuple[str, ...]:
    effect = _EFFECTS[text.severity] if text.judged else _UNJUDGED + " " + _EFFECTS[text.severity]
    return (
        f"# {text.code}",
        "",
        "| | |",
        "|---|---|",
        f"| 规则 rule | {text.rule} |",
        f"| 维度 dimension | {_DIMENSIONS[text.dimension]} |",
        f"| 严重程度 severity | {text.severity.value}（政策可调整 / policy may change it） |",
        f"| 后果 effect | {effect} |",
    )


def _body(text: VerdictText) -> tuple[str, ...]:
    return (
        "",
        "## 说明 What it says",
        "",
        text.zh,
        "",
        text.en,
        "",
        "## 如何更正 How to mend it",
        "",
        text.remedy_zh,
        "",
        text.remedy_en,
        "",
        "花括号中的内容在实际结论里换成所见的值。 / Words in braces are replaced by what was seen.",
    )


def refusal_index() -> str:
    """The list of all intake codes with their rule and first sentence (结论代码索引)."""
    rows = [
        f"| [{text.code}]({text.code}.md) | {text.rule} | {text.severity.value} | {text.zh} |"
        for text in sorted(VERDICT_TEXTS.values(), key=lambda text: (text.rule, text.code))
    ]
    return "\n".join(
        (
            "# 清单上报结论代码 Intake findings",
            "",
            "由 `make docs` 生成。 / Generated; edit the registry, not the pages.",
            "",
            "| 代码 code | 规则 rule | 严重程度 severity | 说明 |",
            "|---|---|---|---|",
            *rows,
            "",
        )
    )
