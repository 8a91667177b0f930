"""Cases of a pool into groups and points (入组计分), each under the edition, overlay, level and coefficient of its discharge date."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Row

from fenzhi.engine.compiled_book import CompiledBook, compile_book
from fenzhi.engine.engine import Engine
from fenzhi.engine.scoring_plan import ScoringPlan, plan_scoring
from fenzhi.rules.catalog.reference_costs import NO_REFERENCES, ReferenceCosts
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.group_case import InpatientCase, group_case
from fenzhi.rules.grouping.grouping_method import GroupingMethod
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.quantities import half_up
from fenzhi.rules.refusals import Conflict, InvariantBroken
from fenzhi.rules.scoring.cost_outliers import OutlierLines
from fenzhi.rules.scoring.score_case import HospitalFactor, score_case
from fenzhi.services.catalog import book
from fenzhi.services.policy.methods import grouping_method_of
from fenzhi.services.scoring.basis import (
    UNASKED_LINES,
    Withheld,
    edition_on,
    hospital_terms,
    outlier_lines_of,
    references_of,
)
from fenzhi.store.repositories import catalog
from fenzhi.store.session import UnitOfWork

SAMPLE = 200
"""How many cases of every run the one-case rules grade again (抽样复核数)."""
_EPOCH = date(1970, 1, 1).toordinal()
_DAYS = 1_000_000


class EditionsNotAddable(Conflict):
    """Points of editions with another scale or score places never stand in one sum (目录版本口径不一致)."""

    code = "EDITIONS_NOT_ADDABLE"


class MethodNotSupported(Conflict):
    """A method that the policy names and this platform does not carry out in clearing (暂不支持的办法)."""

    code = "METHOD_NOT_SUPPORTED"


@dataclass(frozen=True)
class EditionUse:
    """An edition with the overlay that speaks beside it (适用目录及市级调整)."""

    row: Row[Any]
    overlay_id: uuid.UUID | None
    plan: ScoringPlan
    references: ReferenceCosts

    @property
    def key(self) -> str:
        """The name under which cases point to it."""
        return f"{self.row.edition_id}/{self.overlay_id or ''}"

    def described(self) -> dict[str, Any]:
        """For the manifest: ids and the digests of content and references."""
        means = sorted(
            (code, level, mean.total_fen, mean.n) for (code, level), mean in self.references.by_level.items()
        )
        means += sorted((code, "", mean.total_fen, mean.n) for code, mean in self.references.overall.items())
        return {
            "id": str(self.row.edition_id),
            "code": self.row.code,
            "sha256": (self.row.content_sha256 or b"").hex(),
            "overlay": str(self.overlay_id or ""),
            "references_sha256": hashlib.sha256(repr(means).encode()).hexdigest(),
        }


@dataclass(frozen=True)
class GradingBasis:
    """Everything grading reads, frozen (入组计分依据)."""

    editions: tuple[EditionUse, ...]
    method: GroupingMethod
    lines: OutlierLines
    factors: tuple[HospitalFactor, ...]
    edition_of: Mapping[date, str]
    """Discharge date → edition key; a date missing here has no edition."""
    factor_of: Mapping[tuple[int, date], int]
    """(hospital, discharge date) → place in `factors`."""
    withheld: Mapping[tuple[int, date], str]
    """(hospital, discharge date) → why its cases cannot be paid."""

    @property
    def points_decimals(self) -> int:
        """Places of the run's points (分值小数位)."""
        return self.editions[0].plan.book.edition.points_decimals if self.editions else 0

    def registry_sha256(self) -> str:
        """Digest of the levels and coefficients used (机构等级与系数摘要)."""
        used = sorted(
            (hospital, day.isoformat(), self.factors[place].level, str(self.factors[place].coefficient))
            for (hospital, day), place in self.factor_of.items()
        )
        held = sorted((hospital, day.isoformat(), reason) for (hospital, day), reason in self.withheld.items())
        return hashlib.sha256(repr((used, held)).encode()).hexdigest()


