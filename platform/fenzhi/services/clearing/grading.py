"""Cases of a pool into groups and points (入组计分), each under the edition, overlay, level and coefficient of its discharge date."""

from __future__ import annotations

import hashlib
import uuid
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Row

from fenzhi.engine.engine import Engine
from fenzhi.engine.graded_editions import EditionPlan
from fenzhi.engine.scoring_plan import ScoringPlan, plan_scoring, with_adjustments
from fenzhi.rules.catalog.reference_costs import NO_REFERENCES, ReferenceCosts
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.group_case import InpatientCase, group_case
from fenzhi.rules.grouping.grouping_method import GroupingMethod, TieBreak
from fenzhi.rules.grouping.provisional_groups import ProvisionalGroup, or_provisional, provisional_book
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.quantities import half_up
from fenzhi.rules.refusals import Conflict, InvariantBroken
from fenzhi.rules.scoring.auxiliary_choice import IcuDayCounting
from fenzhi.rules.scoring.case_adjustment import AdjustmentRules, case_adjustment
from fenzhi.rules.scoring.cost_outliers import OutlierLines
from fenzhi.rules.scoring.score_case import BlankGroup, HospitalFactor, score_blank, score_case
from fenzhi.services.catalog import book
from fenzhi.services.catalog import provisional_in_force as provisional
from fenzhi.services.grouping.compiled import compiled_for
from fenzhi.services.policy.methods import grouping_method_of
from fenzhi.services.scoring.adjusting import adjustment_rules_of, blank_group_of
from fenzhi.services.scoring.assembly import NO_RULES, facts_of
from fenzhi.services.scoring.basis import (
    UNASKED_LINES,
    Withheld,
    frozen_price,
    hospital_terms,
    means_for,
    needs_price,
    outlier_lines_of,
    references_of,
)
from fenzhi.services.scoring.provisional import provisional_plan
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
    adjustments: AdjustmentRules = NO_RULES
    blank: BlankGroup | None = None
    groups: tuple[ProvisionalGroup, ...] = ()
    """Provisional groups in force beside it (临时病种)."""
    provisional: ScoringPlan | None = None
    """The plan over them."""

    @property
    def key(self) -> str:
        """The name under which cases point to it."""
        return _key(self.row, self.overlay_id, self.groups)

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
        } | ({"provisional": [provisional.described(one) for one in self.groups]} if self.groups else {})


