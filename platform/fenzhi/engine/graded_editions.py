"""Cases of several editions with what stands beside each (多版本入组计分): provisional groups and adjustments.

A case that its edition does not cover is asked of the provisional groups in force for it, by the same engine over a book of these groups
alone, and scored by a plan over that book. Where neither they nor adjustments act, nothing is grouped twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from fenzhi.engine.adjusting import adjust_cases
from fenzhi.engine.connection import BulkConnection
from fenzhi.engine.group_and_score import group_and_score_editions, group_cases
from fenzhi.engine.scoring_plan import ScoringPlan, with_adjustments
from fenzhi.rules.grouping.outcome import GroupingReason
from fenzhi.rules.scoring.case_adjustment import AdjustmentRules

_PROVISIONAL = "\tprovisional"
"""Behind the name of an edition: its provisional groups. No name holds a tabulator."""
_UNCOVERED = pa.array([reason.value for reason in GroupingReason if reason.is_uncovered], pa.string())
NO_ADJUSTMENTS = AdjustmentRules()


@dataclass(frozen=True)
class EditionPlan:
    """An edition's plan, what adjusts its scores, and the plan over the provisional groups in force beside it (版本计分方案)."""

    plan: ScoringPlan
    adjustments: AdjustmentRules = NO_ADJUSTMENTS
    provisional: ScoringPlan | None = None


def grade_editions(
    connection: BulkConnection, cases: pa.Table, plans: Mapping[str, EditionPlan], *, batch_rows: int
) -> pa.Table:
    """See `Engine.grade`."""
    simple = {key: one.plan for key, one in plans.items()}
    if all(one.provisional is None and one.adjustments.empty for one in plans.values()):
        return group_and_score_editions(connection, cases, simple, batch_rows=batch_rows)
    ordinals = pa.array(range(cases.num_rows), pa.int64())
    editions = pc.cast(_flat(cases["edition_id"]), pa.string())
    places = pa.repeat(pa.scalar(0, pa.int32()), cases.num_rows)
    for key, one in plans.items():
        mine = pc.equal(editions, key)
        if not pc.any(mine).as_py():
            continue
        asked = cases.filter(mine)
        here = ordinals.filter(mine)
        grouped = group_cases(connection, asked, one.plan.book, batch_rows=batch_rows)
        if not one.adjustments.empty:
            simple[key], places = _adjusted(connection, (grouped, asked, here), one.plan, one, places)
        if one.provisional is not None:
            uncovered = _flat(pc.is_in(pc.cast(grouped["reason"], pa.string()), value_set=_UNCOVERED))
            again = asked.filter(uncovered)
            found = group_cases(connection, again, one.provisional.book, batch_rows=batch_rows)
            taken = _flat(pc.is_valid(found["group_code"]))
            name = key + _PROVISIONAL
            its = here.filter(uncovered).filter(taken)
            editions = pc.if_else(pc.is_in(ordinals, value_set=its), name, editions)
            simple[name] = one.provisional
            if not one.adjustments.empty:
                simple[name], places = _adjusted(
                    connection, (found.filter(taken), again.filter(taken), its), one.provisional, one, places
                )
    given = cases.set_column(cases.column_names.index("edition_id"), "edition_id", editions)
    if any(not one.adjustments.empty for one in plans.values()):
        given = given.append_column("auxiliary", places)
    return _named(group_and_score_editions(connection, given, simple, batch_rows=batch_rows))


def _adjusted(
    connection: BulkConnection,
    of: tuple[pa.Table, pa.Table, pa.Array],
    plan: ScoringPlan,
    edition: EditionPlan,
    places: pa.Array,
) -> tuple[ScoringPlan, pa.Array]:
    """The plan with the adjustments of these cases, and each case's place among them."""
    grouped, asked, ordinals = of
    rows = pa.array(range(grouped.num_rows), pa.int64())
    grouped = grouped.set_column(grouped.column_names.index("ordinal"), "ordinal", rows)
    found, index = adjust_cases(connection, grouped, asked, plan.book.edition, edition.adjustments)
    where = pc.index_in(pa.array(range(len(places)), pa.int64()), value_set=ordinals)
    mine = pc.take(index, where)
    return with_adjustments(plan, found), pc.if_else(pc.is_valid(where), mine, places)


def _named(answers: pa.Table) -> pa.Table:
    """The answers under the names given, those of provisional groups with their own reason."""
    names = pc.cast(_flat(answers["edition_id"]), pa.string())
    provisional = pc.ends_with(names, _PROVISIONAL)
    if not pc.any(provisional).as_py():
        return answers
    reason = pc.if_else(
        provisional, GroupingReason.PROVISIONAL_MATCHED.value, pc.cast(_flat(answers["reason"]), pa.string())
    )
    reason = pc.dictionary_encode(reason)
    given = answers.set_column(answers.column_names.index("reason"), "reason", reason)
    stripped = pc.replace_substring(names, _PROVISIONAL, "")
    return given.set_column(given.column_names.index("edition_id"), "edition_id", stripped)


def _flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