async def load_basis(
    uow: UnitOfWork,
    policy: ResolvedPolicy,
    insurance: str,
    places: Iterable[tuple[int, date]],
    reference_year: int,
    *,
    edition: Row[Any] | None = None,
    earliest: bool = False,
) -> GradingBasis:
    """Read what the cases of these hospitals and discharge dates are graded by (装载依据).

    Policy: grouping.*, scoring.*. With `edition` every date is graded under that edition, and the overlay beside it on the first day of
    the year priced (history is regrouped under the edition it prices); with `earliest` a date before the first known level or coefficient takes the first one, and no agreement is asked for.
    Raises: PolicyNotEntered, MethodNotSupported, EditionsNotAddable.
    """
    if policy.method("scoring.ungrouped_method") != "pending":
        raise MethodNotSupported(
            "清算暂不支持未入组病例按空白病种计分，请选用待处理。",
            "Clearing keeps ungrouped cases pending; the policy names another method.",
            hint="scoring.ungrouped_method = pending",
        )
    asked = sorted(set(places))
    dates = sorted({day for _, day in asked})
    lines = outlier_lines_of(policy)
    factors, factor_of, withheld = await _factors(uow, insurance, asked, earliest=earliest)
    used: dict[str, tuple[Row[Any], uuid.UUID | None]] = {}
    edition_of: dict[date, str] = {}
    for day in dates:
        row = edition if edition is not None else await edition_on(uow, day)
        if row is None:
            continue
        spoken_on = day if edition is None else max(date(reference_year + 1, 1, 1), row.effective_from)
        overlay = await catalog.overlay_in_force(uow, uow.scope.area, row.edition_id, spoken_on)
        overlay_id = overlay.overlay_id if overlay is not None else None
        key = f"{row.edition_id}/{overlay_id or ''}"
        used[key] = (row, overlay_id)
        edition_of[day] = key
    if len({(row.scale, row.points_decimals) for row, _ in used.values()}) > 1:
        names = "、".join(sorted(row.code for row, _ in used.values()))
        raise EditionsNotAddable(
            f"本期病例涉及分值口径不同的目录版本（{names}），不能相加。",
            f"The cases fall under editions of different scale: {names}. Their points do not add up.",
            hint="先将全年病例按同一版本重新入组，或录入换算 / regroup the year, or enter a dated conversion",
        )
    method = grouping_method_of(policy)
    uses = []
    for key in sorted(used):
        row, overlay_id = used[key]
        references = NO_REFERENCES
        if lines is not None:
            references = await references_of(uow, policy, row, reference_year)
        scores = {}
        if overlay_id is not None:
            scores = {r.group_code: r.score for r in await catalog.overlay_scores(uow, uow.scope.area, overlay_id)}
        plan = plan_scoring(
            _compiled(await book.load_book(uow, row.edition_id), scores, method),
            factors=factors,
            references=references,
            lines=lines or UNASKED_LINES,
        )
        uses.append(EditionUse(row, overlay_id, plan, references))
    return GradingBasis(tuple(uses), method, lines or UNASKED_LINES, tuple(factors), edition_of, factor_of, withheld)


def _compiled(found: CatalogBook, scores: Mapping[str, Decimal], method: GroupingMethod) -> CompiledBook:
    if scores:
        groups = tuple(replace(g, score=scores.get(g.group_code, g.score)) for g in found.edition.groups)
        found = CatalogBook(replace(found.edition, groups=groups))
    return compile_book(found, method)


async def _factors(
    uow: UnitOfWork, insurance: str, asked: Sequence[tuple[int, date]], *, earliest: bool
) -> tuple[list[HospitalFactor], dict[tuple[int, date], int], dict[tuple[int, date], str]]:
    terms = await hospital_terms(uow, uow.scope.area, insurance)
    factors: list[HospitalFactor] = []
    place_of: dict[HospitalFactor, int] = {}
    factor_of: dict[tuple[int, date], int] = {}
    withheld: dict[tuple[int, date], str] = {}
    for hospital, day in asked:
        factor, _document, reason = terms.on(hospital, day, earliest=earliest)
        if factor is None or reason is not None:
            withheld[hospital, day] = str(reason)
            continue
        if factor not in place_of:
            place_of[factor] = len(factors)
            factors.append(factor)
        factor_of[hospital, day] = place_of[factor]
    return factors, factor_of, withheld


def grade(engine: Engine, cases: pa.Table, basis: GradingBasis) -> pa.Table:
    """Disposition, group, band and points of every case (入组计分), in the order of the rows given.

    Shape: `cases` has hospital_id (int32), discharge_date, principal_diagnosis, procedures, total_fen. The answer: disposition
    (`cleared` or `pending:<reason>`), group_code, reason, band (blank when pending), points (0 when pending) and
    group_score.
    """
    rows = cases.num_rows
    places = _places(cases)
    keys = sorted({*basis.factor_of, *basis.withheld})
    index = pc.index_in(places, value_set=pa.array([_place(*key) for key in keys], pa.int64()))
    factor = pc.take(pa.array([basis.factor_of.get(key) for key in keys], pa.int32()), index)
    why = pc.take(pa.array([_why(basis, key) for key in keys], pa.string()), index)
    edition = pc.take(pa.array([basis.edition_of.get(key[1]) for key in keys], pa.string()), index)
    payable = pc.is_null(why)
    ordinals = pa.array(range(rows), pa.int64())
    chosen = pc.filter(ordinals, payable)
    columns: dict[str, pa.Array] = {}
    if len(chosen):
        asked = pa.table(
            {
                "principal_diagnosis": pc.take(cases["principal_diagnosis"], chosen),
                "procedures": pc.take(cases["procedures"], chosen),
                "cost_fen": pc.take(cases["total_fen"], chosen),
                "factor": pc.take(factor, chosen),
                "edition_id": pc.take(edition, chosen),
            }
        )
        found = engine.group_and_score_editions(asked, {use.key: use.plan for use in basis.editions})
        back = pc.index_in(ordinals, value_set=chosen)
        for name, kind in (
            ("group_code", pa.string()),
            ("reason", pa.string()),
            ("band", pa.string()),
            ("points", pa.int64()),
        ):
            columns[name] = pc.take(_plain(found[name], kind), back)
    else:
        columns = {name: pa.nulls(rows, pa.string()) for name in ("group_code", "reason", "band")}
        columns["points"] = pa.nulls(rows, pa.int64())
    ungrouped = pc.binary_join_element_wise("pending:ungrouped", columns["reason"], ":")
    pending = pc.binary_join_element_wise("pending", why, ":")
    grouped = pc.is_valid(columns["group_code"])
    disposition = pc.if_else(payable, pc.if_else(grouped, "cleared", ungrouped), pending)
    return pa.table(
        {
            "disposition": disposition,
            "group_code": pc.fill_null(columns["group_code"], ""),
            "reason": pc.fill_null(columns["reason"], ""),
            "band": pc.fill_null(columns["band"], ""),
            "points": pc.fill_null(columns["points"], 0),
            "group_score": _scores(basis, edition, columns["group_code"]),
        }
    )