def _key(row: Row[Any], overlay_id: uuid.UUID | None, groups: Iterable[ProvisionalGroup]) -> str:
    return f"{row.edition_id}/{overlay_id or ''}" + "".join(f"/{one.group_code}" for one in groups)


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

    @property
    def icu_counting(self) -> IcuDayCounting:
        """How hours in intensive care are days (重症监护天数计算办法)."""
        return self.editions[0].adjustments.icu_counting if self.editions else IcuDayCounting.FULL

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
    pool: tuple[str, str, int] | None = None,
    approved: Sequence[provisional.ApprovedGroup] | None = None,
) -> GradingBasis:
    """Read what the cases of these hospitals and discharge dates are graded by (装载依据).

    Policy: grouping.*, scoring.*. With `edition` every date is graded under that edition, and the overlay beside it on the first day of
    the year priced (history is regrouped under the edition it prices); with `earliest` a date before the first known level or coefficient takes the first one, and no agreement is asked for.
    `approved`: the provisional groups of a manifest, for a run that is repeated; without them, those approved now.
    Raises: PolicyNotEntered, EditionsNotAddable, Conflict POINT_VALUE_NOT_APPROVED, DataRefused for a policy row that cannot be read.
    """
    asked = sorted(set(places))
    dates = sorted({day for _, day in asked})
    lines = await _lines(uow, policy, pool)
    factors, factor_of, withheld = await _factors(uow, insurance, asked, earliest=earliest)
    used: dict[str, tuple[Row[Any], uuid.UUID | None, tuple[ProvisionalGroup, ...]]] = {}
    known_groups = approved if approved is not None else await provisional.approved_groups(uow, uow.scope.area)
    edition_of: dict[date, str] = {}
    # One question for the span, not one for each of its days.
    known = [edition] if edition is not None else await _editions_of(uow, dates)
    overlays = await catalog.published_overlays(uow, uow.scope.area, [row.edition_id for row in known])
    for day in dates:
        row = edition if edition is not None else _edition_on(known, day)
        if row is None:
            continue
        spoken_on = day if edition is None else max(date(reference_year + 1, 1, 1), row.effective_from)
        begun = (o.overlay_id for o in overlays if o.edition_id == row.edition_id and o.effective_from <= spoken_on)
        overlay_id = next(begun, None)
        groups = provisional.in_force(known_groups, day, row.scale)
        key = _key(row, overlay_id, groups)
        used[key] = (row, overlay_id, groups)
        edition_of[day] = key
    if len({(row.scale, row.points_decimals) for row, _, _ in used.values()}) > 1:
        names = "、".join(sorted({row.code for row, _, _ in used.values()}))
        raise EditionsNotAddable(
            f"本期病例涉及分值口径不同的目录版本（{names}），不能相加。",
            f"The cases fall under editions of different scale: {names}. Their points do not add up.",
            hint="先将全年病例按同一版本重新入组，或录入换算 / regroup the year, or enter a dated conversion",
        )
    method = grouping_method_of(policy)
    uses = []
    for key in sorted(used):
        row, overlay_id, groups = used[key]
        references = NO_REFERENCES
        blank_asked = policy.method("scoring.ungrouped_method") == "blank_group"
        if lines is not None or blank_asked or TieBreak.NEAREST_COST in method.tie_break:
            references = await references_of(uow, policy, row, reference_year)
        blank = blank_group_of(policy, references)
        scores = {}
        if overlay_id is not None:
            scores = {r.group_code: r.score for r in await catalog.overlay_scores(uow, uow.scope.area, overlay_id)}
        opened = await book.load_book(uow, row.edition_id)
        _scored_book, compiled = compiled_for(opened, overlay_id, scores, method, means_for(method, references))
        plan = plan_scoring(
            compiled,
            factors=factors,
            references=references if lines is not None else NO_REFERENCES,
            lines=lines or UNASKED_LINES,
            blank=blank,
        )
        beside = provisional_plan(opened.edition, groups, method, factors=factors, lines=lines or UNASKED_LINES)
        rules = adjustment_rules_of(policy, await catalog.subtypes_of(uow, row.edition_id))
        uses.append(EditionUse(row, overlay_id, plan, references, rules, blank, groups, beside))
    return GradingBasis(tuple(uses), method, lines or UNASKED_LINES, tuple(factors), edition_of, factor_of, withheld)


async def _editions_of(uow: UnitOfWork, dates: Sequence[date]) -> list[Row[Any]]:
    return list(await catalog.editions_in_force(uow, dates[0], dates[-1])) if dates else []


def _edition_on(known: Sequence[Row[Any]], day: date) -> Row[Any] | None:
    """The edition whose range holds the day: ranges of published editions never meet."""
    for row in known:
        if row.effective_from <= day and (row.effective_to is None or day <= row.effective_to):
            return row
    return None


async def _lines(uow: UnitOfWork, policy: ResolvedPolicy, pool: tuple[str, str, int] | None) -> OutlierLines | None:
    """The lines of the run. History that a budget point value is made of has no point value to be judged by: nothing is rescored there."""
    if not needs_price(policy):
        return outlier_lines_of(policy)
    return None if pool is None else outlier_lines_of(policy, await frozen_price(uow, policy, pool))


