"""Which provisional groups speak about a case (适用临时病种): approved ones of its area, by its discharge date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

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


def described(one: ProvisionalGroup) -> dict[str, str]:
    """A group for the manifest of a run (清单所载临时病种)."""
    return {
        "code": one.group_code,
        "diagnosis": one.diagnosis,
        "procedures": "+".join(one.procedures),
        "score": str(one.score),
        "first": one.first.isoformat(),
        "last": one.last.isoformat(),
    }


def named_in(editions: Iterable[Mapping[str, Any]], scale: int) -> tuple[ApprovedGroup, ...]:
    """The groups that the editions of a manifest name, as they stood then (清单所载临时病种还原), by code.

    Whatever became of them since, a run that is repeated asks these and no others. Requires: editions of one scale.
    """
    found = {
        one["code"]: ProvisionalGroup(
            one["code"],
            one["diagnosis"],
            tuple(one["procedures"].split("+")) if one["procedures"] else (),
            Decimal(one["score"]),
            date.fromisoformat(one["first"]),
            date.fromisoformat(one["last"]),
        )
        for edition in editions
        for one in edition.get("provisional", ())
    }
    return tuple(ApprovedGroup(found[code], scale) for code in sorted(found))
