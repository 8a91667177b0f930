"""Planting canaries (布置标记): a word of its own into every text column of every tenant's rows, read from the tables as they are declared.

A column of free words joins by being declared. A column of codes joins as well unless a check of its table lists what it may hold or it is
named here with why it cannot hold a word; a table whose rows nobody owns must be named here too. So a new column is either planted or turns the
planting red.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CheckConstraint, Column, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from fenzhi.access.roles import TenantKind
from fenzhi.cli.probes.world import Numbers, ProbedWorld, canary
from fenzhi.services.registry.accounts import DEVELOPMENT_CLIENT
from fenzhi.store.tables import metadata
from fenzhi.store.tables.base import TableClass

_SET = "one of a closed set"
_KEY = "a code that other rows are found by"
_FLOW = "carries the canary of its flow already"
_HASH = "a digest or a signature"
CLOSED: Mapping[str, str] = {
    **dict.fromkeys(
        """insurance pool_scope state kind mode basis part band light unit grade purpose method severity outcome algorithm role
        tenant_kind channel waits_for clock change_ground set_aside disposition step from_state to_state act party procedure_class
        payment_mode field_class object_type rule path source account level error_code operation action""".split(),
        _SET,
    ),
    **dict.fromkeys(
        """tenant code key group_code diagnosis main_procedures related_procedures sequence_text issuer subject insured_area key_id
        client worker version rules_version object_id expert_code redraw_of""".split(),
        _KEY,
    ),
    **dict.fromkeys(("setl_id", "history_id"), _FLOW),
    **dict.fromkeys(("policy_fingerprint", "signature", "thumbprint", "token_id"), _HASH),
}
"""Columns of codes by name, and why they hold no word (不可布置的编码列)."""
CLOSED_HERE: Mapping[str, str] = {
    "area_policy.value": "read by its key's own shape",
    "province_policy.value": "read by its key's own shape",
    "scorecard_indicator.value": "an exact number as text",
    "quality_league.weights": "one number for each measure of a closed set",
}
"""Single columns that hold no word (不可布置的单列)."""
SPARED: Mapping[str, tuple[str, str]] = {
    "api_client.client_id": (f"client_id <> '{DEVELOPMENT_CLIENT}'", "every token that asks here names this client")
}
"""Columns planted in some of their rows only (部分行不布置): the condition of those that are, and why the others are left alone."""
NOBODYS = frozenset(
    {"tenant_number", "worker_heartbeat", "membership", "audit_link", "audit_anchor", "sign_in_failure"}
)
"""Tables whose rows belong to no tenant, or say only which (无归属的表): of a failed sign-in nobody knows who it was."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One column to plant in (可布置列)."""

    table: Table
    column: Column[Any]

    @property
    def name(self) -> str:
        """Table and column."""
        return f"{self.table.name}.{self.column.name}"


def plots() -> Iterator[Plot]:
    """Every column that holds words (全部可布置列)."""
    for table in metadata.sorted_tables:
        for column in table.columns:
            if f"{table.name}.{column.name}" in CLOSED_HERE:
                continue
            is_code = isinstance(column.type, Text) and column.type.collation == "C"
            is_closed = is_code and (column.name in CLOSED or _is_listed(table, column))
            if isinstance(column.type, JSONB) or (isinstance(column.type, Text) and not is_closed):
                yield Plot(table, column)


def _is_listed(table: Table, column: Column[Any]) -> bool:
    """Whether a check of the table lists everything that the column may hold (取值受约束)."""
    checks = (str(c.sqltext) for c in table.constraints if isinstance(c, CheckConstraint))
    return any(re.fullmatch(rf"{column.name} in \([^()]*\)", check) for check in checks)


def owned(table: Table, numbers: Numbers, code: str) -> str | None:
    """The condition of the rows of a table that a tenant owns (归属条件), or none where it owns none there."""
    columns = table.columns
    if table.name == "account":
        return f"split_part(subject, ':', 2) = '{code}'"
    if table.info["table_class"] == TableClass.PLATFORM.value and "tenant" in columns:
        return f"tenant = '{code}'"
    is_hospital = table.info["table_class"] == TableClass.HOSPITAL.value
    levels = (
        ("hospital_id", numbers.hospital, is_hospital),
        ("county_id", numbers.county, is_hospital or table.name == "county"),
        ("area_id", numbers.area, True),
        ("province_id", numbers.province, True),
    )
    for at, (column, value, is_owner_here) in enumerate(levels):
        if value is None:
            continue
        if column not in columns or not is_owner_here:
            return None
        below = [name for name, _, owns in levels[:at] if owns and name in columns]
        return " and ".join([f"{column} = {value}", *(f"{name} is null" for name in below)])
    return None


def homeless() -> list[str]:
    """Columns that hold words in tables whose owner nothing tells (归属不明的列): must be none."""
    found = []
    for plot in plots():
        is_owned = any(c in plot.table.columns for c in ("tenant", "hospital_id", "area_id", "province_id"))
        if not is_owned and plot.table.name != "account" and plot.table.name not in NOBODYS:
            found.append(plot.name)
    return found


async def plant(superuser: Any, world: ProbedWorld) -> dict[str, int]:
    """Plant every column of every tenant's rows; how many rows of each column hold a word now (布置)."""
    planted = {plot.name: 0 for plot in plots()}
    async with superuser.transaction():
        await superuser.execute("set local session_replication_role = replica")
        for code, tenant in world.tenants.items():
            numbers = Numbers() if tenant.kind is TenantKind.OPERATOR else world.numbers[code]
            for plot in plots():
                condition = owned(plot.table, numbers, code)
                if condition is not None:
                    word, name = f"{canary(code)}{plot.name}-", plot.column.name
                    if plot.name in SPARED:
                        condition = f"({condition}) and {SPARED[plot.name][0]}"
                    value = f"'{word}' || {name}"
                    if isinstance(plot.column.type, JSONB):
                        condition += f" and jsonb_typeof({name}) = 'object'"
                        value = f"""{name} || '{{"canary": "{word}"}}'"""
                    done = await superuser.execute(
                        f"update {plot.table.name} set {name} = {value} where {condition} and {name} is not null"
                    )
                    planted[plot.name] += int(done.rsplit(" ", 1)[-1])
    return planted
