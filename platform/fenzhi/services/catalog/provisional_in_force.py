"""Which provisional groups speak about a case (适用临时病种): approved ones of its area, by its discharge date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from fenzhi.rules.grouping.provisional_groups import ProvisionalGroup
from fenzhi.store.repositories import provisional
from fenzhi.store.session import UnitOfWork


@dataclass(frozen=True, slots=True)
class ApprovedGroup:
    """An approved group with the scale its score is written in (已批准临时病种)."""

    group: ProvisionalGroup
    scale: int


async def approved_groups(uow: UnitOfWork, area_id: int) -> tuple[ApprovedGroup, ...]:
    """The approved groups of an area, ended ones with the days they really had, by code (已批准临时病种)."""
    return tuple(
        ApprovedGroup(
            ProvisionalGroup(
                row.group_code,
                row.diagnosis,
                tuple(row.procedures),
                row.score,
                row.first_day,
                row.last_day if row.ended_last_day is None else row.ended_last_day,
                row.document,
                row.name,
            ),
            row.scale,
        )
        for row in await provisional.approved(uow, area_id)
    )


def in_force(found: Sequence[ApprovedGroup], day: date, scale: int) -> tuple[ProvisionalGroup, ...]:
    """Those that speak about a discharge that day under an edition of a scale (当日适用临时病种), by code.

    A score of another scale is no score here: such a group is silent until it is put before the panel again.
    """
    return tuple(one.group for one in found if one.scale == scale and one.group.in_force_on(day))
