"""An independent answer to every case (独立参考实现): slow, plain, and free of the code it checks.

Written from the policy texts, not from the engine: texts in, texts out, fractions throughout, every group of the diagnosis tried. A
test holds that it imports nothing of `fenzhi.engine` and `fenzhi.rules`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

ORDER_OF_CLASSES = ("conservative", "diagnostic", "therapeutic", "surgical")


@dataclass(frozen=True)
class Group:
    """A line of the catalog (目录行)."""

    code: str
    key: str
    main: tuple[frozenset[str], ...]
    related: tuple[frozenset[str], ...]
    core: bool
    treatment: str
    score: Fraction
    grassroots: bool

    @property
    def wants(self) -> tuple[frozenset[str], ...]:
        """All parts (全部组合项)."""
        return self.main + self.related


class World:
    """A catalog with all that prices it, from texts (参考世界)."""

    def __init__(self, texts: Mapping[str, Any]) -> None:
        self.by_category: dict[str, list[Group]] = {}
        for line in _table(texts["catalog"]):
            found = Group(
                line["dip_code"],
                line["dx_code"],
                _wanted(line["main_ops"]),
                _wanted(line["other_ops"]),
                line["kind"] == "core",
                line.get("procedure_class", ""),
                Fraction(Decimal(line["score"])),
                line["grassroots"] == "1",
            )
            self.by_category.setdefault(found.key[:3], []).append(found)
        self.gray = {line["code"]: line["is_gray"] == "1" for line in _table(texts["diagnoses"])}
        self.treatments = {line["code"]: line["procedure_class"] for line in _table(texts["procedures"])}
        self.hospitals = {
            line["hospital"]: (line["level"], Fraction(Decimal(line["coefficient"])))
            for line in _table(texts["hospitals"])
        }
        self.means: dict[tuple[str, str], Fraction] = {}
        for line in _table(texts["references"]):
            total, n = Fraction(Decimal(line["total"])), int(line["n"])
            if total > 0 and n > 0:
                self.means[line["group_code"], line["level"]] = total / n
        self.choices: Mapping[str, str] = texts["choices"]
        self.ties = [one for one in self.choices["grouping.tie_break"].split(",") if one]
        self.places = _places(int(self.choices["catalog.score_scale"]))

    def answer(self, principal: str, procedures: Sequence[str], cost: str, hospital: str) -> dict[str, str]:
        """Group, reason, band, reference and points of one case (一例的答案), blanks where there is none."""
        group, reason = self._group(principal, list(dict.fromkeys(procedures)))
        if group is None:
            return {"group_code": "", "reason": reason, "band": "", "reference_source": "", "points": ""}
        band, source, points = self._points(group, Fraction(Decimal(cost)), hospital)
        return {"group_code": group.code, "reason": reason, "band": band, "reference_source": source, "points": points}

    def _group(self, principal: str, procedures: list[str]) -> tuple[Group | None, str]:
        if principal == "":
            return None, "principal_diagnosis_missing"
        if principal not in self.gray:
            return None, "principal_diagnosis_unknown"
        if self.gray[principal] and self.choices["grouping.gray_principal"] != "group":
            return None, "principal_diagnosis_gray"
        near = [
            (rank, group)
            for group in self.by_category.get(principal[:3], ())
            if (rank := _rank(principal, group.key)) >= 0
        ]
        if procedures:
            matching = [
                (rank, group)
                for rank, group in near
                if group.core and group.wants and all(any(code in part for code in procedures) for part in group.wants)
            ]
            if matching:
                nearest = min(rank for rank, _ in matching)
                return self._best([group for rank, group in matching if rank == nearest], procedures), "core_matched"
        if not procedures or self.choices["grouping.conservative_match"] == "fallback":
            quiet = sorted((rank, group.code, group) for rank, group in near if group.core and not group.wants)
            if quiet:
                return quiet[0][2], "conservative_fallback" if procedures else "conservative_matched"
        gathered = [(rank, group) for rank, group in near if not group.core]
        treatment = self._treatment(procedures)
        if treatment == "" and gathered:
            return None, "procedure_class_unknown"
        fitting = sorted((rank, group.code, group) for rank, group in gathered if group.treatment == treatment)
        if fitting:
            return fitting[0][2], "comprehensive_matched"
        return None, "no_group_for_procedures" if near else "no_group_for_diagnosis"

    def _treatment(self, procedures: list[str]) -> str:
        if not procedures:
            return "conservative"
        if self.choices["grouping.class_of"] == "main":
            return self.treatments.get(procedures[0], "")
        known = [ORDER_OF_CLASSES.index(found) for code in procedures if (found := self.treatments.get(code, ""))]
        return ORDER_OF_CLASSES[max(known)] if known else ""

    def _best(self, candidates: list[Group], procedures: list[str]) -> Group:
        """Tournament, one comparator after another: only the best of each stay."""
        for name in self.ties:
            worth = {group.code: _worth(name, group, procedures) for group in candidates}
            top = max(worth.values())
            candidates = [group for group in candidates if worth[group.code] == top]
        return min(candidates, key=lambda group: group.code.encode("utf-8"))

    def _points(self, group: Group, cost: Fraction, hospital: str) -> tuple[str, str, str]:
        level, k = self.hospitals[hospital]
        if group.grassroots:
            k = Fraction(1)
        source, mean = "none", Fraction(0)
        for name, key in (("all_levels", (group.code, "")), ("same_level", (group.code, level))):
            if key in self.means and (name == "all_levels" or level != ""):
                source, mean = name, self.means[key]
        if source == "none":
            return "cannot_judge", source, _printed(group.score * k, self.places)
        ratio = cost / mean
        low, high = (Fraction(Decimal(self.choices[f"scoring.{edge}_ratio"])) for edge in ("low", "high"))
        last = self.choices["scoring.extreme_ratio"]
        inside = self.choices["scoring.outlier_method"] == "coefficient_inside"
        if self._beyond(low - ratio, "low"):
            return "low", source, _printed(group.score * ratio * (1 if inside else k), self.places)
        if last != "none" and self._beyond(ratio - Fraction(Decimal(last)), "extreme"):
            return "extreme", source, _printed(group.score * k, self.places)
        if self._beyond(ratio - high, "high"):
            factor = ratio - high + k if inside else (ratio - high + 1) * k
            return "high", source, _printed(group.score * factor, self.places)
        return "normal", source, _printed(group.score * k, self.places)

    def _beyond(self, distance: Fraction, edge: str) -> bool:
        return distance > 0 or (distance == 0 and self.choices[f"scoring.{edge}_inclusive"] == "true")


def _worth(name: str, group: Group, procedures: list[str]) -> Fraction:
    """Larger is better."""
    if name == "most_parts":
        return Fraction(len(group.wants))
    if name == "most_matched":
        return Fraction(sum(1 for code in procedures if any(code in part for part in group.wants)))
    if name == "main_matched":
        return Fraction(int(any(procedures[0] in part for part in group.main)))
    if name == "higher_score":
        return group.score
    if name == "core_first":
        return Fraction(int(group.core))
    raise ValueError(f"no such comparator: {name}")


def _rank(code: str, key: str) -> int:
    """How special the key is for the code: 0 the code itself, then less and less; −1 when it is none of its keys."""
    dagger = code.split("+")[0]
    for rank, form in enumerate((code, dagger, dagger[:7], dagger[:5], dagger[:3])):
        if form == key:
            return rank
    return -1


def _wanted(cell: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(part.split("/")) for part in cell.split("+")) if cell else ()


def _table(text: str) -> list[dict[str, str]]:
    return [{name: value or "" for name, value in row.items()} for row in csv.DictReader(io.StringIO(text))]


def _places(scale: int) -> int:
    """Decimals of case points: the smallest d with 10^d × scale ≥ 10^7."""
    return next(places for places in range(8) if scale * 10**places >= 10_000_000)


def _printed(value: Fraction, places: int) -> str:
    """Rounded half up once, with all its places. Points are never negative."""
    units, rest = divmod(value.numerator * 10**places, value.denominator)
    if 2 * rest >= value.denominator:
        units += 1
    digits = str(units).rjust(places + 1, "0")
    return digits[: len(digits) - places] + ("." + digits[len(digits) - places :] if places else "")
