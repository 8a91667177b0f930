"""A catalog by a method file (按测算办法建组): core, comprehensive, scores, lists, subtypes, coefficients, every row accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pyarrow as pa

from fenzhi.cli.catalog.column_map import ColumnMap
from fenzhi.cli.catalog.discharges import BrokenRow
from fenzhi.cli.catalog.formed_rows import FormedRows
from fenzhi.cli.catalog.method_file import NO_SUBTYPES, BuildMethod
from fenzhi.rules.catalog.auxiliary_catalog import judge_gate, trigger
from fenzhi.rules.catalog.disease_group import DiseaseGroup, Granularity, ProcedureClass
from fenzhi.rules.catalog.formation import (
    LevelMean,
    NotByGroup,
    RelatedSet,
    group_coefficients,
    is_grassroots,
    merge_related,
    split_cv_squared,
    within_cv,
)
from fenzhi.rules.catalog.groups_from_sums import Deviation, SetMethod, coverage_threshold
from fenzhi.rules.catalog.score_derivation import comprehensive_group, core_group, cv_squared
from fenzhi.rules.quantities import half_up
from fenzhi.rules.refusals import DataRefused, Refusal

YearSums = Mapping[int, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class FormedGroup:
    """A group with everything the method asks of it (成组结果). Units: fen; fractions exact."""

    group: DiseaseGroup
    by_year: YearSums
    mean_fen: Fraction
    cv_squared: Fraction | None
    weight: Fraction
    mean_los: Fraction | None
    drug_weight: Fraction | None
    consumable_weight: Fraction | None
    primary_cases: int
    lists: tuple[str, ...]
    merged_sets: int
    """Combinations with related procedures that gave their cases to this group."""
    missing_years: tuple[int, ...]

    @property
    def n(self) -> int:
        """Cases over all years (例数)."""
        return sum(n for _, n in self.by_year.values())


@dataclass(frozen=True, slots=True)
class FormedSubtype:
    """A subtype of a group that passed its gate (辅助分型结果)."""

    group_code: str
    name: str
    dimension: str
    cases: int
    coefficient: Fraction
    cv_before: Fraction
    cv_after: Fraction
    taken: int = 0
    """Last year's cases that take it: of several that fit, only the highest counts."""


@dataclass(frozen=True, slots=True)
class Formed:
    """A catalog that a method formed (建组结果): used = in groups + ungrouped by reason."""

    rows: int
    used: int
    set_aside: Mapping[str, int]
    broken: tuple[BrokenRow, ...]
    groups: tuple[FormedGroup, ...]
    threshold: int
    overall_mean_fen: Fraction
    overall_by_year: YearSums
    ungrouped: Mapping[str, int]
    merged_sets: int
    dropped_comprehensive: int
    chapters: Mapping[str, tuple[int, int, int]]
    subtypes: tuple[FormedSubtype, ...]
    gated: int
    """Subtypes with cases that were held against the gate."""
    subtype_year: int | None
    level_coefficients: Mapping[str, Fraction]
    own_coefficients: Mapping[str, Mapping[str, Fraction]]
    without_own: Mapping[str, int]

    @property
    def grouped_rows(self) -> int:
        """Used rows that are in a group (入组行数)."""
        return sum(one.n for one in self.groups)


def form_catalog(
    path: Path,
    columns: ColumnMap,
    method: BuildMethod,
    *,
    gray: Mapping[str, bool] | None = None,
    classes: Mapping[str, ProcedureClass | None] | None = None,
    memory_limit: str = "1400MB",
) -> Formed:
    """Form a catalog from a discharge file (建组). Raises: DataRefused.

    `classes`: procedure code → its class; needed for comprehensive groups, where a main procedure without one is not guessed.
    """
    rows = FormedRows(path, columns, method, gray, memory_limit)
    try:
        if rows.used == 0:
            raise _refused(
                "nothing_used", path.name, str(dict(rows.set_aside)), "没有一行可用于建组。", "No row is usable."
            )
        return _Builder(rows, columns, method, classes or {}).build()
    finally:
        rows.connection.close()


def _refused(code: str, where: str, saw: str, zh: str, en: str) -> DataRefused:
    return DataRefused(
        (Refusal(code, where, saw[:200], zh, en, "核对列映射与测算办法。", "Check the column map and the method."),)
    )


