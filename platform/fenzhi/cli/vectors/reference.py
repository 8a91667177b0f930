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

DISCHARGE = "2026-03-01"
"""Every case of a world leaves on this day; factors with dates are tried around it."""
_FACTS = {"age_days": "age", "birth_weight_g": "weight", "los_days": "los"}
_REASON_OF_LAYER = {
    "priority": "priority_matched",
    "merged": "merged_matched",
    "dx_auxiliary": "auxiliary_matched",
    "basic": "core_matched",
}
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
    layer: str = "basic"
    more: tuple[str, ...] = ()
    beside: tuple[frozenset[str], ...] = ()
    """Keys that other diagnoses must lie under."""
    bands: tuple[tuple[str, int | None, int | None], ...] = ()

    @property
    def wants(self) -> tuple[frozenset[str], ...]:
        """All parts (全部组合项)."""
        return self.main + self.related


class World:
    """A catalog with all that prices it, from texts (参考世界)."""

    def __init__(self, texts: Mapping[str, Any]) -> None:
        self.choices: Mapping[str, Any] = texts["choices"]
        self.standard = self.choices.get("catalog.standard", "2.0")
        self.everywhere: list[Group] = []
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
                line.get("layer", "") or "basic",
                tuple(line["more_dx"].split("/")) if line.get("more_dx") else (),
                tuple(_opened(part) for part in line["secondary_dx"].split("+")) if line.get("secondary_dx") else (),
                tuple(_band(text) for text in line["facts"].split(";")) if line.get("facts") else (),
            )
            if found.key == "*":
                self.everywhere.append(found)
            for category in sorted({key[:3] for key in (found.key, *found.more) if key != "*"}):
                self.by_category.setdefault(category, []).append(found)
        self.gray = {line["code"]: line["is_gray"] == "1" for line in _table(texts["diagnoses"])}
        procedures = _table(texts["procedures"])
        self.treatments = {line["code"]: line["procedure_class"] for line in procedures}
        self.gray_procedures = {line["code"] for line in procedures if line.get("is_gray") == "1"}
        self.lists: dict[str, dict[str, str]] = {}
        for line in _table(texts.get("lists") or "list,code,scope\n"):
            self.lists.setdefault(line["list"], {})[line["code"]] = line["scope"]
        self.known = set(self.treatments) | {
            code
            for groups in (*self.by_category.values(), self.everywhere)
            for group in groups
            for part in group.wants
            for code in part
        }
        self.subtypes: dict[str, list[tuple[str, str, Fraction]]] = {}
        for line in _table(texts.get("subtypes") or "group_code,dimension,subtype,coefficient\n"):
            self.subtypes.setdefault(line["group_code"], []).append(
                (line["dimension"], line["subtype"], Fraction(Decimal(line["coefficient"])))
            )
        self.hospitals = {
            line["hospital"]: (line["level"], Fraction(Decimal(line["coefficient"])))
            for line in _table(texts["hospitals"])
        }
        self.means: dict[tuple[str, str], Fraction] = {}
        self.whole_means: dict[str, int] = {}
        sums = [Fraction(0), Fraction(0)]
        for line in _table(texts["references"]):
            total, n = Fraction(Decimal(line["total"])), int(line["n"])
            if total > 0 and n > 0:
                self.means[line["group_code"], line["level"]] = total / n
                if line["level"] == "":
                    sums[0] += total
                    sums[1] += n
                    self.whole_means[line["group_code"]] = _half_up(total * 100 / n)
        self.area_mean = sums[0] / sums[1] if sums[1] else None
        self.ties = [one for one in self.choices["grouping.tie_break"].split(",") if one and one != "group_code"]
        self.places = _places(int(self.choices["catalog.score_scale"]))

    def answer(
        self,
        principal: str,
        procedures: Sequence[str],
        cost: str,
        hospital: str,
        told: Mapping[str, Any] | None = None,
    ) -> dict[str, str]:
        """Group, reason, band, reference and points of one case (一例的答案), blanks where there is none.

        `told`: others (diagnoses), age, los (days), weight (grams), way (of discharge), as far as known.
        """
        told = told or {}
        done = list(dict.fromkeys(procedures))
        paid = Fraction(Decimal(cost))
        group, reason = self._group(principal, done, paid, told)
        if group is None:
            blank = {"group_code": "", "reason": reason, "band": "", "reference_source": "", "points": ""}
            uncovered = reason in ("no_group_for_diagnosis", "no_group_for_procedures")
            if uncovered and self.choices.get("scoring.ungrouped_method") == "blank_group" and self.area_mean:
                worth = paid / self.area_mean * int(self.choices["catalog.score_scale"])
                worth *= Fraction(Decimal(self.choices["scoring.ungrouped_discount"]))
                blank |= {"band": "normal", "reference_source": "area_mean", "points": _printed(worth, self.places)}
            return blank
        factor, added = self._factor(group, done, told)
        band, source, points = self._points(group, paid, hospital, factor, added)
        return {"group_code": group.code, "reason": reason, "band": band, "reference_source": source, "points": points}

    def _group(
        self, principal: str, coded: list[str], cost: Fraction, told: Mapping[str, Any]
    ) -> tuple[Group | None, str]:
        if principal == "":
            return None, "principal_diagnosis_missing"
        if principal not in self.gray:
            return None, "principal_diagnosis_unknown"
        if self.gray[principal] and self.choices["grouping.gray_principal"] != "group":
            return None, "principal_diagnosis_gray"
        if principal in self.lists.get("principal", ()):
            return None, "principal_diagnosis_excluded"
        if self.choices.get("grouping.unsound_procedure") == "ungrouped":
            if any(code not in self.treatments for code in coded):
                return None, "procedure_unknown"
            if any(code in self.gray_procedures for code in coded):
                return None, "procedure_gray"
        procedures = self._counting(principal, coded)
        near = []
        for group in self.by_category.get(principal[:3], ()):
            ranks = [rank for key in (group.key, *group.more) if (rank := _rank(principal, key)) >= 0]
            if ranks:
                near.append((min(ranks), group))
        offered = [*near, *((9, group) for group in self.everywhere)]
        others = [code for code in told.get("others", ()) if code in self.gray]
        for layer in ("priority", "merged", "dx_auxiliary", "basic"):
            if layer == "basic" and not procedures:
                continue
            taking, waiting = [], False
            for rank, group in offered:
                if group.layer != layer or not (group.core or layer != "basic"):
                    continue
                if layer == "basic" and not group.wants:
                    continue
                verdict = self._verdict(group, procedures, others, told)
                taking += [(rank, group)] if verdict == "takes" else []
                waiting = waiting or verdict == "waits"
            if taking:
                nearest = min(rank for rank, _ in taking)
                best = self._best([group for rank, group in taking if rank == nearest], procedures, cost)
                return best, _REASON_OF_LAYER[layer]
            if waiting:
                return None, "case_fact_missing"
        return self._quiet(near, procedures)

    def _quiet(self, near: list[tuple[int, Group]], procedures: list[str]) -> tuple[Group | None, str]:
        if not procedures or self.choices["grouping.conservative_match"] == "fallback":
            quiet = sorted(
                (rank, group.code, group)
                for rank, group in near
                if group.core and not group.wants and group.layer == "basic"
            )
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

    def _counting(self, principal: str, coded: list[str]) -> list[str]:
        """The procedures that count under the edition's lists, the main one first."""
        shifted, set_aside, limited = (
            self.lists.get(name, {}) for name in ("not_main", "conservative", "limited_main")
        )
        if not coded or not (shifted or set_aside or limited):
            return coded
        able = [code for code in coded if code not in shifted]
        if not able or able[0] in set_aside:
            return []
        main = able[0]
        if main in limited and not any(_rank(principal, key) >= 0 for key in _opened(limited[main])):
            return []
        return [main] + [code for code in coded if code != main and code not in set_aside]

    def _third(self, key: str, first_two: str, third: str) -> str:
        return str(self.choices.get(key) or (third if self.standard == "3.0" else first_two))

    def _accepts(self, listed: str, code: str) -> bool:
        if listed == code:
            return True
        if self._third("grouping.extension_match", "exact", "base") == "exact":
            return False
        if self._base(listed) == listed:
            return code in self.known and self._base(code) == listed
        return code == self._base(listed)

    def _base(self, code: str) -> str:
        told = self.lists.get("extension", {}).get(code)
        return told or (code[:7] if len(code) > 8 and code[7] == "x" else code)

    def _parts(self, group: Group) -> tuple[frozenset[str], ...]:
        """The parts a case must meet; related ones of the basic layer count for nothing where the choice says so."""
        ignored = self._third("grouping.basic_related", "asked", "ignored") == "ignored"
        return group.main if group.layer == "basic" and ignored and group.main else group.wants

    def _met(self, group: Group, place: int, code: str) -> bool:
        parts = self._parts(group)
        if place < len(group.main) and code in self.lists.get("not_main", ()):
            return False
        return any(self._accepts(listed, code) for listed in parts[place])

    def _verdict(self, group: Group, procedures: list[str], others: list[str], told: Mapping[str, Any]) -> str:
        for place in range(len(self._parts(group))):
            if not any(self._met(group, place, code) for code in procedures):
                return "refuses"
        if group.main and self._third("grouping.main_position", "any", "case_main") == "case_main":
            if not any(self._met(group, place, procedures[0]) for place in range(len(group.main))):
                return "refuses"
        if group.layer != "basic" and group.treatment and group.treatment != self._treatment(procedures):
            return "refuses"
        for keys in group.beside:
            if not any(_rank(code, key) >= 0 for code in others for key in keys):
                return "refuses"
        waits = False
        for fact, low, high in group.bands:
            value = told.get(_FACTS[fact])
            if value is None:
                waits = True
            elif (low is not None and value < low) or (high is not None and value > high):
                return "refuses"
        return "waits" if waits else "takes"

    def _treatment(self, procedures: list[str]) -> str:
        if not procedures:
            return "conservative"
        if self.choices["grouping.class_of"] == "main":
            return self.treatments.get(procedures[0], "")
        known = [ORDER_OF_CLASSES.index(found) for code in procedures if (found := self.treatments.get(code, ""))]
        return ORDER_OF_CLASSES[max(known)] if known else ""

    def _best(self, candidates: list[Group], procedures: list[str], cost: Fraction) -> Group:
        """Tournament, one comparator after another: only the best of each stay."""
        with_related = [group for group in candidates if group.layer == "merged" and group.related]
        candidates = with_related or candidates
        for name in self.ties:
            worth = {group.code: self._worth(name, group, procedures, cost) for group in candidates}
            top = max(worth.values())
            candidates = [group for group in candidates if worth[group.code] == top]
        return min(candidates, key=lambda group: group.code.encode("utf-8"))

    def _worth(self, name: str, group: Group, procedures: list[str], cost: Fraction) -> Fraction:
        """Larger is better."""
        parts = self._parts(group)
        matched = [code for code in procedures if any(self._met(group, place, code) for place in range(len(parts)))]
        if name == "most_parts":
            return Fraction(len(parts) + len(group.beside) + len(group.bands))
        if name == "most_matched":
            return Fraction(len(matched))
        if name == "main_matched":
            mine = procedures and any(self._met(group, place, procedures[0]) for place in range(len(group.main)))
            return Fraction(int(bool(mine)))
        if name == "higher_score":
            return group.score
        if name == "core_first":
            return Fraction(int(group.core))
        if name == "complete_match":
            return Fraction(int(len(matched) == len(procedures)))
        if name == "full_code":
            return Fraction(sum(1 for code in procedures if any(code in part for part in parts)))
        if name == "nearest_cost":
            mean = self.whole_means.get(group.code)
            return Fraction(-(10**30)) if mean is None else -abs(cost * 100 - mean)
        if name == "class_ladder":
            return Fraction(2 * self._class_of(group) - int(group.grassroots))
        if name == "class_matched":
            classes = [self.treatments.get(code, "") for code in procedures]
            heaviest = max((ORDER_OF_CLASSES.index(one) for one in classes if one), default=0)
            return Fraction(int(self._class_of(group) == heaviest))
        raise ValueError(f"no such comparator: {name}")

    def _class_of(self, group: Group) -> int:
        if group.treatment:
            return ORDER_OF_CLASSES.index(group.treatment)
        named = [self.treatments.get(code, "") for part in self._parts(group) for code in part]
        return max((ORDER_OF_CLASSES.index(one) for one in named if one), default=0)

    def _factor(self, group: Group, done: list[str], told: Mapping[str, Any]) -> tuple[Fraction, Fraction]:
        """What multiplies the score, and the points that are added."""
        others = [code for code in dict.fromkeys(told.get("others", ())) if code in self.gray]
        facts = {
            "age_days": told.get("age"),
            "los_days": told.get("los"),
            "birth_weight_g": told.get("weight"),
            "other_diagnoses": len(others),
            "procedures": len(done),
            "cci": self._cci(others),
        }
        mine = self._subtype(group, others, facts, told.get("way"))
        factor, added = (mine[0] if mine else Fraction(1)), Fraction(0)
        rewarded = False
        if mine is None or mine[1] != "age":
            for row in self.choices.get("scoring.age_factors", ()):
                _, low, high = _band(f"age_days:{row['age_days']}")
                if _inside(facts["age_days"], low, high):
                    value = Fraction(Decimal(row["value"]))
                    factor *= value if row["kind"] == "elderly" else 1 + value
                    rewarded = row["kind"] == "child" and value != 0
                    break
        method = self.choices.get("scoring.complexity_method", "none")
        for row in self.choices["scoring.complexity_bands"] if method != "none" else ():
            fact, low, high = _band(row["band"])
            if _inside(facts.get(fact), low, high):
                value = Fraction(Decimal(row["value"]))
                factor, added = (factor * value, added) if method == "multiplicative" else (factor, added + value)
                break
        earned = Fraction(0)
        for row in self.choices.get("scoring.new_technologies", ()):
            if row["procedure"] in done and row["first"] <= DISCHARGE <= row["last"]:
                earned += Fraction(Decimal(row["points"]))
        cap = self.choices.get("scoring.new_technology_cap")
        earned = earned if cap is None else min(earned, Fraction(Decimal(cap)))
        alone = not (rewarded or earned)
        for row in self.choices.get("scoring.model_groups", ()):
            if row["group_code"] == group.code and row["first"] <= DISCHARGE <= row["last"]:
                if alone or self.choices.get("scoring.model_group_stacking") == "multiplied":
                    factor *= Fraction(Decimal(row["coefficient"]))
                break
        return factor, added + earned

    def _subtype(
        self, group: Group, others: list[str], facts: Mapping[str, int | None], way: str | None
    ) -> tuple[Fraction, str] | None:
        """The highest coefficient of the subtypes the case fits, with its dimension."""
        fitting = set()
        for rule in self.choices.get("scoring.auxiliary_rules", ()):
            holds = all(_inside(facts.get(fact), low, high) for fact, low, high in map(_band, _cut(rule["facts"], ";")))
            if rule["diagnoses"]:
                keys = _opened(rule["diagnoses"])
                holds = holds and any(_rank(code, key) >= 0 for code in others for key in keys)
            if rule["discharge_ways"]:
                holds = holds and way in rule["discharge_ways"].split("/")
            if holds:
                fitting.add((rule["dimension"], rule["subtype"]))
        mine = [
            (-worth, dimension, name)
            for dimension, name, worth in self.subtypes.get(group.code, ())
            if (dimension, name) in fitting
        ]
        return (-min(mine)[0], min(mine)[1]) if mine else None

    def _cci(self, others: list[str]) -> int:
        weights: dict[str, int] = {}
        for code in others:
            at = [
                (-rank, int(row["weight"]), row["category"])
                for row in self.choices.get("scoring.cci_categories", ())
                for key in _opened(row["diagnoses"])
                if (rank := _rank(code, key)) >= 0
            ]
            if at:
                _, weight, category = max(at)
                weights[category] = weight
        return sum(weights.values())

    def _points(
        self, group: Group, cost: Fraction, hospital: str, factor: Fraction, added: Fraction
    ) -> tuple[str, str, str]:
        level, k = self.hospitals[hospital]
        if group.grassroots:
            k = Fraction(1)
        method = self.choices["scoring.outlier_method"]
        score = group.score * factor
        source, mean = "none", Fraction(0)
        for name, key in (("all_levels", (group.code, "")), ("same_level", (group.code, level))):
            if key in self.means and (name == "all_levels" or level != ""):
                source, mean = name, self.means[key]
        if method == "payment_standard":
            source = "payment_standard"
            mean = score * k * Fraction(Decimal(self.choices["scoring.price_yuan_per_point"]))
        if mean == 0:
            return "cannot_judge", source, _printed(score * k, self.places, added)
        ratio = cost / mean
        low, high = (Fraction(Decimal(self.choices[f"scoring.{edge}_ratio"])) for edge in ("low", "high"))
        last = "none" if method == "linear" else self.choices["scoring.extreme_ratio"]
        inside = method == "coefficient_inside"
        spared = method != "payment_standard" and self.choices.get("scoring.outlier_coefficient") == "false"
        applied = Fraction(1) if inside or spared else k
        if self._beyond(low - ratio, "low"):
            return "low", source, _printed(score * ratio * applied, self.places, added)
        if last != "none" and self._beyond(ratio - Fraction(Decimal(last)), "extreme"):
            return "extreme", source, _printed(score * k, self.places, added)
        if self._beyond(ratio - high, "high"):
            worth = ratio - high + k if inside else (ratio - high + 1) * applied
            worth = k if method == "payment_standard" else worth
            return "high", source, _printed(score * worth, self.places, added)
        return "normal", source, _printed(score * k, self.places, added)

    def _beyond(self, distance: Fraction, edge: str) -> bool:
        return distance > 0 or (distance == 0 and self.choices[f"scoring.{edge}_inclusive"] == "true")