def _scores(basis: GradingBasis, edition: pa.Array, group_code: pa.Array) -> pa.Array:
    """The score of each case's group in 10^-d points, null without a group (病种分值)."""
    found = pa.nulls(len(group_code), pa.int64())
    for use in basis.editions:
        unit = 10**use.plan.book.edition.points_decimals
        scores = {g.group_code: half_up(g.score * unit) for g in use.plan.book.edition.groups if g.score is not None}
        index = pc.index_in(group_code, value_set=pa.array(list(scores), pa.string()))
        here = pc.take(pa.array(list(scores.values()), pa.int64()), index)
        if len(basis.editions) == 1:
            return here
        found = pc.if_else(pc.fill_null(pc.equal(edition, use.key), False), here, found)
    return found


def _plain(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    return column.cast(kind).combine_chunks()


def _why(basis: GradingBasis, key: tuple[int, date]) -> str | None:
    if key[1] not in basis.edition_of:
        return Withheld.NO_EDITION.value
    return basis.withheld.get(key)


def _place(hospital: int, day: date) -> int:
    return hospital * _DAYS + day.toordinal() - _EPOCH


def _places(cases: pa.Table) -> pa.Array:
    days = pc.cast(pc.cast(cases["discharge_date"], pa.date32()), pa.int32())
    hospitals = pc.multiply(pc.cast(cases["hospital_id"], pa.int64()), pa.scalar(_DAYS, pa.int64()))
    return _flat(pc.add(hospitals, pc.cast(days, pa.int64())))


def _flat(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def places_of(cases: pa.Table) -> set[tuple[int, date]]:
    """The distinct (hospital, discharge date) of cases (机构与出院日)."""
    found = pc.unique(_places(cases)).to_pylist()
    return {(place // _DAYS, date.fromordinal(place % _DAYS + _EPOCH)) for place in found}


def cross_check(cases: pa.Table, graded: pa.Table, basis: GradingBasis, sample: int = SAMPLE) -> None:
    """Grade a sample again by the one-case rules (抽样复核): the cases with the smallest digests, the same ones every time.

    Raises: InvariantBroken naming the first case on which engine and rules differ.
    """
    order = pc.sort_indices(cases, sort_keys=[("digest", "ascending"), ("case_id", "ascending")]).slice(0, sample)
    books = {use.key: use for use in basis.editions}
    opened = {use.key: CatalogBook(use.plan.book.edition) for use in basis.editions}
    asked, found = cases.take(order).to_pylist(), graded.take(order).to_pylist()
    for case, engine_says in zip(asked, found, strict=True):
        key = (case["hospital_id"], case["discharge_date"])
        rules_say = _by_the_rules(case, key, basis, books, opened)
        said = (engine_says["disposition"], engine_says["group_code"], engine_says["band"], engine_says["points"])
        if said != rules_say:
            raise InvariantBroken(
                "the bulk engine says what the rules say",
                account=str(case["case_id"]),
                detail=f"engine {said}, rules {rules_say}",
            )


def _by_the_rules(
    case: Mapping[str, Any],
    key: tuple[int, date],
    basis: GradingBasis,
    uses: Mapping[str, EditionUse],
    opened: Mapping[str, CatalogBook],
) -> tuple[str, str, str, int]:
    why = _why(basis, key)
    if why is not None:
        return (f"pending:{why}", "", "", 0)
    use = uses[basis.edition_of[key[1]]]
    one = InpatientCase(case["case_id"], case["principal_diagnosis"], tuple(case["procedures"]))
    outcome = group_case(one, opened[use.key], basis.method)
    if outcome.group is None:
        return (f"pending:ungrouped:{outcome.reason.value}", "", "", 0)
    scored = score_case(
        outcome.group,
        case_id=case["case_id"],
        cost_fen=case["total_fen"],
        factor=basis.factors[basis.factor_of[key]],
        references=use.references,
        lines=basis.lines,
        points_decimals=basis.points_decimals,
    )
    return ("cleared", outcome.group.group_code, scored.band.value, scored.points)
