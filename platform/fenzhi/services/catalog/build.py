"""Building a catalog from history (由历史病例测算目录): a job of the province, over the history of all its areas."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.outbox.jobs import enqueue
from fenzhi.rules.catalog.adequacy import GroupFigures, adequacy_of
from fenzhi.rules.catalog.conjunctions import Conjunction
from fenzhi.rules.catalog.derivation_from_sums import DerivedFromSums, derive_from_sums
from fenzhi.rules.catalog.disease_group import DiseaseGroup, GroupKind, procedure_key
from fenzhi.rules.catalog.edition import CodeTables, Edition, duplicated_code
from fenzhi.rules.catalog.formation import ScoreMethod, Trim
from fenzhi.rules.catalog.score_derivation import DerivationMethod, WeightingBasis
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.grouping_method import GrayPrincipal, GroupingMethod
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.refusals import Conflict, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.services.catalog.adequacy import figures_of, kept_adequacy
from fenzhi.services.catalog.book import edition_row, group_of, load_tables, row_of
from fenzhi.services.catalog.faults import fault, moved, refuse, require_draft
from fenzhi.services.catalog.history_grouping import EqualCases, equal_cases, group_equal_cases
from fenzhi.services.jobs.execution import JobInHand
from fenzhi.services.policy.methods import grouping_method_of
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.repositories import catalog
from fenzhi.store.session import UnitOfWork

BUILD_JOB = "catalog.build"
FIRST_YEAR, LAST_YEAR = 2000, 2099


def _year_faults(years: Sequence[int]) -> list[Refusal]:
    good = years and list(years) == sorted(set(years)) and all(FIRST_YEAR <= year <= LAST_YEAR for year in years)
    if good and len(years) <= 10:
        return []
    return [
        fault(
            ("BUILD_YEARS", "years", ",".join(map(str, years[:20]))),
            ("年份须由早到晚、不重复，一至十个。", "One to ten years, oldest first, none twice."),
            ("例如 2022, 2023, 2024。", "For instance 2022, 2023, 2024."),
        )
    ]


async def start_build(
    platform: Platform,
    editor: Subject,
    request: Request,
    edition_id: uuid.UUID,
    years: Sequence[int],
    base_group: str = "",
) -> Answer:
    """Want groups and scores of a draft built from history years (发起测算). `base_group` is for the base-disease method.

    Changes: job. Raises: DataRefused, NotFound, PolicyNotEntered, Conflict EDITION_NOT_DRAFT, EDITION_BUILT.
    """
    editor.scope_for(Duty.EDIT_CATALOG)
    refuse(_year_faults(years))

    async def effect(uow: UnitOfWork) -> Answer:
        row = await edition_row(uow, edition_id)
        await _require_unbuilt(uow, row)
        policy = await resolved_policy(uow, row.effective_from)
        derivation_method(policy, row, years, base_group)
        trim_of(policy)
        payload = {"edition_id": str(edition_id), "years": list(years), "base_group": base_group}
        job_id = await enqueue(uow, platform.doorbell, BUILD_JOB, payload)
        return {"type": "Job", "id": str(job_id)}

    return await act(platform, editor, Duty.EDIT_CATALOG, request, effect)


async def _require_unbuilt(uow: UnitOfWork, row: Row[Any]) -> None:
    require_draft(row)
    if await catalog.build_report_part(uow, row.edition_id, "build") is not None:
        raise Conflict(
            "该草稿已由历史病例测算过。",
            "The draft was built from history already.",
            code="EDITION_BUILT",
            hint="以 replace 方式重新导入可清空草稿 / importing with mode replace empties the draft",
        )


def derivation_method(
    policy: ResolvedPolicy, row: Row[Any], years: Sequence[int], base_group: str = ""
) -> DerivationMethod:
    """How scores are derived (测算办法): thresholds, weights and basis by policy, the scale and places of the edition.

    Weights are oldest first; for fewer years than weights the latest weights count. Raises: PolicyNotEntered, DataRefused for
    more years than weights and for a base-disease method without a base group.
    """
    chosen = ScoreMethod(policy.method("catalog.score_method"))
    if chosen is ScoreMethod.BASE_DISEASE and not base_group:
        refuse(
            [
                fault(
                    ("BASE_GROUP_MISSING", "baseGroup", ""),
                    ("基准病种法须指明基准病种。", "The base-disease method needs a base group."),
                    ("填写测算后基准病种的编码，例如 K35.3:47.0100。", "Give its code, such as K35.3:47.0100."),
                )
            ]
        )
    weights = policy.weights("catalog.year_weights")
    if len(years) > len(weights):
        refuse(
            [
                fault(
                    ("BUILD_YEARS", "years", ",".join(map(str, years))),
                    (f"政策只给出 {len(weights)} 年的权重。", f"Policy gives weights for {len(weights)} years."),
                    ("减少年份，或先录入权重。", "Name fewer years, or enter weights first."),
                )
            ]
        )
    latest = weights[len(weights) - len(years) :]
    common = lcm(*(weight.denominator for weight in latest))
    gray = policy.has("grouping.gray_principal") and (
        GrayPrincipal(policy.method("grouping.gray_principal")) is GrayPrincipal.GROUP
    )
    return DerivationMethod(
        {year: int(weight * common) for year, weight in zip(years, latest, strict=True) if weight > 0},
        row.scale,
        row.score_decimals,
        core_threshold=policy.integer("catalog.core_threshold"),
        basis=WeightingBasis(policy.method("catalog.weighting_basis")),
        use_gray_principals=gray,
        comprehensive_threshold=policy.integer("catalog.comprehensive_threshold")
        if policy.has("catalog.comprehensive_threshold")
        else 1,
        related_uplift=policy.fraction("catalog.related_uplift"),
        comprehensive_cv_limit=policy.optional_fraction("catalog.comprehensive_cv_limit"),
        score_method=chosen,
        base_group=base_group,
        quota_fen=Fraction(policy.fen("catalog.quota_yuan")) if chosen is ScoreMethod.STANDARD_QUOTA else Fraction(0),
    )


def trim_of(policy: ResolvedPolicy) -> Trim | None:
    """The quantiles of trimming (费用裁剪分位), or None unless both are entered. Raises: DataRefused where they cross."""
    if not (policy.has("catalog.trim_low") and policy.has("catalog.trim_high")):
        return None
    low, high = policy.fraction("catalog.trim_low"), policy.fraction("catalog.trim_high")
    if not low < high:
        refuse(
            [
                fault(
                    ("TRIM_QUANTILES", "catalog.trim_low", f"{low} {high}"),
                    ("裁剪低分位须小于高分位。", "The low quantile of trimming is below the high one."),
                    ("更正政策参数。", "Correct the policy."),
                )
            ]
        )
    return Trim(low, high)


@dataclass(frozen=True, slots=True)
class _Ground:
    """What a build stands on (测算依据), read in one transaction."""

    row: Row[Any]
    method: DerivationMethod
    grouping: Mapping[int, GroupingMethod]
    tables: CodeTables
    names: Mapping[str, str]
    held: tuple[DiseaseGroup, ...]
    cases: list[EqualCases]
    set_aside: Mapping[str, int]
    fingerprint: str
    trimmed: Mapping[str, int]
    counted: list[EqualCases]
    """All usable cases, trimmed ones too: a group counts whoever it will pay."""
    cv_limit: Fraction
    before: tuple[GroupFigures, ...] | None


@dataclass(frozen=True, slots=True)
class _Built:
    """What a build found (测算结果)."""

    added: tuple[DiseaseGroup, ...]
    cases: Mapping[str, int]
    report: Mapping[str, Any]
    adequacy: Mapping[str, Any]


async def build(job: JobInHand) -> None:
    """Build a draft's groups and scores from history (测算目录). Job kind `catalog.build`, province scope.

    A built group whose diagnosis and procedures an imported group has already is left out; its score still counts for the
    conversion factor. Changes: disease_group, catalog_edition. Refuses: NO_HISTORY, EDITION_NOT_DRAFT, EDITION_BUILT,
    group_code_duplicated, PolicyNotEntered. Effect and end of the job commit together.
    """
    edition_id = uuid.UUID(job.payload["edition_id"])
    years = [int(year) for year in job.payload["years"]]
    async with job.reading() as uow:
        ground = await _ground(uow, edition_id, years, str(job.payload.get("base_group", "")))
    await job.progress(1, 3)
    built = await asyncio.to_thread(_build, ground, job.platform.memory_limit_mb)
    await job.progress(2, 3)
    result: dict[str, Any] = {"edition_id": str(edition_id), "groups_added": len(built.added)}
    async with job.finishing(result) as uow:
        await edition_row(uow, edition_id)
        row = await catalog.edition_by_id(uow, edition_id, lock=True)
        assert row is not None
        await _require_unbuilt(uow, row)
        held = await catalog.groups(uow, edition_id)
        if tuple(group_of(one) for one in held) != ground.held:
            raise Conflict(
                "测算期间草稿已被改动，请重新发起。",
                "The draft changed while it was built; start again.",
                code="EDITION_CHANGED",
            )
        await catalog.set_cases(uow, edition_id, built.cases)
        first = max((one.ordinal for one in held), default=0) + 1
        rows = (row_of(group, "built", built.cases.get(group.group_code, 0)) for group in built.added)
        added = await catalog.add_groups(uow, edition_id, first, rows)
        report = {**await catalog.build_report(uow, edition_id), "build": built.report, "adequacy": built.adequacy}
        values = {"groups": len(held) + added, "build_report": report}
        if await catalog.change_edition(uow, edition_id, "draft", values) != 1:
            raise moved()


async def _ground(uow: UnitOfWork, edition_id: uuid.UUID, years: Sequence[int], base_group: str) -> _Ground:
    row = await edition_row(uow, edition_id)
    await _require_unbuilt(uow, row)
    policy = await resolved_policy(uow, row.effective_from)
    method = derivation_method(policy, row, years, base_group)
    trim = trim_of(policy)
    trimmed: dict[str, int] = {}
    if trim is None:
        cases = counted = equal_cases(await catalog.history_sums(uow, uow.scope.area_ids, years))
    else:
        sums = await catalog.trimmed_history_sums(uow, uow.scope.area_ids, years, trim.low, trim.high)
        for one in sums:
            if one.trimmed != "stays":
                trimmed[f"cost_trimmed_{one.trimmed}"] = trimmed.get(f"cost_trimmed_{one.trimmed}", 0) + int(one.n)
        cases = equal_cases([one for one in sums if one.trimmed == "stays"])
        counted = equal_cases(sums)
    before = await _figures_before(uow, row)
    if not cases:
        raise Conflict(
            "这些年份没有可用的历史病例。",
            "There is no usable history of these years.",
            code="NO_HISTORY",
            hint="先由各统筹区导入历史病例 / the areas import their history first",
        )
    grouping = {
        area: grouping_method_of(await resolved_policy(uow, row.effective_from, area_id=area))
        for area in sorted({one.area_id for one in cases})
    }
    names = {}
    for table_id in (row.diagnosis_table_id, row.procedure_table_id):
        names.update({entry.code: entry.name for entry in await catalog.code_entries(uow, table_id)})
    return _Ground(
        row=row,
        method=method,
        grouping=grouping,
        tables=await load_tables(uow, row.diagnosis_table_id, row.procedure_table_id),
        names=names,
        held=tuple(group_of(one) for one in await catalog.groups(uow, edition_id)),
        cases=cases,
        set_aside=await catalog.history_set_aside(uow, uow.scope.area_ids, years),
        fingerprint=policy.fingerprint(),
        trimmed=dict(sorted(trimmed.items())),
        counted=counted,
        cv_limit=policy.optional_fraction("catalog.adequacy_cv") or Fraction(1),
        before=before,
    )


async def _figures_before(uow: UnitOfWork, row: Row[Any]) -> tuple[GroupFigures, ...] | None:
    """What the edition in force the day before rests on (上一版依据), or None when it was not built here."""
    earlier = await catalog.edition_in_force(uow, row.effective_from - timedelta(days=1))
    kept = await catalog.build_report_part(uow, earlier.edition_id, "adequacy") if earlier is not None else None
    return figures_of(kept) if kept else None


def _build(ground: _Ground, memory_limit_mb: int) -> _Built:
    try:
        derived = derive_from_sums((one.as_sum() for one in ground.cases), ground.tables, ground.method)
    except ValueError as exc:
        if "base disease" in str(exc):
            raise Conflict(
                f"没有形成所指的基准病种 {ground.method.base_group}。",
                f"The base group {ground.method.base_group} was not formed.",
                code="BASE_GROUP_NOT_FORMED",
                hint="核对编码，或降低临界值 / check its code, or lower the threshold",
            ) from exc
        raise Conflict(
            "没有一例历史病例可用于测算。", "No case of the history can be used.", code="NO_HISTORY"
        ) from exc
    added = _added(ground, derived)
    conversion = _conversion(ground, derived, memory_limit_mb) if ground.held else {}
    last_year = max(ground.method.weights)
    recent = [one for one in ground.counted if one.year == last_year]
    codes = group_equal_cases(
        recent, _book(ground, ground.held + added), ground.grouping, memory_limit_mb=memory_limit_mb
    )
    counts: dict[str, int] = {}
    for one, code in zip(recent, codes, strict=True):
        if code is not None:
            counts[code] = counts.get(code, 0) + one.n
    core = sum(group.kind is GroupKind.CORE for group in added)
    report = {
        "years": list(ground.method.weights),
        "weights": list(ground.method.weights.values()),
        "basis": ground.method.basis.value,
        "core_threshold": ground.method.core_threshold,
        "policy_fingerprint": ground.fingerprint,
        "history_cases": sum(one.n for one in ground.cases)
        + sum(ground.set_aside.values())
        + sum(ground.trimmed.values()),
        "used_cases": derived.used,
        "set_aside": {
            **{f"intake.{reason}": n for reason, n in sorted(ground.set_aside.items())},
            **{reason.value: n for reason, n in sorted(derived.set_aside.items())},
            **ground.trimmed,
        },
        "score_method": ground.method.score_method.value,
        "base_group": ground.method.base_group,
        "related_uplift": str(ground.method.related_uplift),
        "related_sets_merged": derived.merged_sets,
        "missing_years": [year for year in ground.method.weights if year not in derived.by_year],
        "groups_lacking_a_year": sum(
            any(year not in one.statistics.by_year for year in ground.method.weights) for one in derived.groups
        ),
        "overall_mean_fen": str(derived.overall_mean_fen),
        "core_groups": core,
        "comprehensive_groups": len(added) - core,
        "groups_left_out": len(derived.groups) - len(added),
        "counted_year": last_year,
        "counted_cases": sum(one.n for one in recent),
        "grouped_cases": sum(counts.values()),
    } | conversion
    return _Built(added, counts, report, _adequacy(ground, derived))


def _adequacy(ground: _Ground, derived: DerivedFromSums) -> Mapping[str, Any]:
    """The adequacy report of what was built, as it is kept with the edition (充分性报告)."""
    figures = [
        GroupFigures(
            one.group.group_code,
            one.statistics.n,
            one.mean_fen,
            one.statistics.cv_squared,
            one.mean_fen / derived.overall_mean_fen,
        )
        for one in derived.groups
    ]
    counts: dict[str, list[int]] = {}
    for case in ground.cases:
        if case.year in ground.method.weights and case.principal_diagnosis:
            held = counts.setdefault(case.principal_diagnosis[:1], [0, 0, 0])
            n = case.n - case.not_positive
            held[0] += n
            held[1] += n if case.key in derived.assigned else 0
    for one in derived.groups:
        counts.setdefault(one.group.diagnosis[:1], [0, 0, 0])[2] += 1
    specialties = {chapter: (numbers[0], numbers[1], numbers[2]) for chapter, numbers in counts.items()}
    report = adequacy_of(figures, specialties, cv_limit=ground.cv_limit, before=ground.before)
    return kept_adequacy(report)


def _added(ground: _Ground, derived: DerivedFromSums) -> tuple[DiseaseGroup, ...]:
    keys = {procedure_key(group) for group in ground.held}
    codes = {group.group_code for group in ground.held}
    added = [_named(one.group, ground.names) for one in derived.groups if procedure_key(one.group) not in keys]
    refuse([duplicated_code(group.group_code, group.group_code) for group in added if group.group_code in codes])
    return tuple(added)


def _conversion(ground: _Ground, derived: DerivedFromSums, memory_limit_mb: int) -> dict[str, Any]:
    """Σ score × n of the cases that a built and an imported group both take (换算口径), in both scales, exact."""
    codes = group_equal_cases(
        ground.cases, _book(ground, ground.held), ground.grouping, memory_limit_mb=memory_limit_mb
    )
    imported = {group.group_code: group.score for group in ground.held}
    built = {one.group.group_code: one.group.score for one in derived.groups}
    cases, built_total, imported_total = 0, Decimal(0), Decimal(0)
    for one, code in zip(ground.cases, codes, strict=True):
        assigned = derived.assigned.get(one.key)
        n = one.n - one.not_positive
        if code is None or assigned is None or one.year not in ground.method.weights or n == 0:
            continue
        cases += n
        built_total += built[assigned] * n
        imported_total += imported[code] * n
    factor = str(Fraction(built_total) / Fraction(imported_total)) if imported_total > 0 else ""
    return {
        "conversion_cases": cases,
        "conversion_built": format(built_total, "f"),
        "conversion_imported": format(imported_total, "f"),
        "conversion_factor": factor,
    }


def _book(ground: _Ground, groups: tuple[DiseaseGroup, ...]) -> CatalogBook:
    row = ground.row
    return CatalogBook(
        Edition(str(row.edition_id), row.scale, row.score_decimals, groups, ground.tables, row.effective_from)
    )


def _named(group: DiseaseGroup, names: Mapping[str, str]) -> DiseaseGroup:
    """A built group with the words of the code tables: the code ending in 00 gives the name."""
    if group.kind is GroupKind.COMPREHENSIVE:
        return group
    own = names.get(f"{group.diagnosis}00", "")
    return replace(
        group,
        diagnosis_name=own or group.diagnosis,
        main_procedure_names=_names_of(group.main_procedures, names),
        related_procedure_names=_names_of(group.related_procedures, names),
    )


def _names_of(parts: Conjunction, names: Mapping[str, str]) -> str:
    return "+".join("/".join(names.get(code, code) for code in part) for part in parts)