async def _factors(
    uow: UnitOfWork, insurance: str, asked: Sequence[tuple[int, date]], *, earliest: bool
) -> tuple[list[HospitalFactor], dict[tuple[int, date], int], dict[tuple[int, date], str]]:
    terms = await hospital_terms(uow, uow.scope.area, insurance)
    factors: list[HospitalFactor] = []
    place_of: dict[HospitalFactor, int] = {}
    factor_of: dict[tuple[int, date], int] = {}
    withheld: dict[tuple[int, date], str] = {}
    changes: dict[int, list[date]] = {}
    # Between two days on which something of a hospital changes, every day says the same.
    said: dict[tuple[int, int], tuple[HospitalFactor | None, str, Withheld | None]] = {}
    for hospital, day in asked:
        if hospital not in changes:
            changes[hospital] = terms.days_of_change(hospital)
        span = (hospital, bisect_right(changes[hospital], day))
        if span not in said:
            said[span] = terms.on(hospital, day, earliest=earliest)
        factor, _document, reason = said[span]
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
    # What hospital and day decide is worked once per pair of them, and carried to the cases by its place.
    seen = pc.dictionary_encode(place_codes(cases))
    keys = [_hospital_and_day(place) for place in seen.dictionary.to_pylist()]
    whys = [_why(basis, key) for key in keys]
    editions = [basis.edition_of.get(key[1]) for key in keys]
    is_payable = pc.take(pa.array([why is None for why in whys], pa.bool_()), seen.indices)
    payable = sum(why is None for why in whys)
    chosen = None if payable == len(keys) else pc.indices_nonzero(is_payable)
    if not payable:
        return _pending(whys, seen.indices)

    def of(column: Any) -> Any:
        return column if chosen is None else pc.take(column, chosen)

    factors = pa.array([basis.factor_of.get(key) for key in keys], pa.int32())
    columns = {
        "principal_diagnosis": of(cases["principal_diagnosis"]),
        "procedures": of(cases["procedures"]),
        "cost_fen": of(cases["total_fen"]),
        "factor": of(pc.take(factors, seen.indices)),
    }
    if "icu_minutes" in cases.column_names:
        cases = cases.append_column("icu_days", days_in_icu(cases["icu_minutes"], basis.icu_counting))
    columns |= {name: of(cases[given]) for name, given in _FACTS.items() if given in cases.column_names}
    used = {edition for edition, why in zip(editions, whys, strict=True) if why is None}
    asked = pa.table(columns)
    if len(used) > 1:
        asked = asked.append_column("edition_id", of(pc.take(pa.array(editions, pa.string()), seen.indices)))
    uses = [use for use in basis.editions if use.key in used]
    return _said(_scored(engine, asked, uses), uses, whys, seen.indices, None if chosen is None else is_payable)


def days_in_icu(minutes: pa.ChunkedArray, counting: IcuDayCounting) -> pa.ChunkedArray:
    """Days of intensive care, null where the list does not say (重症监护天数)."""
    rest = 1_439 if counting is IcuDayCounting.STARTED else 0
    return pc.divide(pc.add(pc.cast(minutes, pa.int64()), rest), 1_440)


def _pending(whys: Sequence[str | None], place: pa.Array) -> pa.Table:
    rows = len(place)
    blank = pa.repeat(pa.scalar(""), rows)
    words = pa.array([f"pending:{why}" for why in whys], pa.string())
    return pa.table(
        {
            "disposition": pc.take(words, place),
            "group_code": blank,
            "reason": blank,
            "band": blank,
            "points": pa.repeat(pa.scalar(0, pa.int64()), rows),
            "group_score": pa.nulls(rows, pa.int64()),
        }
    )


def _said(
    found: pa.Table,
    uses: Sequence[EditionUse],
    whys: Sequence[str | None],
    place: pa.Array,
    is_payable: pa.Array | None,
) -> pa.Table:
    """What the engine said of the payable cases, and why the others are pending, as the columns of `grade`."""
    reason, points = found["reason"].combine_chunks(), found["points"].combine_chunks()
    reasons = reason.dictionary.to_pylist()
    words = ["cleared", *(f"pending:ungrouped:{one}" for one in reasons)]
    number = pc.if_else(pc.is_valid(points), pa.scalar(0, pa.int32()), pc.add(pc.cast(reason.indices, pa.int32()), 1))
    back: pa.Array | None = None
    if is_payable is not None:
        counted = pc.subtract(pc.cumulative_sum(pc.cast(is_payable, pa.int64())), 1)
        back = pc.if_else(is_payable, counted, pa.scalar(None, pa.int64()))
        held = sorted({why for why in whys if why is not None})
        numbers = [None if why is None else len(words) + held.index(why) for why in whys]
        words += [f"pending:{why}" for why in held]
        number = pc.coalesce(pc.take(number, back), pc.take(pa.array(numbers, pa.int32()), place))

    def all_rows(column: pa.Array) -> pa.Array:
        return column if back is None else pc.take(column, back)

    def text(column: pa.ChunkedArray) -> pa.Array:
        return pc.fill_null(all_rows(column.combine_chunks().cast(pa.string())), "")

    return pa.table(
        {
            "disposition": pc.take(pa.array(words, pa.string()), number),
            "group_code": text(found["group_code"]),
            "reason": text(found["reason"]),
            "band": text(found["band"]),
            "points": pc.fill_null(all_rows(points), 0),
            "group_score": all_rows(_scores(uses, found)),
        }
    )


