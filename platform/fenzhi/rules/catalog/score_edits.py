"""Edits and overlays that keep the total (分值调整与地方叠加，总分值不变).

An expert may lift one group's score, a city may lay its own scores over the province's; in both cases the sum of score ×
cases over last year's cases stays what it was, or the whole scale would drift and with it the price of every other case.
Published scores have declared places, so the total is kept up to the rounding of each score; that rest is stated, not hidden.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.catalog.disease_group import DiseaseGroup
from fenzhi.rules.catalog.edition import score_has_places
from fenzhi.rules.quantities import half_up
from fenzhi.rules.refusals import Refusal


class TotalRule(StrEnum):
    """What happens to the total after an edit (总分值处理)."""

    RENORMALISE = "renormalise"  # 全部分值乘同一系数
    REJECT = "reject"  # 总分值变化即不予通过


@dataclass(frozen=True, slots=True)
class EditLimits:
    """How far a score may be moved (分值调整限度): as a share of the score before, both ways."""

    down: Decimal
    up: Decimal
    max_groups: int | None = None
    """How many groups one edit may touch (调整病种数上限); None for no limit."""


@dataclass(frozen=True, slots=True)
class ScoreRevision:
    """A revised set of groups (调整结果). With refusals nothing may be published.

    `factor` multiplied all scores before rounding; `residual` is Σ score × n after minus before, from rounding alone.
    """

    groups: tuple[DiseaseGroup, ...]
    factor: Fraction
    total_before: Fraction
    total_after: Fraction
    refusals: tuple[Refusal, ...]

    @property
    def residual(self) -> Fraction:
        """What rounding to the declared places left of the total (舍入尾差)."""
        return self.total_after - self.total_before


def score_total(groups: Sequence[DiseaseGroup], cases: Mapping[str, int]) -> Fraction:
    """Σ score × n over last year's cases (总分值), exact. Groups without cases weigh nothing."""
    return sum((Fraction(group.score) * cases.get(group.group_code, 0) for group in groups), Fraction(0))


def overlay_factor(
    groups: Sequence[DiseaseGroup], overlay: Mapping[str, Decimal], cases: Mapping[str, int]
) -> Fraction:
    """The one factor on all scores that keeps Σ score × n (总分值不变系数), exact, for an edit or an overlay.

    Policy: money-rules 16. Raises: ValueError when the overlaid total is zero, that is, when last year had no cases.
    """
    total = score_total(groups, cases)
    overlaid = score_total(_overlaid(groups, overlay), cases)
    if overlaid == 0:
        raise ValueError("last year has no cases of these groups: no factor keeps the total")
    return total / overlaid


def edit_scores(
    groups: Sequence[DiseaseGroup],
    edits: Mapping[str, Decimal],
    *,
    cases: Mapping[str, int],
    limits: EditLimits,
    score_places: int,
    total_rule: TotalRule,
) -> ScoreRevision:
    """Scores edited within limits (分值调整), the total kept as `total_rule` says.

    Rounding: each score once, half up, to the declared places. Refuses, all at once: score_edit_unknown_group,
    score_edit_not_positive, score_edit_places, score_edit_beyond_limit, score_edit_too_many, score_total_changed,
    score_total_without_cases.
    """
    refusals = _edit_faults(groups, edits, limits, score_places)
    before = score_total(groups, cases)
    if refusals:
        return ScoreRevision(tuple(groups), Fraction(1), before, before, tuple(refusals))
    if before == 0:
        return ScoreRevision(tuple(groups), Fraction(1), before, before, (_without_cases(),))
    revised = _overlaid(groups, edits)
    after = score_total(revised, cases)
    if total_rule is TotalRule.REJECT:
        changed = () if after == before else (_total_changed(before, after),)
        return ScoreRevision(tuple(groups) if changed else revised, Fraction(1), before, after, changed)
    return _normalised(revised, overlay_factor(groups, edits, cases), before, cases, score_places)