@dataclass
class _Core:
    set_id: int
    diagnosis: str
    procedures: tuple[str, ...]
    mains: dict[str, int]
    main: str


class _Builder:
    def __init__(
        self, rows: FormedRows, columns: ColumnMap, method: BuildMethod, classes: Mapping[str, ProcedureClass | None]
    ) -> None:
        self._rows, self._columns, self._method, self._classes = rows, columns, method, classes
        score = method.score
        self._weigh = SetMethod(score.scale, score.places, method.weights, method.basis, method.deviation)

    def build(self) -> Formed:
        self._keep_set_sizes()
        threshold = self._method.threshold
        if self._method.coverage is not None:
            sizes = self._rows.ask("SELECT n, count(*) AS combinations FROM sets GROUP BY n")
            threshold = coverage_threshold(((one["n"], one["combinations"]) for one in sizes), self._method.coverage)
        cores = self._cores(threshold)
        merged = self._merged(cores)
        listed = [(place, core) for place, core in enumerate(cores) if place not in merged]
        gid_of = {place: gid for gid, (place, _) in enumerate(listed, start=1)}
        core_rows = [(core.set_id, gid_of[merged.get(place, place)]) for place, core in enumerate(cores)]
        comprehensive, ungrouped, dropped = self._comprehensive(threshold, len(listed))
        self._keep_groups(core_rows, comprehensive)
        bare = [core_group(core.diagnosis, core.mains, core.procedures) for _, core in listed]
        bare += [comprehensive_group(category, ProcedureClass(kind)) for category, kind, _ in comprehensive]
        merged_of: dict[int, int] = {}
        for base in merged.values():
            merged_of[gid_of[base]] = merged_of.get(gid_of[base], 0) + 1
        overall = self._years("SELECT 0 AS gid, year, fen FROM kept")[0]
        overall_mean = self._weigh.mean(overall)
        groups = self._scored(bare, overall_mean, merged_of)
        subtypes, gated, year = self._subtypes(groups)
        level, own, without = self._coefficients(groups, overall_mean)
        return Formed(
            rows=self._rows.rows,
            used=self._rows.used,
            set_aside=self._rows.set_aside,
            broken=self._rows.broken,
            groups=groups,
            threshold=threshold,
            overall_mean_fen=overall_mean,
            overall_by_year=overall,
            ungrouped=ungrouped,
            merged_sets=len(merged),
            dropped_comprehensive=dropped,
            chapters=self._chapters(groups),
            subtypes=subtypes,
            gated=gated,
            subtype_year=year,
            level_coefficients=level,
            own_coefficients=own,
            without_own=without,
        )

    def _keep_set_sizes(self) -> None:
        connection = self._rows.connection
        connection.keep("unit_sizes", "SELECT unit, count(*) AS n FROM kept GROUP BY unit", {})
        connection.keep(
            "sets",
            "SELECT set_id, CAST(sum(n) AS BIGINT) AS n FROM unit_sizes JOIN units USING (unit) GROUP BY set_id",
            {},
        )

    def _cores(self, threshold: int) -> list[_Core]:
        found: dict[int, _Core] = {}
        rows = self._rows.ask(
            "SELECT units.set_id, dx, key, main, unit_sizes.n AS n FROM units JOIN unit_sizes USING (unit) JOIN sets "
            f"ON sets.set_id = units.set_id WHERE sets.n >= {threshold} ORDER BY dx, key, main"
        )
        for one in rows:
            core = found.get(one["set_id"])
            if core is None:
                procedures = tuple(one["key"].split("+")) if one["key"] else ()
                core = found[one["set_id"]] = _Core(one["set_id"], one["dx"], procedures, {}, "")
            if one["main"]:
                core.mains[one["main"]] = one["n"]
        for core in found.values():
            core.main = min(core.mains, key=lambda code, core=core: (-core.mains[code], code), default="")  # type: ignore[misc]
        return list(found.values())

    def _merged(self, cores: Sequence[_Core]) -> Mapping[int, int]:
        limit = self._method.related_uplift
        if limit is None or not cores:
            return {}
        years = self._years(
            "SELECT set_id AS gid, year, fen FROM kept JOIN units USING (unit) JOIN wanted USING (set_id)",
            {"wanted": pa.table({"set_id": pa.array([core.set_id for core in cores], pa.int64())})},
        )
        sets = [
            RelatedSet(core.diagnosis, core.main, frozenset(core.procedures), self._weigh.mean(years[core.set_id]))
            for core in cores
        ]
        return merge_related(sets, limit)

    def _years(
        self, source: str, tables: Mapping[str, pa.Table] | None = None, value: str = "fen"
    ) -> dict[int, dict[int, tuple[int, int]]]:
        """gid → year → (total fen, cases)."""
        rows = self._rows.ask(
            f"SELECT gid, year, count(*) AS n, CAST(sum(CAST({value} AS HUGEINT)) AS VARCHAR) AS total FROM ({source}) "
            "GROUP BY gid, year ORDER BY gid, year",
            tables,
        )
        found: dict[int, dict[int, tuple[int, int]]] = {}
        for one in rows:
            found.setdefault(one["gid"], {})[one["year"]] = (int(one["total"]), one["n"])
        return found

    def _comprehensive(self, threshold: int, first: int) -> tuple[list[tuple[str, str, int]], dict[str, int], int]:
        """(category, class, gid) of the comprehensive groups; rows without a group by reason; groups dropped for their CV."""
        rest = f"FROM kept JOIN units USING (unit) JOIN sets USING (set_id) WHERE sets.n < {threshold}"
        if self._method.comprehensive_threshold is None:
            counted = self._rows.ask(f"SELECT count(*) AS n {rest}")[0]["n"]
            return [], ({"below_threshold": counted} if counted else {}), 0
        self._rows.connection.keep(
            "classed",
            "SELECT unit, left(dx, 3) AS category, CASE WHEN main = '' THEN 'conservative' ELSE coalesce(classes.kind, '') END "
            "AS kind FROM units LEFT JOIN classes ON classes.code = units.main",
            {
                "classes": pa.table(
                    {
                        "code": pa.array(list(self._classes), pa.string()),
                        "kind": pa.array([one.value if one else "" for one in self._classes.values()], pa.string()),
                    }
                )
            },
        )
        rows = self._rows.ask(
            "SELECT category, kind, count(*) AS n, CAST(sum(CAST(fen AS HUGEINT)) AS VARCHAR) AS total, "
            "CAST(sum(CAST(fen AS HUGEINT) * fen) AS VARCHAR) AS squares FROM kept JOIN units USING (unit) "
            f"JOIN sets USING (set_id) JOIN classed USING (unit) WHERE sets.n < {threshold} "
            "GROUP BY category, kind ORDER BY category, kind"
        )
        found: list[tuple[str, str, int]] = []
        ungrouped: dict[str, int] = {}
        dropped = 0
        for one in rows:
            reason = ""
            if not one["kind"]:
                reason = "procedure_class_unknown"
            elif one["n"] < self._method.comprehensive_threshold:
                reason = "below_comprehensive_threshold"
            elif not within_cv(
                cv_squared(one["n"], int(one["total"]), int(one["squares"])), self._method.comprehensive_cv_limit
            ):
                reason = "comprehensive_cv_above_limit"
                dropped += 1
            if reason:
                ungrouped[reason] = ungrouped.get(reason, 0) + one["n"]
            else:
                found.append((one["category"], one["kind"], first + len(found) + 1))
        return found, ungrouped, dropped

    def _keep_groups(self, core_rows: Sequence[tuple[int, int]], comprehensive: Sequence[tuple[str, str, int]]) -> None:
        connection = self._rows.connection
        tables = {
            "core": pa.table(
                {
                    "set_id": pa.array([one for one, _ in core_rows], pa.int64()),
                    "gid": pa.array([gid for _, gid in core_rows], pa.int32()),
                }
            )
        }
        if self._method.comprehensive_threshold is None:
            connection.keep("unit_groups", "SELECT unit, gid FROM units JOIN core USING (set_id)", tables)
            return
        tables["comp"] = pa.table(
            {
                "category": pa.array([one for one, _, _ in comprehensive], pa.string()),
                "kind": pa.array([one for _, one, _ in comprehensive], pa.string()),
                "comp_gid": pa.array([one for _, _, one in comprehensive], pa.int32()),
            }
        )
        connection.keep(
            "unit_groups",
            "SELECT units.unit, CAST(coalesce(core.gid, comp.comp_gid) AS INTEGER) AS gid FROM units "
            "JOIN classed USING (unit) LEFT JOIN core USING (set_id) "
            "LEFT JOIN comp ON comp.category = classed.category AND comp.kind = classed.kind "
            "WHERE coalesce(core.gid, comp.comp_gid) IS NOT NULL",
            tables,
        )

    def _scored(
        self, bare: Sequence[DiseaseGroup], overall_mean: Fraction, merged_of: Mapping[int, int]
    ) -> tuple[FormedGroup, ...]:
        grouped = "FROM kept JOIN unit_groups USING (unit)"
        years = self._years(f"SELECT gid, year, fen {grouped}")
        primary = [place for place, name in enumerate(self._method.levels, 1) if name in self._method.grassroots_levels]
        low = f"count(*) FILTER (lvl IN ({', '.join(map(str, primary))}))" if primary and self._columns.level else "0"
        sums = {
            one["gid"]: one
            for one in self._rows.ask(
                f"SELECT gid, CAST(sum(CAST(fen AS HUGEINT) * fen) AS VARCHAR) AS squares, CAST(coalesce(sum(los), 0) AS BIGINT) "
                f"AS los, count(los) AS los_n, {low} AS low {grouped} GROUP BY gid"
            )
        }
        parts: dict[str, tuple[dict[int, dict[int, tuple[int, int]]], Fraction]] = {}
        for name, column in (("drug", self._columns.drug_cost), ("cons", self._columns.consumable_cost)):
            if column is not None:
                mean = self._weigh.mean(self._years(f"SELECT 0 AS gid, year, {name} AS fen FROM kept")[0])
                parts[name] = (self._years(f"SELECT gid, year, {name} AS fen {grouped}"), mean)
        means = {group.group_code: self._weigh.mean(years[gid]) for gid, group in enumerate(bare, start=1)}
        try:
            reference, times = self._method.score.reference(overall_mean, means)
        except ValueError as error:
            raise _refused(
                "base_disease_missing",
                "score.base_group",
                self._method.score.base_group,
                "没有形成所指的基准病种。",
                str(error),
            ) from error
        found: list[FormedGroup] = []
        for gid, group in enumerate(bare, start=1):
            mean, sum_ = means[group.group_code], sums[gid]
            n = sum(cases for _, cases in years[gid].values())
            squared = cv_squared(n, sum(total for total, _ in years[gid].values()), int(sum_["squares"]))
            shown: Fraction | None = squared
            if self._method.deviation is Deviation.SAMPLE:
                shown = squared * Fraction(n, n - 1) if n > 1 else None
            lists = self._lists_of(group)
            limit = self._method.grassroots_cv_limit
            grassroots = (
                limit is not None
                and group.granularity is not Granularity.CATEGORY
                and is_grassroots(squared, n, sum_["low"], cv_limit=limit, share=self._method.grassroots_share)
            )
            score = self._method.score.score(mean, reference, times)
            found.append(
                FormedGroup(
                    group=replace(group, score=score, grassroots=grassroots),
                    by_year=years[gid],
                    mean_fen=mean,
                    cv_squared=shown,
                    weight=mean / overall_mean,
                    mean_los=Fraction(sum_["los"], sum_["los_n"]) if sum_["los_n"] else None,
                    drug_weight=self._part(parts, "drug", gid),
                    consumable_weight=self._part(parts, "cons", gid),
                    primary_cases=sum_["low"],
                    lists=lists,
                    merged_sets=merged_of.get(gid, 0),
                    missing_years=tuple(year for year in self._method.weights or () if year not in years[gid]),
                )
            )
        return tuple(found)

    def _part(
        self, parts: Mapping[str, tuple[dict[int, dict[int, tuple[int, int]]], Fraction]], name: str, gid: int
    ) -> Fraction | None:
        """Mean of drugs or consumables over that of all (dRW、cRW)."""
        if name not in parts or parts[name][1] <= 0:
            return None
        return self._weigh.mean(parts[name][0][gid]) / parts[name][1]

    def _lists_of(self, group: DiseaseGroup) -> tuple[str, ...]:
        names = {group.group_code, group.diagnosis}
        return tuple(name for name, listed in self._method.lists.items() if names & set(listed))

    def _chapters(self, groups: Sequence[FormedGroup]) -> dict[str, tuple[int, int, int]]:
        counts: dict[str, int] = {}
        for one in groups:
            letter = one.group.diagnosis[:1]
            counts[letter] = counts.get(letter, 0) + 1
        return {
            one["chapter"]: (one["n"], one["grouped"], counts.get(one["chapter"], 0))
            for one in self._rows.ask(
                "SELECT left(dx, 1) AS chapter, count(*) AS n, count(gid) AS grouped FROM kept JOIN units USING (unit) "
                "LEFT JOIN unit_groups USING (unit) GROUP BY chapter ORDER BY chapter"
            )
        }

    def _subtypes(self, groups: Sequence[FormedGroup]) -> tuple[tuple[FormedSubtype, ...], int, int | None]:
        method = self._method
        if method.gate is None or not method.subtypes:
            return (), 0, None
        year = max(one["year"] for one in self._rows.ask("SELECT max(year) AS year FROM kept"))
        eligible = [
            gid
            for gid, one in enumerate(groups, start=1)
            if one.group.granularity is not Granularity.CATEGORY and not set(one.lists) & set(NO_SUBTYPES)
        ]
        rows = self._rows.ask(
            f"SELECT gid, count(*) AS n, CAST(sum(CAST(fen AS HUGEINT)) AS VARCHAR) AS total, CAST(sum(CAST(fen AS HUGEINT) * fen) "
            f"AS VARCHAR) AS squares FROM kept JOIN unit_groups USING (unit) WHERE year = {year} GROUP BY gid"
        )
        last = {one["gid"]: (one["n"], int(one["total"]), int(one["squares"])) for one in rows}
        open_ = [
            gid
            for gid in eligible
            if gid in last
            and last[gid][0] > method.gate.group_cases
            and cv_squared(*last[gid]) > method.gate.cv_above**2
        ]
        if not open_:
            return (), 0, year
        principals = [
            sum(
                1 << place
                for place, one in enumerate(method.subtypes)
                if not one.principal or groups[gid - 1].group.diagnosis.startswith(one.principal)
            )
            for gid in open_
        ]
        self._rows.keep_typed(
            pa.table(
                {
                    "gid": pa.array(open_, pa.int32()),
                    "principal": pa.array(principals, pa.int64()),
                    "gn": pa.array([last[gid][0] for gid in open_], pa.int64()),
                    "gtotal": pa.array([last[gid][1] for gid in open_], pa.int64()),
                }
            ),
            year,
        )
        dimensions = tuple(dict.fromkeys(one.dimension for one in method.subtypes))
        passed: list[tuple[int, int, FormedSubtype]] = []
        gated = 0
        for dimension in dimensions:
            for gid, parts in self._parts_of(dimension).items():
                after = split_cv_squared([numbers for _, numbers in parts])
                before = cv_squared(*last[gid])
                gate = method.gate
                if dimension == "icu":
                    gate = replace(gate, least_reduction=gate.least_reduction * method.icu_relax)
                for place, (cases, total, _) in parts:
                    if place < 0:
                        continue
                    gated += 1
                    if judge_gate(gate, last[gid][0], cases, before, after).passed:
                        own = trigger(Fraction(total, cases), Fraction(last[gid][1], last[gid][0]))
                        one = method.subtypes[place]
                        code = groups[gid - 1].group.group_code
                        passed.append((gid, place, FormedSubtype(code, one.name, dimension, cases, own, before, after)))
        taken = self._taken(dimensions, passed)
        return (
            tuple(
                replace(one, taken=taken.get((gid, place), 0))
                for gid, place, one in sorted(passed, key=lambda row: row[:2])
            ),
            gated,
            year,
        )

    def _place(self, dimension: str) -> str:
        """The first subtype of a dimension that a row fits, or -1."""
        whens = []
        for place, one in enumerate(self._method.subtypes):
            if one.dimension == dimension:
                cost = ""
                if one.cost_ratio is not None:
                    ratio = one.cost_ratio
                    cost = f" AND CAST(fen AS HUGEINT) * gn * {ratio.denominator} >= CAST(gtotal AS HUGEINT) * {ratio.numerator}"
                whens.append(f"WHEN bits & {1 << place} <> 0{cost} THEN {place}")
        return f"CASE {' '.join(whens)} ELSE -1 END"

    def _parts_of(self, dimension: str) -> dict[int, list[tuple[int, tuple[int, int, int]]]]:
        found: dict[int, list[tuple[int, tuple[int, int, int]]]] = {}
        for one in self._rows.ask(
            f"SELECT gid, {self._place(dimension)} AS place, count(*) AS n, CAST(sum(CAST(fen AS HUGEINT)) AS VARCHAR) AS total, "
            "CAST(sum(CAST(fen AS HUGEINT) * fen) AS VARCHAR) AS squares FROM typed GROUP BY 1, 2 ORDER BY 1, 2"
        ):
            numbers = (one["n"], int(one["total"]), int(one["squares"]))
            found.setdefault(one["gid"], []).append((one["place"], numbers))
        return found

    def _taken(
        self, dimensions: Sequence[str], passed: Sequence[tuple[int, int, FormedSubtype]]
    ) -> dict[tuple[int, int], int]:
        """Cases that take each subtype: of several a case fits, the one with the highest coefficient, ties to the smaller name."""
        if not passed:
            return {}
        ranked = sorted(passed, key=lambda row: (row[0], -row[2].coefficient, row[2].name))
        rank: dict[int, int] = {}
        ranks = []
        for gid, _, _ in ranked:
            rank[gid] = rank.get(gid, 0) + 1
            ranks.append(rank[gid])
        table = pa.table(
            {
                "gid": pa.array([gid for gid, _, _ in ranked], pa.int32()),
                "place": pa.array([place for _, place, _ in ranked], pa.int32()),
                "rank": pa.array(ranks, pa.int32()),
            }
        )
        self._rows.connection.keep(
            "placed",
            "SELECT gid, "
            + ", ".join(f"{self._place(one)} AS p{i}" for i, one in enumerate(dimensions))
            + " FROM typed",
            {},
        )
        joins = " ".join(
            f"LEFT JOIN published AS d{i} ON d{i}.gid = placed.gid AND d{i}.place = placed.p{i}"
            for i in range(len(dimensions))
        )
        least = ", ".join(f"coalesce(d{i}.rank, 2147483647)" for i in range(len(dimensions)))
        rows = self._rows.ask(
            f"SELECT best.gid, published.place, count(*) AS n FROM (SELECT placed.gid, least({least}) AS rank FROM placed {joins}) "
            "AS best JOIN published ON published.gid = best.gid AND published.rank = best.rank GROUP BY 1, 2",
            {"published": table},
        )
        return {(one["gid"], one["place"]): one["n"] for one in rows}

    def _coefficients(
        self, groups: Sequence[FormedGroup], overall_mean: Fraction
    ) -> tuple[dict[str, Fraction], dict[str, Mapping[str, Fraction]], dict[str, int]]:
        places = self._method.coefficient_places
        if places is None:
            return {}, {}, {}

        def rounded(ratio: Fraction) -> Fraction:
            return Fraction(Decimal(half_up(ratio * 10**places)).scaleb(-places))

        by_level = self._years("SELECT CAST(lvl AS INTEGER) AS gid, year, fen FROM kept WHERE lvl > 0")
        names = self._method.levels
        level = {
            names[place - 1]: rounded(self._weigh.mean(years) / overall_mean)
            for place, years in sorted(by_level.items())
        }
        cells = self._years(
            f"SELECT gid * {len(names) + 1} + lvl AS gid, year, fen FROM kept JOIN unit_groups USING (unit) WHERE lvl > 0"
        )
        own: dict[str, Mapping[str, Fraction]] = {}
        without: dict[str, int] = {}
        for gid, one in enumerate(groups, start=1):
            if one.group.grassroots or not one.group.parts:
                continue
            levels = [
                LevelMean(name, sum(n for _, n in years.values()), self._weigh.mean(years))
                for place, name in enumerate(names, start=1)
                if (years := cells.get(gid * (len(names) + 1) + place)) is not None
            ]
            found = group_coefficients(
                levels,
                one.mean_fen,
                least_cases=self._method.coefficient_least_cases,
                least_spread=self._method.coefficient_least_spread,
            )
            if isinstance(found, NotByGroup):
                without[found.value] = without.get(found.value, 0) + 1
            else:
                own[one.group.group_code] = {name: rounded(ratio) for name, ratio in found.items()}
        return level, own, without