def _scores(uses: Sequence[EditionUse], found: pa.Table) -> pa.Array:
    """The score of each case's group in 10^-d points, null without a group (病种分值)."""
    codes = found["group_code"].combine_chunks()
    coded = codes if pa.types.is_dictionary(codes.type) else pc.dictionary_encode(codes)
    scores = pa.nulls(len(codes), pa.int64())
    for use in uses:
        unit = 10**use.plan.book.edition.points_decimals
        known = (*use.plan.book.edition.groups, *(one.as_group for one in use.groups))
        of_group = {g.group_code: half_up(g.score * unit) for g in known if g.score is not None}
        words = [of_group.get(code) for code in coded.dictionary.to_pylist()]
        mine = pc.take(pa.array(words, pa.int64()), coded.indices)
        if len(uses) == 1:
            return mine
        scores = pc.if_else(pc.equal(found["edition_id"].combine_chunks(), use.key), mine, scores)
    return scores


_FACTS = {
    "other_diagnoses": "other_diagnoses",
    "age_days": "age_days",
    "los_days": "los_days",
    "birth_weight_g": "birth_weight_g",
    "discharge_way": "discharge_way",
    "discharge_date": "discharge_date",
    "icu_days": "icu_days",
    "tcm_fen": "tcm_fen",
}
"""Facts that conditions and factors look at, where the cases carry them (条件与系数所用事实)."""


def _scored(engine: Engine, asked: pa.Table, uses: Sequence[EditionUse]) -> pa.Table:
    """Groups and points; where factors act on the cases, grouped first, so that each case's factors are known (先入组后计分)."""
    if any(use.provisional is not None for use in uses):
        plans = {one.key: EditionPlan(one.plan, one.adjustments, one.provisional) for one in uses}
        if len(uses) == 1:
            asked = asked.append_column("edition_id", pa.repeat(pa.scalar(uses[0].key), asked.num_rows))
        return engine.grade(asked, plans)
    if len(uses) == 1:
        use, plan = uses[0], uses[0].plan
        if not use.adjustments.empty:
            grouped = engine.group(asked, plan.book)
            found, index = engine.adjust(grouped, asked, plan.book.edition, use.adjustments)
            plan, asked = with_adjustments(plan, found), asked.append_column("auxiliary", index)
        return engine.group_and_score(asked, plan)
    by_edition = {use.key: use.plan for use in uses}
    if all(use.adjustments.empty for use in uses):
        return engine.group_and_score_editions(asked, by_edition)
    ordinals = pa.array(range(asked.num_rows), pa.int64())
    places = pa.repeat(pa.scalar(0, pa.int32()), asked.num_rows)
    for use in uses:
        mine = pc.equal(asked["edition_id"], use.key).combine_chunks()
        cases = asked.filter(mine)
        grouped = engine.group(cases, use.plan.book)
        found, index = engine.adjust(grouped, cases, use.plan.book.edition, use.adjustments)
        by_edition[use.key] = with_adjustments(use.plan, found)
        back = pc.index_in(ordinals, value_set=ordinals.filter(mine))
        places = pc.if_else(mine, pc.fill_null(pc.take(index, back), 0), places)
    return engine.group_and_score_editions(asked.append_column("auxiliary", places), by_edition)


def _why(basis: GradingBasis, key: tuple[int, date]) -> str | None:
    if key[1] not in basis.edition_of:
        return Withheld.NO_EDITION.value
    return basis.withheld.get(key)


def _hospital_and_day(place: int) -> tuple[int, date]:
    return place // _DAYS, date.fromordinal(place % _DAYS + _EPOCH)


def place_of(hospital: int, day: date) -> int:
    """A hospital and a day of discharge as one number (机构与出院日编码)."""
    return hospital * _DAYS + day.toordinal() - _EPOCH


def place_codes(cases: pa.Table) -> pa.Array:
    """`place_of` of every case, in the order of the rows given (逐例机构与出院日编码)."""
    days = pc.cast(pc.cast(cases["discharge_date"], pa.date32()), pa.int32())
    hospitals = pc.multiply(pc.cast(cases["hospital_id"], pa.int64()), pa.scalar(_DAYS, pa.int64()))
    return _flat(pc.add(hospitals, pc.cast(days, pa.int64())))


