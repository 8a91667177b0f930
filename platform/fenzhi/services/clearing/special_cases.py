"""Special cases in a run (特例单议入账): what was approved changes a case's points or takes it out of the pool, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fenzhi.rules.refusals import Conflict
from fenzhi.store.repositories import review
from fenzhi.store.repositories.fund import Pool
from fenzhi.store.session import UnitOfWork

IN_REVIEW = "pending:in_review"
OFF_POOL = "off_pool:special_case"


class ReviewsOpen(Conflict):
    """A year that still has special cases to decide, or refusals that may be appealed against (特例单议未办结)."""

    code = "REVIEWS_OPEN"


@dataclass(frozen=True)
class SpecialCases:
    """The special cases among the frozen cases (特例单议). Units: fen; points in 10^-d; keys are case ids as text."""

    points: Mapping[str, int] = field(default_factory=dict)
    """Points a case has instead of its own."""
    off_pool: Mapping[str, int] = field(default_factory=dict)
    """What the fund pays for a case beside the pool."""
    in_review: frozenset[str] = frozenset()
    hospital_of: Mapping[str, int] = field(default_factory=dict)
    points_decimals: int | None = None

    @property
    def off_pool_fen(self) -> int:
        """What leaves the fund before the point value (池外支付合计)."""
        return sum(self.off_pool.values())

    def off_pool_of(self, hospital: int) -> int:
        """What one hospital is paid beside the pool (机构池外支付)."""
        return sum(fen for case, fen in self.off_pool.items() if self.hospital_of[case] == hospital)

    def states(self) -> dict[str, tuple[str, int]]:
        """Where the review of each case stands, and what it gives (评审状态): points, fen beside the pool, or still heard."""
        return states_described(self.described())

    def described(self) -> dict[str, Any]:
        """For the manifest, in a fixed order (清单内容)."""
        return {
            "points": sorted(map(list, self.points.items())),
            "off_pool": sorted(map(list, self.off_pool.items())),
            "in_review": sorted(self.in_review),
        }


def states_described(described: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    """As `SpecialCases.states`, from what a manifest says of its reviews (清单中的评审状态)."""
    found = {case: (name, amount) for name in ("points", "off_pool") for case, amount in described.get(name, ())}
    return found | {case: ("in_review", 0) for case in described.get("in_review", ())}


async def load_special_cases(uow: UnitOfWork, pool: Pool, cases: pa.Table) -> SpecialCases:
    """The approved outcomes and open reviews of the frozen cases (读取特例单议). One case has one application that is alive, by a unique
    index, so an outcome enters once. Raises: Conflict EDITIONS_NOT_ADDABLE for points of two scales."""
    rows = await review.of_pool(uow, pool, (*review.IN_REVIEW, *review.DECIDED))
    if not rows:
        return SpecialCases()
    asked = pa.array([str(row.case_id) for row in rows], pa.string())
    frozen = set(pc.filter(cases["case_id"], pc.is_in(cases["case_id"], value_set=asked)).to_pylist())
    points: dict[str, int] = {}
    off_pool: dict[str, int] = {}
    in_review: set[str] = set()
    hospital_of: dict[str, int] = {}
    decimals: set[int] = set()
    for row in rows:
        case = str(row.case_id)
        if case not in frozen:
            continue
        hospital_of[case] = row.hospital_id
        if row.state in review.IN_REVIEW:
            in_review.add(case)
        elif row.award_points is not None:
            points[case] = row.award_points
            decimals.add(row.points_decimals)
        else:
            off_pool[case] = row.award_fen
    if len(decimals) > 1:
        raise _not_addable()
    return SpecialCases(points, off_pool, frozenset(in_review), hospital_of, next(iter(decimals), None))


def _not_addable() -> Conflict:
    return Conflict(
        "特例单议核定分值与本期目录的分值口径不同。",
        "The points awarded to special cases are of another scale than the edition of the run.",
        code="EDITIONS_NOT_ADDABLE",
        hint="按本期目录重新核定 / value the cases again under this edition",
    )


def check_scale(special: SpecialCases, points_decimals: int) -> None:
    """Points awarded and points of the run share their scale (分值口径一致). Raises: Conflict EDITIONS_NOT_ADDABLE."""
    if special.points_decimals is not None and special.points_decimals != points_decimals:
        raise _not_addable()


def with_special_cases(graded: pa.Table, case_id: pa.ChunkedArray, special: SpecialCases) -> pa.Table:
    """Graded cases with their reviews in place (特例单议改变入组计分结果), in the order of the rows given.

    A case with points awarded is cleared with them and its group is kept; one in review is on a named list; one paid beside the pool has
    left it with its points, cost and booked amount.
    """
    if not special.hospital_of:
        return graded
    changed: dict[str, tuple[str, int]] = {case: ("cleared", points) for case, points in special.points.items()}
    changed |= dict.fromkeys(special.off_pool, (OFF_POOL, 0))
    changed |= dict.fromkeys(special.in_review, (IN_REVIEW, 0))
    keys = sorted(changed)
    place = pc.index_in(case_id, value_set=pa.array(keys, pa.string()))
    is_special = pc.is_valid(place)
    for name, kind, values in (
        ("disposition", pa.string(), [changed[key][0] for key in keys]),
        ("points", pa.int64(), [changed[key][1] for key in keys]),
    ):
        own = graded[name]
        now = pc.if_else(is_special, pc.take(pa.array(values, kind), place), own)
        graded = graded.set_column(graded.column_names.index(name), name, now)
    return graded


def unreviewed_cases(graded: pa.Table, case_id: pa.ChunkedArray, special: SpecialCases) -> dict[str, tuple[str, int]]:
    """Disposition and points of the reviewed cases as graded, without their reviews (评审前入组计分), by case id."""
    if not special.hospital_of:
        return {}
    wanted = pc.is_in(case_id, value_set=pa.array(sorted(special.hospital_of), pa.string()))
    columns = (column.filter(wanted).to_pylist() for column in (case_id, graded["disposition"], graded["points"]))
    return {case: (disposition, points) for case, disposition, points in zip(*columns, strict=True)}


async def refuse_open_reviews(uow: UnitOfWork, pool: Pool) -> None:
    """A year is cleared when its reviews are over (特例单议办结后方可年度清算). Raises: ReviewsOpen with how many are not."""
    today = await uow.today()
    open_ = await review.of_pool(uow, pool, ("applied", "waiting", *review.IN_REVIEW))
    refused = await review.of_pool(uow, pool, ("refused",))
    waiting = len(open_) + sum(row.appeal_due_on is not None and row.appeal_due_on >= today for row in refused)
    if waiting:
        raise ReviewsOpen(
            f"该年度还有 {waiting} 件特例单议未办结或在申诉期内。",
            f"{waiting} special cases of the year are undecided, or may still be appealed.",
            hint="办结全部特例单议后发起年度清算 / decide them first; the annual clearing takes their outcomes",
            count=str(waiting),
        )
