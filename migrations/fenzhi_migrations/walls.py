"""The walls between tenants (租户隔离墙): row level security written from one declaration per table.

A revision that makes a table declares its wall here or in its own file and executes `statements(wall)`. Each role gets its own
policies (`TO` one role): an equality policy and an array policy on one role would be OR'ed and defeat partition pruning. The plain
`current_setting` form keeps partition pruning at start-up; the array form is a sub-select, evaluated once.
An empty setting is nobody: `nullif(…, '')` makes it NULL, and nothing equals NULL.

Changing a template here never changes an existing database: a released wall is altered by a new revision.
"""

from __future__ import annotations

from dataclasses import dataclass, field

OPERATOR, PROVINCE, AREA, COUNTY, HOSPITAL, WORKER = (
    "fenzhi_operator",
    "fenzhi_province",
    "fenzhi_area",
    "fenzhi_county",
    "fenzhi_hospital",
    "fenzhi_worker",
)
ROLES = (OPERATOR, PROVINCE, AREA, COUNTY, HOSPITAL, WORKER)
"""The roles of the first revision; a role of a later one is named beside it."""
PROVINCE_AUDITOR, AREA_AUDITOR, SEQUENCER = "fenzhi_province_auditor", "fenzhi_area_auditor", "fenzhi_sequencer"


def _setting(name: str, cast: str) -> str:
    return f"nullif(current_setting('fenzhi.{name}', true), '')::{cast}"


IN_PROVINCE = f"province_id = {_setting('province_id', 'int')}"
IN_AREA = f"area_id = {_setting('area_id', 'int')}"
IN_COUNTY = f"{IN_AREA} and county_id = {_setting('county_id', 'int')}"
IN_HOSPITAL = f"{IN_AREA} and hospital_id = {_setting('hospital_id', 'int')}"
IN_AREAS = f"area_id = any((select {_setting('area_ids', 'int[]')})::int[])"
OWN_TENANT = f"tenant = {_setting('tenant', 'text')}"
ANY = "true"

READS: dict[str, dict[str, str]] = {
    "province": {
        PROVINCE: IN_PROVINCE,
        AREA: IN_PROVINCE,
        COUNTY: IN_PROVINCE,
        HOSPITAL: IN_PROVINCE,
        WORKER: IN_PROVINCE,
    },
    "area": {PROVINCE: IN_AREAS, AREA: IN_AREA, COUNTY: IN_AREA, HOSPITAL: IN_AREA, WORKER: IN_AREA},
    "hospital": {PROVINCE: IN_AREAS, AREA: IN_AREA, COUNTY: IN_COUNTY, HOSPITAL: IN_HOSPITAL, WORKER: IN_AREA},
    "platform": {},
}
"""Who reads a table of a class, and which rows, unless the table says otherwise."""


@dataclass(frozen=True)
class Wall:
    """The wall of one table: its class, who reads beyond or below the class, who writes what."""

    table: str
    table_class: str
    insert: tuple[str, ...] = ()
    update: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Role → columns it may change."""
    delete: tuple[str, ...] = ()
    published: str = ""
    """A condition that the levels below the owner need as well."""
    below: tuple[str, ...] = (COUNTY, HOSPITAL)
    """The levels that `published` applies to."""
    hidden_from: tuple[str, ...] = ()
    predicates: dict[str, str] = field(default_factory=dict)
    """Role → predicate that replaces the class's."""
    writable_while: str = ""
    """A condition on rows that may be changed or deleted."""
    insertable_while: str = ""
    """A condition on rows that may be added."""

    def reads(self) -> dict[str, str]:
        """Role → predicate of the rows it may read."""
        rows = {role: p for role, p in READS[self.table_class].items() if role not in self.hidden_from}
        rows.update(self.predicates)
        if self.published:
            rows = {
                role: f"({predicate}) and ({self.published})" if role in self.below else predicate
                for role, predicate in rows.items()
            }
        return rows


def statements(wall: Wall) -> list[str]:
    """The statements that build one wall: enable, force, grants and policies for the four commands."""
    reads = wall.reads()
    out = [
        f"alter table {wall.table} enable row level security",
        f"alter table {wall.table} force row level security",
    ]
    for role, predicate in reads.items():
        out.append(f"grant select on {wall.table} to {role}")
        out.append(f"create policy {wall.table}_select_{role} on {wall.table} for select to {role} using ({predicate})")
    base = {role: READS[wall.table_class].get(role, ANY) for role in ROLES} | wall.predicates
    for role in wall.insert:
        added = f"({base[role]}) and ({wall.insertable_while})" if wall.insertable_while else base[role]
        out.append(f"grant insert on {wall.table} to {role}")
        out.append(
            f"create policy {wall.table}_insert_{role} on {wall.table} for insert to {role} with check ({added})"
        )
    for role, columns in wall.update.items():
        kept = f"({base[role]}) and ({wall.writable_while})" if wall.writable_while else base[role]
        out.append(f"grant update ({', '.join(columns)}) on {wall.table} to {role}")
        out.append(
            f"create policy {wall.table}_update_{role} on {wall.table} for update to {role} "
            f"using ({kept}) with check ({base[role]})"
        )
    for role in wall.delete:
        kept = f"({base[role]}) and ({wall.writable_while})" if wall.writable_while else base[role]
        out.append(f"grant delete on {wall.table} to {role}")
        out.append(f"create policy {wall.table}_delete_{role} on {wall.table} for delete to {role} using ({kept})")
    return out


def lowering(wall: Wall) -> list[str]:
    """The statements that take one wall down again: policies and grants of the four commands, force, enable."""
    out = [f"drop policy {wall.table}_select_{role} on {wall.table}" for role in wall.reads()]
    for command, roles in (("insert", wall.insert), ("update", tuple(wall.update)), ("delete", wall.delete)):
        out += [f"drop policy {wall.table}_{command}_{role} on {wall.table}" for role in roles]
    granted = dict.fromkeys((*ROLES, *wall.reads(), *wall.insert, *wall.update, *wall.delete))
    out += [f"revoke all on {wall.table} from {role}" for role in granted]
    out.append(f"alter table {wall.table} no force row level security")
    out.append(f"alter table {wall.table} disable row level security")
    return out


def append_only(table: str) -> str:
    """The trigger by which a table only grows (只增不改)."""
    return (
        f"create trigger {table}_append_only before update or delete on {table} "
        "for each row execute function fenzhi_refuse_change()"
    )


def never_emptied(table: str) -> str:
    """The trigger by which a table is not truncated (不可清空)."""
    return (
        f"create trigger {table}_never_emptied before truncate on {table} "
        "for each statement execute function fenzhi_refuse_change()"
    )
