"""Lint of a city's overlay (市级调整检查): what it changes of the province's rows, and where it goes beyond what it may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from fenzhi.rules.catalog.disease_group import DiseaseGroup
from fenzhi.rules.catalog.lint import LintFinding


def lint_overlay(
    groups: Sequence[DiseaseGroup], scores: Mapping[str, Decimal], asked: Mapping[str, Decimal], limit: Decimal
) -> tuple[LintFinding, ...]:
    """Findings about an overlay over the province's groups (市级调整检查), in byte order of the group codes.

    `scores` are the overlay's, the common factor applied; `asked` are those the city named. Codes: overlay_group_unknown,
    overlay_beyond_limit (a score asked for moves further than the province allows), national_row_changed.
    """
    known = {group.group_code: group.score for group in groups}
    found: list[LintFinding] = []
    for code in sorted(scores.keys() | asked.keys(), key=lambda one: one.encode()):
        before = known.get(code)
        if before is None:
            found.append(_finding("overlay_group_unknown", code, ""))
            continue
        wanted = asked.get(code)
        if wanted is not None and abs(wanted - before) > before * limit:
            found.append(_finding("overlay_beyond_limit", code, f"{before:f} → {wanted:f}"))
        now = scores.get(code, before)
        if now != before:
            found.append(_finding("national_row_changed", code, f"{before:f} → {now:f}"))
    return tuple(found)


_WORDS: Mapping[str, tuple[str, str, str, str]] = {
    "overlay_group_unknown": (
        "目录中没有该病种", "The edition has no such group",
        "从调整中删除。", "Take it out of the overlay."),
    "overlay_beyond_limit": (
        "调整幅度超过省级限度", "The score moves beyond the province's limit",
        "在限度内调整。", "Stay within the limit."),
    "national_row_changed": (
        "与省级目录的分值不同", "Differs from the province's score",
        "确认调整有文件依据。", "Check that a document says so."),
}  # fmt: skip


def _finding(code: str, group: str, detail: str) -> LintFinding:
    zh, en, remedy_zh, remedy_en = _WORDS[code]
    told, tail = (f"（{detail}）", f" ({detail})") if detail else ("", "")
    return LintFinding(code, group, "", (), f"{zh}{told}。", f"{en}{tail}.", remedy_zh, remedy_en)
