"""Scores of a draft (草稿分值): edits within limits, and the dated conversion of imported scores to the built scale."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.catalog.disease_group import DiseaseGroup
from fenzhi.rules.catalog.row_version import row_version
from fenzhi.rules.catalog.score_edits import EditLimits, TotalRule, edit_scores
from fenzhi.rules.quantities import half_up
from fenzhi.rules.refusals import Conflict, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.services.catalog.book import edition_row, group_of
from fenzhi.services.catalog.faults import document_faults, fault, moved, reason_faults, refuse, require_draft
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.repositories import catalog
from fenzhi.store.session import UnitOfWork, new_id

EDITS_MOST = 200


@dataclass(frozen=True, slots=True)
class ScoreEdit:
    """One new score (分值调整). Units: points of the edition's scale."""

    group_code: str
    score: Decimal
    row_version: str = ""
    """The version of the group that the editor saw; blank where it does not matter."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """The document by which imported scores are brought to the built scale (分值换算依据)."""

    document: str
    is_constructed: bool = False


async def _locked_draft(uow: UnitOfWork, edition_id: uuid.UUID) -> Row[Any]:
    await edition_row(uow, edition_id)
    row = await catalog.edition_by_id(uow, edition_id, lock=True)
    assert row is not None
    require_draft(row)
    return row


async def edit_group_scores(
    platform: Platform,
    editor: Subject,
    request: Request,
    edition_id: uuid.UUID,
    edits: Sequence[ScoreEdit],
    reason: str,
    total_rule: TotalRule,
) -> Answer:
    """Edit scores of a draft within the province's limit (调整病种分值), the total Σ score × n kept as `total_rule` says.

    n counts last year's history. The limit holds against the score before the first edit, so that many small edits do not
    pass it. Every changed score leaves a row. Changes: disease_group, score_edit.
    Raises: DataRefused with every fault, PolicyNotEntered, Conflict EDITION_NOT_DRAFT, NotFound.
    """
    editor.scope_for(Duty.EDIT_CATALOG)
    refuse(_shape_faults(edits, reason))

    async def effect(uow: UnitOfWork) -> Answer:
        row = await _locked_draft(uow, edition_id)
        stored = await catalog.groups(uow, edition_id)
        refuse(_stale(edits, stored))
        wanted = {edit.group_code: edit.score for edit in edits}
        revision, faults = await revise_scores(uow, row, stored, wanted, reason, total_rule)
        refuse(faults)
        return {
            "type": "CatalogEdition",
            "id": str(edition_id),
            "changed": revision.changed,
            "factor": str(revision.factor),
            "residual": str(revision.residual),
        }

    return await act(platform, editor, Duty.EDIT_CATALOG, request, effect)


@dataclass(frozen=True, slots=True)
class Revised:
    """What a revision of scores came to (分值调整结果): scores changed, the factor on all, what rounding left."""

    changed: int
    factor: Fraction
    residual: Fraction


async def revise_scores(
    uow: UnitOfWork,
    row: Row[Any],
    stored: Sequence[Row[Any]],
    wanted: Mapping[str, Decimal],
    reason: str,
    total_rule: TotalRule,
) -> tuple[Revised, list[Refusal]]:
    """Revise scores of a locked draft and leave a row for each (分值调整), or name every fault by group code and change nothing.

    Changes: disease_group, score_edit. Raises: PolicyNotEntered.
    """
    policy = await resolved_policy(uow, row.effective_from)
    limit = policy.decimal("catalog.score_edit_limit_ratio")
    groups = [group_of(one) for one in stored]
    nothing = Revised(0, Fraction(1), Fraction(0))
    creeping = _creeping(wanted, await _first_scores(uow, row.edition_id), limit)
    if creeping:
        return nothing, creeping
    revision = edit_scores(
        groups,
        wanted,
        cases={one.group_code: one.cases or 0 for one in stored},
        limits=EditLimits(down=min(limit, Decimal(1)), up=limit),
        score_places=row.score_decimals,
        total_rule=total_rule,
    )
    if revision.refusals:
        return nothing, list(revision.refusals)
    changed = _changed(groups, revision.groups)
    await catalog.set_scores(uow, row.edition_id, {code: after for code, (_, after) in changed.items()})
    rows = _edit_rows(uow, row.edition_id, changed, lambda code: "edit" if code in wanted else "renormalised", reason)
    await catalog.add_score_edits(uow, rows)
    return Revised(len(changed), revision.factor, revision.residual), []


def _stale(edits: Sequence[ScoreEdit], stored: Sequence[Row[Any]]) -> list[Refusal]:
    """Edits that name a version of their group which is not the one stored (行版本过期)."""
    versions = {edit.group_code: edit.row_version for edit in edits if edit.row_version}
    if not versions:
        return []
    now = {one.group_code: row_version(group_of(one)) for one in stored if one.group_code in versions}
    return [
        fault(
            ("ROW_VERSION_STALE", code, version),
            ("读取之后该病种已被改动。", "The group was changed after it was read."),
            ("重新读取后再调整。", "Read it again and make the change there."),
        )
        for code, version in versions.items()
        if now.get(code) != version
    ]


def _shape_faults(edits: Sequence[ScoreEdit], reason: str) -> list[Refusal]:
    faults = reason_faults(reason)
    if not 1 <= len(edits) <= EDITS_MOST or len({edit.group_code for edit in edits}) != len(edits):
        faults.append(
            fault(
                ("SCORE_EDITS_COUNT", "edits", str(len(edits))),
                (f"一次调整 1 至 {EDITS_MOST} 个病种，不得重复。", f"Edit 1 to {EDITS_MOST} groups, none twice."),
                ("分批调整。", "Edit in several parts."),
            )
        )
    return faults


async def _first_scores(uow: UnitOfWork, edition_id: uuid.UUID) -> Mapping[str, Decimal]:
    first: dict[str, Decimal] = {}
    for one in await catalog.score_edits(uow, edition_id):
        if one.kind == "edit":
            first.setdefault(one.group_code, one.score_before)
    return first


def _creeping(wanted: Mapping[str, Decimal], first: Mapping[str, Decimal], limit: Decimal) -> list[Refusal]:
    found = []
    for code, score in wanted.items():
        before = first.get(code)
        if before is None or before * (1 - min(limit, Decimal(1))) <= score <= before * (1 + limit):
            continue
        found.append(
            fault(
                ("score_edit_beyond_limit", code, str(score)),
                (
                    f"与首次调整前的分值 {before:f} 相比超出限度。",
                    f"Beyond the limit of the score {before:f} before the first edit.",
                ),
                ("在限度内调整，或按程序申请更大幅度。", "Edit within the limits, or apply for wider ones."),
            )
        )
    return found


def _changed(before: Sequence[DiseaseGroup], after: Sequence[DiseaseGroup]) -> dict[str, tuple[Decimal, Decimal]]:
    pairs = zip(before, after, strict=True)
    return {one.group_code: (one.score, two.score) for one, two in pairs if one.score != two.score}


def _edit_rows(
    uow: UnitOfWork,
    edition_id: uuid.UUID,
    changed: Mapping[str, tuple[Decimal, Decimal]],
    kind_of: Any,
    reason: str,
) -> list[dict[str, Any]]:
    return [
        {
            "edit_id": new_id(),
            "edition_id": edition_id,
            "group_code": code,
            "score_before": before,
            "score_after": after,
            "kind": kind_of(code),
            "reason": reason.strip(),
            "edited_by": uuid.UUID(uow.scope.account_id),
            "edited_by_person": uuid.UUID(uow.scope.person_id),
        }
        for code, (before, after) in changed.items()
    ]


async def convert_scores(
    platform: Platform, editor: Subject, request: Request, edition_id: uuid.UUID, conversion: Conversion
) -> Answer:
    """Bring the imported scores of a built draft to the built scale, once (分值换算).

    Factor: Σ built score × n / Σ imported score × n over the history cases that both match, as the build found it.
    Rounding: each score once, half up, to the declared places; never to zero. Changes: disease_group, score_edit,
    catalog_edition. Raises: DataRefused, Conflict EDITION_NOT_BUILT, CONVERSION_WITHOUT_CASES, SCORES_CONVERTED,
    EDITION_NOT_DRAFT, NotFound.
    """
    editor.scope_for(Duty.EDIT_CATALOG)
    refuse(document_faults(conversion.document))

    async def effect(uow: UnitOfWork) -> Answer:
        row = await _locked_draft(uow, edition_id)
        report = await catalog.build_report(uow, edition_id)
        factor = _factor(report)
        groups = [one for one in await catalog.groups(uow, edition_id) if one.source == "imported"]
        places = row.score_decimals
        smallest = Decimal(1).scaleb(-places)
        changed = {
            one.group_code: (
                one.score,
                max(Decimal(half_up(Fraction(one.score) * factor * 10**places)).scaleb(-places), smallest),
            )
            for one in groups
        }
        await catalog.set_scores(
            uow, edition_id, {code: after for code, (_, after) in changed.items()}, source="converted"
        )
        rows = _edit_rows(uow, edition_id, changed, lambda _code: "converted", conversion.document)
        await catalog.add_score_edits(uow, rows)
        report["conversion"] = {
            "document": conversion.document.strip(),
            "is_constructed": conversion.is_constructed,
            "day": (await uow.today()).isoformat(),
            "factor": str(factor),
            "groups": len(changed),
        }
        if await catalog.change_edition(uow, edition_id, "draft", {"build_report": report}) != 1:
            raise moved()
        return {
            "type": "CatalogEdition",
            "id": str(edition_id),
            "changed": len(changed),
            "factor": str(factor),
            "residual": "",
        }

    return await act(platform, editor, Duty.EDIT_CATALOG, request, effect)


def _factor(report: Mapping[str, Any]) -> Fraction:
    if "conversion" in report:
        raise Conflict("分值已换算，不再换算。", "The scores were converted already.", code="SCORES_CONVERTED")
    if "build" not in report:
        raise Conflict(
            "草稿尚未由历史病例测算，没有换算系数。",
            "The draft has not been built from history: there is no factor.",
            code="EDITION_NOT_BUILT",
        )
    text = report["build"].get("conversion_factor", "")
    if not text or not report["build"].get("conversion_cases"):
        raise Conflict(
            "没有同时匹配导入病种和测算病种的历史病例，不能换算。",
            "No history case matches both an imported and a built group.",
            code="CONVERSION_WITHOUT_CASES",
        )
    return Fraction(text)