def _flat(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def places_of(cases: pa.Table) -> set[tuple[int, date]]:
    """The distinct (hospital, discharge date) of cases (机构与出院日)."""
    found = pc.unique(place_codes(cases)).to_pylist()
    return {_hospital_and_day(place) for place in found}


def cross_check(cases: pa.Table, graded: pa.Table, basis: GradingBasis, sample: int = SAMPLE) -> None:
    """Grade a sample again by the one-case rules (抽样复核): the cases with the smallest digests, the same ones every time.

    Raises: InvariantBroken naming the first case on which engine and rules differ.
    """
    order = _smallest(cases, sample)
    books = {use.key: use for use in basis.editions}
    opened = {use.key: CatalogBook(use.plan.book.edition) for use in basis.editions}
    beside = {use.key: provisional_book(use.plan.book.edition, use.groups) for use in basis.editions}
    asked, found = cases.take(order).to_pylist(), graded.take(order).to_pylist()
    for case, engine_says in zip(asked, found, strict=True):
        key = (case["hospital_id"], case["discharge_date"])
        rules_say = _by_the_rules(case, key, basis, books, (opened, beside))
        said = (engine_says["disposition"], engine_says["group_code"], engine_says["band"], engine_says["points"])
        if said != rules_say:
            raise InvariantBroken(
                "the bulk engine says what the rules say",
                account=str(case["case_id"]),
                detail=f"engine {said}, rules {rules_say}",
            )


def _smallest(cases: pa.Table, sample: int) -> pa.Array:
    """The rows with the smallest digests, ties by case id (摘要最小的病例); a digest is uniform, so few have a small first byte."""
    rows = pa.array(range(0), pa.int64())
    for bound in (b"\x01", b"\x08", b"\x40", None):
        if bound is None:
            rows = pa.array(range(cases.num_rows), pa.int64())
        else:
            rows = pc.cast(
                pc.indices_nonzero(pc.less(cases["digest"], pa.scalar(bound, cases["digest"].type))), pa.int64()
            )
        if len(rows) >= sample:
            break
    near = cases.select(["digest", "case_id"]).take(rows)
    order = pc.sort_indices(near, sort_keys=[("digest", "ascending"), ("case_id", "ascending")])
    return pc.take(rows, order.slice(0, sample))


def _by_the_rules(
    case: Mapping[str, Any],
    key: tuple[int, date],
    basis: GradingBasis,
    uses: Mapping[str, EditionUse],
    books: tuple[Mapping[str, CatalogBook], Mapping[str, CatalogBook | None]],
) -> tuple[str, str, str, int]:
    opened, beside = books
    why = _why(basis, key)
    if why is not None:
        return (f"pending:{why}", "", "", 0)
    use = uses[basis.edition_of[key[1]]]
    one = InpatientCase(
        case["case_id"],
        case["principal_diagnosis"],
        tuple(case["procedures"]),
        tuple(case.get("other_diagnoses") or ()),
        case.get("age_days"),
        case.get("birth_weight_g"),
        case.get("los_days"),
        case["total_fen"],
        case.get("icu_minutes"),
        case.get("tcm_fen"),
    )
    outcome = group_case(one, opened[use.key], basis.method, means_for(basis.method, use.references))
    outcome = or_provisional(outcome, one, beside[use.key], basis.method, use.groups)
    if outcome.group is None and use.blank is not None and outcome.reason.is_uncovered:
        edition = use.plan.book.edition
        blank = score_blank(case["case_id"], case["total_fen"], edition.scale, use.blank, edition.points_decimals)
        return ("cleared", "", blank.band.value, blank.points)
    if outcome.group is None:
        return (f"pending:ungrouped:{outcome.reason.value}", "", "", 0)
    scored = score_case(
        outcome.group,
        case_id=case["case_id"],
        cost_fen=case["total_fen"],
        factor=basis.factors[basis.factor_of[key]],
        references=use.references if basis.lines is not UNASKED_LINES else NO_REFERENCES,
        lines=basis.lines,
        points_decimals=basis.points_decimals,
        adjustment=case_adjustment(
            outcome.group,
            facts_of(one, use.plan.book.edition.tables, case.get("discharge_way"), use.adjustments.icu_counting),
            case["total_fen"],
            case["discharge_date"],
            use.adjustments,
        ),
    )
    return ("cleared", outcome.group.group_code, scored.band.value, scored.points)
