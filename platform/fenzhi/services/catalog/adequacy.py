"""The adequacy report kept and shown with its edition (充分性报告): exact fractions as text, so that the next edition can compare."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.catalog.adequacy import Adequacy, GroupFigures, Moved, Specialty, adequacy_page
from fenzhi.rules.refusals import NotFound
from fenzhi.services.acts import Platform, looking
from fenzhi.services.catalog.book import edition_not_found, edition_row
from fenzhi.services.catalog.lookups import sees_edition
from fenzhi.store.repositories import catalog


def kept_adequacy(report: Adequacy) -> dict[str, Any]:
    """The report as JSON values (充分性报告入库)."""
    return {
        "cv_limit": str(report.cv_limit),
        "specialties": [[one.chapter, one.cases, one.grouped, one.groups] for one in report.specialties],
        "groups": [_kept_figures(one) for one in report.groups],
        "moved": None
        if report.moved is None
        else [[one.group_code, *(_text(figure) for figure in _figures(one))] for one in report.moved],
    }


def _kept_figures(one: GroupFigures) -> list[Any]:
    return [one.group_code, one.cases, str(one.mean_fen), _text(one.cv_squared), str(one.weight)]


def _figures(one: Moved) -> tuple[Fraction | None, ...]:
    return one.before, one.after, one.own, one.overall


def _text(value: Fraction | None) -> str:
    return "" if value is None else str(value)


def _fraction(text: str) -> Fraction | None:
    return Fraction(text) if text else None


def figures_of(kept: Mapping[str, Any]) -> tuple[GroupFigures, ...]:
    """What the groups of a kept report rest on (病种依据)."""
    return tuple(
        GroupFigures(code, cases, Fraction(mean), _fraction(cv), Fraction(weight))
        for code, cases, mean, cv, weight in kept["groups"]
    )


def adequacy_kept(kept: Mapping[str, Any]) -> Adequacy:
    """A kept report (充分性报告)."""
    groups = figures_of(kept)
    limit = Fraction(kept["cv_limit"])
    specialties = tuple(Specialty(*one) for one in kept["specialties"])
    moved = kept["moved"]
    return Adequacy(
        sum(one.cases for one in specialties),
        sum(one.grouped for one in specialties),
        specialties,
        groups,
        limit,
        tuple(
            sorted(
                (one for one in groups if one.cv_squared is not None and one.cv_squared > limit**2),
                key=lambda one: (-(one.cv_squared or 0), one.group_code),
            )
        ),
        None if moved is None else tuple(Moved(code, *map(_fraction, figures)) for code, *figures in moved),
    )


async def adequacy_document(platform: Platform, subject: Subject, edition_id: uuid.UUID) -> tuple[str, str]:
    """The code of an edition and its adequacy report as a page of Markdown (充分性报告文稿).

    Whoever sees the edition sees the report. Raises: Forbidden, NotFound.
    """
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        row = await edition_row(uow, edition_id)
        if not sees_edition(subject, row.state):
            raise edition_not_found()
        kept = await catalog.build_report_part(uow, edition_id, "adequacy")
    if kept is None:
        raise NotFound(
            "该目录版本没有充分性报告：未由历史病例测算，或测算后病种已改动。",
            "The edition has no adequacy report: it was not built from history, or its groups changed since.",
            code="ADEQUACY_NOT_THERE",
            hint="先由历史病例测算 / build it from history first",
        )
    return row.code, adequacy_page(adequacy_kept(kept), row.title)