def _rank(code: str, key: str) -> int:
    """How special the key is for the code: 0 the code itself, then less and less; −1 when it is none of its keys."""
    dagger = code.split("+")[0]
    for rank, form in enumerate((code, dagger, dagger[:7], dagger[:5], dagger[:3])):
        if form == key:
            return rank
    return -1


def _opened(cell: str) -> frozenset[str]:
    """Keys of a cell of alternatives, ranges of categories opened."""
    keys: set[str] = set()
    for text in cell.split("/"):
        first, dash, last = text.partition("-")
        keys.update(f"{first[0]}{n:02d}" for n in range(int(first[1:]), int(last[1:]) + 1)) if dash else keys.add(text)
    return frozenset(keys)


def _band(text: str) -> tuple[str, int | None, int | None]:
    name, _, band = text.partition(":")
    low, _, high = band.partition("-")
    return name, int(low) if low else None, int(high) if high else None


def _cut(text: str, mark: str) -> list[str]:
    return text.split(mark) if text else []


def _inside(value: int | None, low: int | None, high: int | None) -> bool:
    return value is not None and (low is None or low <= value) and (high is None or value <= high)


def _wanted(cell: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(part.split("/")) for part in cell.split("+")) if cell else ()


def _table(text: str) -> list[dict[str, str]]:
    return [{name: value or "" for name, value in row.items()} for row in csv.DictReader(io.StringIO(text))]


def _places(scale: int) -> int:
    """Decimals of case points: the smallest d with 10^d × scale ≥ 10^7."""
    return next(places for places in range(8) if scale * 10**places >= 10_000_000)


def _half_up(value: Fraction) -> int:
    whole, rest = divmod(value.numerator, value.denominator)
    return whole + int(2 * rest >= value.denominator)


def _printed(value: Fraction, places: int, added: Fraction = Fraction(0)) -> str:
    """Rounded half up once, with all its places, then points added. Points are never negative."""
    units, rest = divmod(value.numerator * 10**places, value.denominator)
    if 2 * rest >= value.denominator:
        units += 1
    units += int(added * 10**places)
    digits = str(units).rjust(places + 1, "0")
    return digits[: len(digits) - places] + ("." + digits[len(digits) - places :] if places else "")
