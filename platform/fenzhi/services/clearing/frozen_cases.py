"""The cases of a run as known at a moment (冻结病例): read column by column, in spans, in order of case id."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import text

from fenzhi.rules.periods import SettlementMonth
from fenzhi.store.columns_read import Kind, in_order_of, read_columns, uuid_texts
from fenzhi.store.repositories import catalog
from fenzhi.store.repositories import policy as policy_store
from fenzhi.store.repositories.fund import Pool
from fenzhi.store.session import UnitOfWork

_READ_AT_ONCE = 400_000
_CASE_COLUMNS = {
    "case_id": (Kind.UUID, "c.case_id"),
    "hospital_id": (Kind.INT32, "c.hospital_id"),
    "settlement_month": (Kind.INT32, "c.settlement_month"),
    "discharge_date": (Kind.DATE, "c.discharge_date"),
    "principal_diagnosis": (Kind.TEXT, "coalesce(c.diagnoses[1], '')"),
    "procedures": (Kind.TEXTS, "c.procedures"),
    "total_fen": (Kind.INT64, "c.total_fen"),
    "basic_fund_fen": (Kind.INT64, "c.basic_fund_fen"),
    "los_days": (Kind.INT32, "c.los_days"),
    "digest": (Kind.DIGEST, "c.digest"),
}
_FACTS = {
    "age_days": (Kind.INT32, "c.age_days"),
    "birth_weight_g": (Kind.MAYBE_INT32, "c.birth_weight_g"),
    "discharge_way": (Kind.MAYBE_TEXT, "c.discharge_way"),
}
_TOLD = {
    "icu_minutes": (Kind.MAYBE_INT32, "c.icu_minutes"),
    "discharge_department": (Kind.MAYBE_TEXT, "c.discharge_department"),
    "tcm_fen": (Kind.MAYBE_TEXT, "c.tcm_fen::text"),
    "own_paid_fen": (Kind.MAYBE_TEXT, "c.own_paid_fen::text"),
}
_MONEY_TOLD = ("tcm_fen", "own_paid_fen")

_ASK_FACTS = (
    "payment_mode.table",
    "rare_disease.layers",
    "scoring.auxiliary_rules",
    "scoring.complexity_bands",
    "scoring.tcm_groups",
)
"""Parameters that look at ICU time, department, TCM cost and own payments: where none is entered, these are not read (按需读取的事实)."""


async def cases_of_pool(
    uow: UnitOfWork, pool: Pool, months: Sequence[SettlementMonth], as_known_at: datetime, *, facts: bool = True
) -> pa.Table:
    """The pool's cases of these months as known at a moment, in order of case id: no version that a later one has replaced by then, none
    held. `facts`: with what only some policies look at (age, birth weight, way of discharge).
    """
    insurance, pool_scope, _ = pool
    first, last = (month.year * 100 + month.month for month in (months[0], months[-1]))
    wanted = dict(_CASE_COLUMNS)
    # Only editions with layers and subtypes look at other diagnoses; plain ones are spared the reading.
    if await catalog.asks_for_others(uow):
        wanted |= {"other_diagnoses": (Kind.TEXTS, "c.diagnoses[2:]"), **_FACTS}
    elif facts:
        wanted |= _FACTS
    asked = await policy_store.has_entered(uow, _ASK_FACTS)
    if asked:
        wanted |= _TOLD
    known = f"'{as_known_at.isoformat()}'::timestamptz"
    # Literals, each a number, a known word or a timestamp of ours.
    pooled = f"c.area_id = {uow.scope.area} and c.insurance = '{insurance}' and c.pool_scope = '{pool_scope}'"
    sources = [
        f"""
          from inpatient_case c
         where {pooled} and c.settlement_month between {begin} and {end} and c.submitted_at <= {known}
           and not exists (select from case_supersession s
                            where s.area_id = c.area_id and s.old_case_id = c.case_id and s.recorded_at <= {known})
           and not exists (select from case_hold h
                            where h.area_id = c.area_id and h.case_id = c.case_id and h.recorded_at <= {known}
                              and not exists (select from case_release e
                                               where e.area_id = h.area_id and e.hold_id = h.hold_id
                                                 and e.recorded_at <= {known}))
        """
        for begin, end in await _spans(uow, pooled, first, last)
    ]
    found = in_order_of(await read_columns(uow, wanted, sources), "case_id")
    paid_by_others = pc.subtract(found["total_fen"], found["basic_fund_fen"])
    found = found.append_column("patient_fen", paid_by_others)
    for name in _MONEY_TOLD if asked else ():
        found = found.set_column(found.column_names.index(name), name, pc.cast(found[name], pa.int64()))
    return found.set_column(found.column_names.index("case_id"), "case_id", uuid_texts(found["case_id"]))


async def _spans(uow: UnitOfWork, pooled: str, first: int, last: int) -> list[tuple[int, int]]:
    """All months from first to last in spans of some hundred thousand cases, each of which the server puts together (分段读取)."""
    counted = await uow.rows(
        text(
            f"select c.settlement_month as month, count(*) as cases from inpatient_case c where {pooled}"
            f" and c.settlement_month between {first} and {last} group by 1 order by 1"
        )
    )
    spans: list[tuple[int, int]] = []
    begin, held = first, 0
    for row in counted:
        if held and held + row.cases > _READ_AT_ONCE:
            spans.append((begin, row.month - 1))
            begin, held = row.month, 0
        held += row.cases
    return [*spans, (begin, last)]