def lay_over(
    groups: Sequence[DiseaseGroup], overlay: Mapping[str, Decimal], *, cases: Mapping[str, int], score_places: int,
    limits: EditLimits,
) -> ScoreRevision:  # fmt: skip
    """A city's scores over the province's (地方分值叠加): one factor on all scores keeps Σ score × n of its own cases.

    Policy: money-rules 16. Province indicators (CMI) keep the province's scores. Refuses as `edit_scores`.
    """
    return edit_scores(
        groups,
        overlay,
        cases=cases,
        limits=limits,
        score_places=score_places,
        total_rule=TotalRule.RENORMALISE,
    )


def _overlaid(groups: Sequence[DiseaseGroup], overlay: Mapping[str, Decimal]) -> tuple[DiseaseGroup, ...]:
    return tuple(replace(group, score=overlay.get(group.group_code, group.score)) for group in groups)


def _normalised(
    groups: Sequence[DiseaseGroup], factor: Fraction, before: Fraction, cases: Mapping[str, int], places: int
) -> ScoreRevision:
    smallest = Decimal(1).scaleb(-places)

    def rounded(score: Decimal) -> Decimal:
        return max(Decimal(half_up(Fraction(score) * factor * 10**places)).scaleb(-places), smallest)

    revised = tuple(replace(group, score=rounded(group.score)) for group in groups)
    return ScoreRevision(revised, factor, before, score_total(revised, cases), ())


def _edit_faults(
    groups: Sequence[DiseaseGroup], edits: Mapping[str, Decimal], limits: EditLimits, score_places: int
) -> list[Refusal]:
    known = {group.group_code: group.score for group in groups}
    refusals: list[Refusal] = []
    for code, score in edits.items():
        if code not in known:
            refusals.append(
                Refusal(
                    "score_edit_unknown_group",
                    code,
                    str(score),
                    "目录中没有该病种。",
                    "The catalog has no such group.",
                    "核对病种编码。",
                    "Check the group code.",
                )
            )
            continue
        if score <= 0:
            refusals.append(
                Refusal(
                    "score_edit_not_positive",
                    code,
                    str(score),
                    "病种分值必须大于 0。",
                    "A group's score must be above zero.",
                    "填写大于 0 的分值。",
                    "Enter a score above zero.",
                )
            )
            continue
        if not score_has_places(score, score_places):
            refusals.append(
                Refusal(
                    "score_edit_places",
                    code,
                    str(score),
                    f"分值小数位超过目录声明的 {score_places} 位。",
                    f"The score has more than the declared {score_places} decimals.",
                    "按声明的小数位填写。",
                    "Use the declared decimals.",
                )
            )
        before = known[code]
        lowest, highest = before * (1 - limits.down), before * (1 + limits.up)
        if not lowest <= score <= highest:
            refusals.append(
                Refusal(
                    "score_edit_beyond_limit",
                    code,
                    str(score),
                    f"调整后的分值应在 {lowest:f} 与 {highest:f} 之间(原分值 {before:f})。",
                    f"The edited score must lie between {lowest:f} and {highest:f} (before: {before:f}).",
                    "在限度内调整，或按程序申请更大幅度。",
                    "Edit within the limits, or apply for wider ones.",
                )
            )
    if limits.max_groups is not None and len(edits) > limits.max_groups:
        refusals.append(
            Refusal(
                "score_edit_too_many",
                "edits",
                str(len(edits)),
                f"一次最多调整 {limits.max_groups} 个病种。",
                f"At most {limits.max_groups} groups may be edited at once.",
                "减少调整的病种。",
                "Edit fewer groups.",
            )
        )
    return refusals


def _total_changed(before: Fraction, after: Fraction) -> Refusal:
    return Refusal(
        "score_total_changed",
        "edits",
        f"{before} → {after}",
        "调整改变了总分值(Σ 分值 × 例数)。",
        "The edits change the total of score × cases.",
        "使增减相抵，或选择按系数归一。",
        "Balance the edits, or choose renormalisation.",
    )


def _without_cases() -> Refusal:
    return Refusal(
        "score_total_without_cases",
        "cases",
        "0",
        "没有上年病例，无法保持总分值不变。",
        "There are no cases of last year, so no total to keep.",
        "先导入上年病例。",
        "Import last year's cases first.",
    )
