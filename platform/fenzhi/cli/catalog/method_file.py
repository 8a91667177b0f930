"""How a catalog is built, as a file (测算办法文件): every contested choice by name, in YAML or JSON, nothing assumed.

What is left out is not done: without `trim` nothing is trimmed, without `auxiliary` there are no subtypes. A file with faults is
refused with all of them at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

import yaml

from fenzhi.rules.catalog.auxiliary_catalog import AuxiliaryGate
from fenzhi.rules.catalog.formation import ScoreMethod, ScoreRule, Trim
from fenzhi.rules.catalog.groups_from_sums import Deviation
from fenzhi.rules.catalog.score_derivation import WeightingBasis
from fenzhi.rules.refusals import DataRefused, Refusal

TOP: Mapping[str, tuple[str, ...]] = {
    "version": (),
    "weights": (),
    "basis": (),
    "deviation": (),
    "threshold": (),
    "coverage": (),
    "cleaning": ("least_los", "most_los"),
    "trim": ("low", "high"),
    "related_uplift": (),
    "comprehensive": ("threshold", "cv_limit"),
    "score": ("method", "scale", "places", "base_group", "quota_yuan"),
    "levels": (),
    "grassroots": ("cv_limit", "least_share", "levels"),
    "lists": (),
    "auxiliary": ("group_cases", "subtype_cases", "cv_above", "least_reduction", "icu_relax", "subtypes"),
    "coefficients": ("places", "least_cases", "least_spread"),
    "adequacy": ("cv_above",),
}
SUBTYPE = (
    "name", "dimension", "principal", "secondary", "died", "least_los", "age", "age_days", "icu_days", "cci", "cost_ratio",
    "charlson",
)  # fmt: skip
LISTS = ("tcm", "day_case", "per_diem")
"""Lists a document names (名单): TCM advantage, day-case and per-diem groups. The first and the last have no subtypes."""
NO_SUBTYPES = ("tcm", "per_diem")
DIMENSIONS = ("severity", "cci", "age", "icu", "secondary")


@dataclass(frozen=True, slots=True)
class Subtype:
    """One subtype of the auxiliary catalog (辅助分型): all its conditions must hold. Ranges include both ends."""

    name: str
    dimension: str
    principal: tuple[str, ...] = ()
    secondary: tuple[str, ...] = ()
    died: bool = False
    least_los: int | None = None
    age: tuple[int, int] | None = None
    age_days: tuple[int, int] | None = None
    icu_days: tuple[int, int] | None = None
    cci: tuple[int, int] | None = None
    cost_ratio: Fraction | None = None
    """Cost at least so many times the mean of its group."""


@dataclass(frozen=True, slots=True)
class BuildMethod:
    """A method that was read without a fault (测算办法)."""

    score: ScoreRule
    weights: Mapping[int, int] | None = None
    basis: WeightingBasis = WeightingBasis.YEARLY_MEANS
    deviation: Deviation = Deviation.POPULATION
    threshold: int = 15
    coverage: Fraction | None = None
    least_los: int | None = None
    most_los: int | None = None
    trim: Trim | None = None
    related_uplift: Fraction | None = None
    comprehensive_threshold: int | None = None
    comprehensive_cv_limit: Fraction | None = None
    levels: tuple[str, ...] = ()
    """From the lowest to the highest."""
    grassroots_cv_limit: Fraction | None = None
    grassroots_share: Fraction = Fraction(0)
    grassroots_levels: tuple[str, ...] = ()
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    gate: AuxiliaryGate | None = None
    icu_relax: Fraction = Fraction(1)
    subtypes: tuple[Subtype, ...] = ()
    charlson: tuple[tuple[int, tuple[str, ...]], ...] = ()
    """(weight, code prefixes) of each category of the comorbidity index."""
    coefficient_places: int | None = None
    coefficient_least_cases: int = 0
    coefficient_least_spread: Fraction = Fraction(1)
    adequacy_cv: Fraction = Fraction(1)


def read_method(text: str) -> BuildMethod:
    """The method of a YAML or JSON text (读取测算办法). Raises: DataRefused with every fault at once."""
    try:
        document = yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DataRefused(
            (_fault(f"line {line}", str(error.problem), "不是 YAML 或 JSON。", "Not YAML or JSON."),)
        ) from error
    reader = _Reader()
    found = reader.read(document)
    if reader.faults or found is None:
        raise DataRefused(tuple(reader.faults))
    return found


def _fault(where: str, saw: str, zh: str, en: str) -> Refusal:
    return Refusal(
        "build_method",
        where,
        saw[:200],
        zh,
        en,
        "按 docs/catalog.md 的测算办法格式更正。",
        "Correct it by the method format in docs/catalog.md.",
    )


@dataclass
class _Reader:
    faults: list[Refusal] = field(default_factory=list)

    def read(self, document: Any) -> BuildMethod | None:
        if not isinstance(document, dict):
            self._fault("method", "", "测算办法须为键值结构。", "A method is a mapping.")
            return None
        for name, value in document.items():
            if name not in TOP:
                self._fault(name, name, f"未知字段；可用 {'、'.join(TOP)}。", f"Unknown; known are {', '.join(TOP)}.")
            elif TOP[name]:
                self._known(name, value, TOP[name])
        score = self._section(document, "score")
        comprehensive = self._section(document, "comprehensive")
        grassroots = self._section(document, "grassroots")
        cleaning = self._section(document, "cleaning")
        auxiliary = self._section(document, "auxiliary")
        coefficients = self._section(document, "coefficients")
        trim = self._section(document, "trim")
        method = ScoreMethod(self._choice("score.method", score.get("method", "average_cost"), tuple(ScoreMethod)))
        rule = ScoreRule(
            method,
            self._whole("score.scale", score.get("scale", "1000"), 1) or 1,
            self._whole("score.places", score.get("places", "2"), 0) or 0,
            str(score.get("base_group", "")),
            (self._share("score.quota_yuan", score["quota_yuan"], 10**9) or Fraction(0)) * 100
            if "quota_yuan" in score
            else Fraction(0),
        )
        if method is ScoreMethod.BASE_DISEASE and not rule.base_group:
            self._fault("score.base_group", "", "基准病种法须指明基准病种。", "The base disease must be named.")
        if method is ScoreMethod.STANDARD_QUOTA and rule.quota_fen <= 0:
            self._fault("score.quota_yuan", "", "标准定额法须给出每分费用。", "The cost of one point must be given.")
        gate = None
        if auxiliary:
            gate = AuxiliaryGate(
                self._whole("auxiliary.group_cases", auxiliary.get("group_cases"), 0) or 0,
                self._whole("auxiliary.subtype_cases", auxiliary.get("subtype_cases"), 0) or 0,
                self._share("auxiliary.cv_above", auxiliary.get("cv_above"), 100) or Fraction(0),
                self._share("auxiliary.least_reduction", auxiliary.get("least_reduction"), 1) or Fraction(0),
            )
        low, high = (self._share(f"trim.{one}", trim.get(one), 1) if trim else None for one in ("low", "high"))
        if low is not None and high is not None and not low < high:
            self._fault("trim", f"{low} {high}", "低分位须小于高分位。", "The low quantile is below the high one.")
            low = None
        levels = self._texts("levels", document.get("levels", []))
        return BuildMethod(
            score=rule,
            weights=self._weights(document.get("weights")),
            basis=WeightingBasis(self._choice("basis", document.get("basis", "yearly_means"), tuple(WeightingBasis))),
            deviation=Deviation(self._choice("deviation", document.get("deviation", "population"), tuple(Deviation))),
            threshold=self._whole("threshold", document.get("threshold", "15"), 1) or 15,
            coverage=self._share("coverage", document["coverage"], 1) if "coverage" in document else None,
            least_los=self._whole("cleaning.least_los", cleaning["least_los"], 0) if "least_los" in cleaning else None,
            most_los=self._whole("cleaning.most_los", cleaning["most_los"], 1) if "most_los" in cleaning else None,
            trim=Trim(low, high) if low is not None and high is not None else None,
            related_uplift=self._share("related_uplift", document["related_uplift"], 100)
            if "related_uplift" in document
            else None,
            comprehensive_threshold=self._whole("comprehensive.threshold", comprehensive.get("threshold", "1"), 1)
            if comprehensive
            else None,
            comprehensive_cv_limit=self._share("comprehensive.cv_limit", comprehensive["cv_limit"], 100)
            if "cv_limit" in comprehensive
            else None,
            levels=levels,
            grassroots_cv_limit=self._share("grassroots.cv_limit", grassroots.get("cv_limit"), 100)
            if grassroots
            else None,
            grassroots_share=(self._share("grassroots.least_share", grassroots.get("least_share"), 1) or Fraction(0))
            if grassroots
            else Fraction(0),
            grassroots_levels=self._texts("grassroots.levels", grassroots.get("levels", [])),
            lists=self._lists(document.get("lists", {})),
            gate=gate,
            icu_relax=(self._share("auxiliary.icu_relax", auxiliary["icu_relax"], 1) or Fraction(1))
            if "icu_relax" in auxiliary
            else Fraction(1),
            subtypes=self._subtypes(auxiliary.get("subtypes", [])) if auxiliary else (),
            charlson=self._charlson(auxiliary.get("subtypes", [])) if auxiliary else (),
            coefficient_places=self._whole("coefficients.places", coefficients.get("places", "4"), 0)
            if coefficients
            else None,
            coefficient_least_cases=self._whole("coefficients.least_cases", coefficients.get("least_cases", "30"), 1)
            or 1
            if coefficients
            else 0,
            coefficient_least_spread=(
                self._share("coefficients.least_spread", coefficients.get("least_spread", "1"), 100) or Fraction(1)
            )
            if coefficients
            else Fraction(1),
            adequacy_cv=self._share("adequacy.cv_above", document["adequacy"].get("cv_above", "1"), 100) or Fraction(1)
            if isinstance(document.get("adequacy"), dict)
            else Fraction(1),
        )

    def _weights(self, given: Any) -> Mapping[int, int] | None:
        if given is None:
            return None
        if not isinstance(given, dict) or not given:
            self._fault("weights", str(given), "须为年份到权重的映射。", "Weights map years to weights.")
            return None
        found = {}
        for year, weight in given.items():
            said = self._whole(f"weights.{year}", weight, 1)
            if not str(year).isdecimal() or len(str(year)) != 4:
                self._fault(f"weights.{year}", str(year), "年份须为四位数字。", "A year has four digits.")
            elif said is not None:
                found[int(year)] = said
        return dict(sorted(found.items()))

    def _lists(self, given: Any) -> Mapping[str, tuple[str, ...]]:
        if not isinstance(given, dict):
            self._fault("lists", str(given), "须为名单的映射。", "Lists are a mapping.")
            return {}
        self._known("lists", given, LISTS)
        return {name: self._texts(f"lists.{name}", value) for name, value in given.items() if name in LISTS}

    def _subtypes(self, given: Any) -> tuple[Subtype, ...]:
        if not isinstance(given, list) or not given:
            self._fault("auxiliary.subtypes", str(given), "须列出分型。", "Subtypes must be listed.")
            return ()
        found: list[Subtype] = []
        for place, one in enumerate(given, start=1):
            where = f"auxiliary.subtypes[{place}]"
            if not isinstance(one, dict):
                self._fault(where, str(one), "须为键值结构。", "Must be a mapping.")
                continue
            self._known(where, one, SUBTYPE)
            name = str(one.get("name", ""))
            if not name or any(name == other.name for other in found):
                self._fault(f"{where}.name", name, "分型须有唯一名称。", "A subtype has a name of its own.")
                continue
            if "charlson" in one:
                continue
            found.append(
                Subtype(
                    name,
                    self._choice(f"{where}.dimension", one.get("dimension", ""), DIMENSIONS),
                    self._texts(f"{where}.principal", one.get("principal", [])),
                    self._texts(f"{where}.secondary", one.get("secondary", [])),
                    one.get("died", "false") == "true",
                    self._whole(f"{where}.least_los", one["least_los"], 0) if "least_los" in one else None,
                    self._range(f"{where}.age", one.get("age")),
                    self._range(f"{where}.age_days", one.get("age_days")),
                    self._range(f"{where}.icu_days", one.get("icu_days")),
                    self._range(f"{where}.cci", one.get("cci")),
                    self._share(f"{where}.cost_ratio", one["cost_ratio"], 100) if "cost_ratio" in one else None,
                )
            )
        return tuple(found)

    def _charlson(self, given: Any) -> tuple[tuple[int, tuple[str, ...]], ...]:
        found: list[tuple[int, tuple[str, ...]]] = []
        for place, one in enumerate(given if isinstance(given, list) else (), start=1):
            if isinstance(one, dict) and isinstance(one.get("charlson"), list):
                for entry in one["charlson"]:
                    where = f"auxiliary.subtypes[{place}].charlson"
                    if not isinstance(entry, dict):
                        self._fault(where, str(entry), "须含 weight 与 codes。", "Needs weight and codes.")
                        continue
                    weight = self._whole(f"{where}.weight", entry.get("weight"), 1)
                    codes = self._texts(f"{where}.codes", entry.get("codes", []))
                    if weight is not None:
                        found.append((weight, codes))
        return tuple(found)

    def _range(self, where: str, given: Any) -> tuple[int, int] | None:
        if given is None:
            return None
        if isinstance(given, list) and len(given) == 2:
            low, high = self._whole(where, given[0], 0), self._whole(where, given[1], 0)
            if low is not None and high is not None and low <= high:
                return low, high
        self._fault(where, str(given), "须为两个整数，小者在前。", "Two whole numbers, the smaller first.")
        return None

    def _section(self, document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        section = document.get(name, {})
        if isinstance(section, dict):
            return section
        self._fault(name, str(section), "须为键值结构。", "Must be a mapping.")
        return {}

    def _known(self, where: str, given: Any, known: tuple[str, ...]) -> None:
        for name in given if isinstance(given, dict) else ():
            if name not in known:
                self._fault(
                    f"{where}.{name}", name, f"未知字段；可用 {'、'.join(known)}。", f"Known: {', '.join(known)}."
                )

    def _texts(self, where: str, given: Any) -> tuple[str, ...]:
        listed = [given] if isinstance(given, str) else given
        if isinstance(listed, list) and all(isinstance(one, str) and one for one in listed):
            return tuple(listed)
        self._fault(where, str(given), "须为文本列表。", "Must be a list of texts.")
        return ()

    def _whole(self, where: str, given: Any, least: int) -> int | None:
        if isinstance(given, str) and given.isascii() and given.isdecimal() and len(given) < 10 and int(given) >= least:
            return int(given)
        self._fault(where, str(given), f"须为不小于 {least} 的整数。", f"A whole number, {least} or more.")
        return None

    def _share(self, where: str, given: Any, most: int) -> Fraction | None:
        try:
            found = Fraction(Decimal(str(given)))
        except (ArithmeticError, ValueError, OverflowError):
            found = Fraction(-1)
        if 0 <= found <= most:
            return found
        self._fault(where, str(given), f"须为 0 至 {most} 的小数。", f"A decimal from 0 to {most}.")
        return None

    def _choice(self, where: str, value: Any, known: tuple[str, ...]) -> str:
        if value in known:
            return str(value)
        self._fault(where, str(value), f"取值应为 {'、'.join(known)} 之一。", f"Must be one of {', '.join(known)}.")
        return str(known[0])

    def _fault(self, where: str, saw: str, zh: str, en: str) -> None:
        self.faults.append(_fault(where, saw, zh, en))
