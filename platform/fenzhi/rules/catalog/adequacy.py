"""The adequacy report (充分性报告): what an edition says well and what it does not, published with it.

For each group the cases, mean and scatter it rests on; by specialty the share that finds no group; the groups that scatter too
widely; and against the edition before what moved and why: its own cost, or everybody's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from fenzhi.rules.catalog.score_derivation import cv_text
from fenzhi.rules.quantities import decimal_places

NEWBORN_CHAPTER = "P"
"""First letter of the diagnoses of newborns (围生期疾病)."""


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """What a group rests on (病种依据). Units: `mean_fen` in fen; `weight` is its mean over that of all; fractions exact."""

    group_code: str
    cases: int
    mean_fen: Fraction
    cv_squared: Fraction | None
    weight: Fraction


@dataclass(frozen=True, slots=True)
class Specialty:
    """Cases of one chapter of diagnoses (专科)."""

    chapter: str
    cases: int
    grouped: int
    groups: int

    @property
    def ungrouped_share(self) -> Fraction:
        """Share of the cases that find no group (未入组占比)."""
        return Fraction(self.cases - self.grouped, self.cases) if self.cases else Fraction(0)


@dataclass(frozen=True, slots=True)
class Moved:
    """A group whose weight differs from the edition before (变动病种). weight after = before × own ÷ overall, exact."""

    group_code: str
    before: Fraction | None
    after: Fraction | None
    own: Fraction | None
    """Its mean now over its mean then (自身费用变化)."""
    overall: Fraction | None
    """The mean of all now over that of all then (总体费用变化)."""

    @property
    def why(self) -> str:
        """added, removed, own_cost or overall_cost (变动原因): whichever changed more."""
        if self.before is None:
            return "added"
        if self.after is None or self.own is None or self.overall is None:
            return "removed"
        return "own_cost" if _distance(self.own) >= _distance(self.overall) else "overall_cost"


def _distance(ratio: Fraction) -> Fraction:
    return max(ratio, 1 / ratio)


@dataclass(frozen=True, slots=True)
class Adequacy:
    """The report (充分性报告)."""

    cases: int
    grouped: int
    specialties: tuple[Specialty, ...]
    groups: tuple[GroupFigures, ...]
    cv_limit: Fraction
    wide: tuple[GroupFigures, ...]
    """Groups whose CV exceeds the limit, the largest first."""
    moved: tuple[Moved, ...] | None
    """None without an edition before."""

    @property
    def ungrouped_share(self) -> Fraction:
        """Share of all cases that find no group (未入组占比)."""
        return Fraction(self.cases - self.grouped, self.cases) if self.cases else Fraction(0)

    @property
    def newborns(self) -> Specialty | None:
        """The cases of newborns (新生儿), or None when there are none."""
        return next((one for one in self.specialties if one.chapter == NEWBORN_CHAPTER), None)


def adequacy_of(
    groups: Sequence[GroupFigures],
    specialties: Mapping[str, tuple[int, int, int]],
    *,
    cv_limit: Fraction,
    before: Sequence[GroupFigures] | None = None,
) -> Adequacy:
    """The report from the figures of an edition (编制充分性报告).

    Shape: `specialties` maps a chapter to (cases, cases in groups, groups). A group without scatter, one case under the sample
    deviation, is not called wide. Moved groups come with the largest move first.

    >>> was = GroupFigures("A", 10, Fraction(100), Fraction(1, 4), Fraction(1, 2))
    >>> now = GroupFigures("A", 12, Fraction(150), Fraction(9, 4), Fraction(3, 5))
    >>> found = adequacy_of([now], {"A": (20, 12, 1)}, cv_limit=Fraction(1), before=[was])
    >>> found.ungrouped_share, [one.group_code for one in found.wide]
    (Fraction(2, 5), ['A'])
    >>> found.moved[0].own, found.moved[0].overall, found.moved[0].why
    (Fraction(3, 2), Fraction(5, 4), 'own_cost')
    """
    listed = tuple(Specialty(chapter, *numbers) for chapter, numbers in sorted(specialties.items()))
    wide = sorted(
        (one for one in groups if one.cv_squared is not None and one.cv_squared > cv_limit**2),
        key=lambda one: (-(one.cv_squared or 0), one.group_code),
    )
    return Adequacy(
        sum(one.cases for one in listed),
        sum(one.grouped for one in listed),
        listed,
        tuple(groups),
        cv_limit,
        tuple(wide),
        _moved(before, groups) if before is not None else None,
    )


def _moved(before: Sequence[GroupFigures], after: Sequence[GroupFigures]) -> tuple[Moved, ...]:
    old = {one.group_code: one for one in before}
    new = {one.group_code: one for one in after}
    found = []
    for code in sorted(old.keys() | new.keys()):
        was, now = old.get(code), new.get(code)
        if was is not None and now is not None:
            if was.weight == now.weight:
                continue
            own = now.mean_fen / was.mean_fen
            found.append(Moved(code, was.weight, now.weight, own, own * was.weight / now.weight))
        else:
            found.append(Moved(code, was.weight if was else None, now.weight if now else None, None, None))
    return tuple(sorted(found, key=lambda one: (-_size(one), one.group_code)))


def _size(one: Moved) -> Fraction:
    if one.before is None or one.after is None:
        return Fraction(0)
    return _distance(one.after / one.before)


_WHY = {
    "added": ("新增", "new"),
    "removed": ("取消", "removed"),
    "own_cost": ("本病种费用变化", "its own cost"),
    "overall_cost": ("总体费用变化", "everybody's cost"),
}


def percent(share: Fraction) -> str:
    """A share as shown, in percent with two places (百分比)."""
    return f"{decimal_places(share * 100, 2)}%"


def adequacy_page(report: Adequacy, title: str, *, most: int = 50) -> str:
    """The report as a page of Markdown in both languages (充分性报告文稿). Tables beyond `most` rows say how many they leave out."""
    newborns = report.newborns
    lines = [
        f"# {title} 充分性报告 Adequacy report",
        "",
        f"- 病例 cases：{report.cases}；入组 grouped：{report.grouped}；未入组占比 ungrouped：{percent(report.ungrouped_share)}",
        f"- 病种 groups：{len(report.groups)}；变异系数超过 {decimal_places(report.cv_limit, 2)} 的病种 groups above this CV：{len(report.wide)}",
        f"- 新生儿未入组占比 newborns ungrouped：{percent(newborns.ungrouped_share) if newborns else '无病例 no cases'}",
        "",
        "## 各专科 By specialty",
        "",
        "| 诊断章 chapter | 病例 cases | 入组 grouped | 病种 groups | 未入组占比 ungrouped |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.chapter} | {one.cases} | {one.grouped} | {one.groups} | {percent(one.ungrouped_share)} |"
        for one in report.specialties
    ]
    lines += ["", "## 费用离散的病种 Groups that scatter widely", "", *_group_table(report.wide, most)]
    if report.moved is not None:
        lines += ["", "## 与上一版相比 Against the edition before", ""]
        lines += [
            "| 病种 group | 原权重 before | 新权重 after | 自身 own | 总体 overall | 原因 why |",
            "|---|---|---|---|---|---|",
        ]
        for one in report.moved[:most]:
            figures = (one.before, one.after, one.own, one.overall)
            shown = " | ".join("" if figure is None else decimal_places(figure, 4) for figure in figures)
            zh, en = _WHY[one.why]
            lines.append(f"| {one.group_code} | {shown} | {zh} {en} |")
        lines += _left_out(len(report.moved), most)
    lines += ["", "## 各病种 Every group", "", *_group_table(report.groups, len(report.groups))]
    return "\n".join(lines) + "\n"


def _group_table(groups: Sequence[GroupFigures], most: int) -> list[str]:
    lines = ["| 病种 group | 例数 n | 均费（元） mean, yuan | 变异系数 CV | 权重 weight |", "|---|---|---|---|---|"]
    lines += [
        f"| {one.group_code} | {one.cases} | {decimal_places(one.mean_fen / 100, 2)} | "
        f"{'' if one.cv_squared is None else cv_text(one.cv_squared)} | {decimal_places(one.weight, 4)} |"
        for one in groups[:most]
    ]
    return lines + _left_out(len(groups), most)


def _left_out(count: int, most: int) -> list[str]:
    return ["", f"另有 {count - most} 行未列出。 {count - most} more rows."] if count > most else []
