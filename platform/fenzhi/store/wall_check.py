"""Checking the walls of a live database (隔离墙检查): what its catalog says, and what each role really sees.

The first half reads the system catalog: row level security on and forced, a policy for every granted command, nothing granted on
partitions, no owner and no bypass among the application's roles. The second half looks through every role's eyes, in the scope of nobody, of
a tenant that does not exist, and of real tenants, and asks each table for one row that does not belong there.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
from sqlalchemy import Table

from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.store.tables import TableClass, metadata
from fenzhi.store.wall_halves import HALVES, beyond_the_scope, has_half

_ROLES = tuple(role.value for role in DatabaseRole)
_OUTSIDE_TENANCY = frozenset({"alembic_version"})
_SEES_EVERYTHING = frozenset(
    {
        ("province", "fenzhi_operator"),
        ("pooling_area", "fenzhi_operator"),
        ("county", "fenzhi_operator"),
        ("hospital", "fenzhi_operator"),
        ("hospital_standing", "fenzhi_operator"),
        ("hospital_coefficient", "fenzhi_operator"),
        ("agreement", "fenzhi_operator"),
        ("tenant_number", "fenzhi_operator"),
        ("account", "fenzhi_operator"),
        ("membership", "fenzhi_operator"),
        ("token_issuer", "fenzhi_operator"),
        ("issuer_key", "fenzhi_operator"),
        ("api_client", "fenzhi_operator"),
        ("role_grant", "fenzhi_operator"),
        ("token_denial", "fenzhi_operator"),
        ("sign_in_failure", "fenzhi_operator"),
        ("job", "fenzhi_worker"),
        ("job_timer", "fenzhi_worker"),
        ("worker_heartbeat", "fenzhi_worker"),
        ("audit_event", "fenzhi_sequencer"),
        ("audit_link", "fenzhi_sequencer"),
        ("audit_anchor", "fenzhi_sequencer"),
        ("audit_anchor", "fenzhi_province_auditor"),
        ("audit_anchor", "fenzhi_area_auditor"),
    }
)
"""Where a policy may be unconditional: tenants and accounts for the operator, the job table for the worker, the audit for who chains it."""
_PHANTOM = 2_000_000_000
_SETTING = re.compile(r"current_setting\('fenzhi\.(\w+)'")


@dataclass(frozen=True, slots=True)
class Probe:
    """One question asked of a wall and whether it held (隔离墙探测)."""

    table: str
    role: str
    question: str
    held: bool


async def check_walls(owner_dsn: str, app_dsn: str) -> list[Probe]:
    """Every probe of a database's walls (检查全部隔离墙).

    Requires: the owner's and the application's addresses. Raises: whatever the database raises when it cannot be asked.
    """
    owner = await asyncpg.connect(owner_dsn)
    try:
        probes = [probe async for probe in _catalog_probes(owner)]
    finally:
        await owner.close()
    app = await asyncpg.connect(app_dsn)
    try:
        scopes = [*_empty_scopes(), *await _real_scopes(app)]
        for table in metadata.sorted_tables:
            for scope in scopes:
                probes.append(await _look(app, table, scope))
    finally:
        await app.close()
    return probes


async def check_catalog(owner: Any, table: str = "") -> list[Probe]:
    """The first half alone (检查系统目录), over a connection of the owner's: inside its transaction, if it has one open.

    Of one table alone where one is named: its probes are among those of the whole, word for word.
    """
    return [probe async for probe in _catalog_probes(owner, table)]


_BOUND_TO: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    TableClass.HOSPITAL.value: {
        "fenzhi_hospital": ("area_id", "hospital_id"),
        "fenzhi_county": ("area_id", "county_id"),
        "fenzhi_area": ("area_id",),
        "fenzhi_worker": ("area_id",),
        "fenzhi_province": ("area_ids",),
    },
    TableClass.AREA.value: {
        "fenzhi_hospital": ("area_id",),
        "fenzhi_county": ("area_id",),
        "fenzhi_area": ("area_id",),
        "fenzhi_worker": ("area_id",),
        "fenzhi_province": ("area_ids",),
    },
    TableClass.PROVINCE.value: dict.fromkeys(_ROLES, ("province_id",)),
    TableClass.PLATFORM.value: dict.fromkeys(_ROLES, ("tenant",)),
}
"""Table class → role → the settings of the scope that each of its policies is bound to."""
_MANAGED = ("account", "membership", "api_client", "role_grant")
"""What a province's and an area's administrators manage, whichever of their tenants it belongs to."""
_BOUND_OTHERWISE: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("pooling_area", "fenzhi_province"): ("province_id",),
    ("county", "fenzhi_county"): ("area_id", "county_id"),
    ("county", "fenzhi_hospital"): ("area_id", "county_id"),
    ("job", "fenzhi_province"): ("province_id",),
    **{(table, "fenzhi_province_auditor"): ("province_id",) for table in ("audit_event", "audit_link")},
    **{(table, "fenzhi_area_auditor"): ("province_id", "area_id") for table in ("audit_event", "audit_link")},
    **{
        ("audit_event", f"fenzhi_{level}"): ("tenant", "province_id", "area_id")
        for level in ("operator", "province", "area", "county", "hospital", "worker")
    },
    **{
        (table, role): (setting,)
        for table in _MANAGED
        for role, setting in (("fenzhi_province", "province_id"), ("fenzhi_area", "area_id"))
    },
}
_LISTENERS = ("webhook_endpoint", "webhook_secret", "webhook_delivery", "webhook_attempt", "tenant_event")
_READ_BY: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("ledger_entry", "fenzhi_county"): ("county_id",),
    **{(table, f"fenzhi_{level}"): ("tenant",) for table in _LISTENERS for level in ("area", "county", "hospital")},
}
"""What reading policies are bound to besides: an account's county, and whoever listens, apart from those above and below it."""
_WAY_AROUND = re.compile(r"\b(or|not)\b\s*\(*\s*(true|false)\b|^\s*\(*true\)*\s*$", re.IGNORECASE)


async def _catalog_probes(owner: Any, table: str = "") -> AsyncIterator[Probe]:
    tables = await owner.fetch(
        """
        select c.relname as name, c.relrowsecurity as enabled, c.relforcerowsecurity as forced, c.relkind::text as kind,
               c.relispartition as is_partition, pg_get_userbyid(c.relowner) as owner
        from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
          and ($1 = '' or c.relname = $1)
        """,
        table,
    )
    policies = await owner.fetch(
        "select * from pg_policies where schemaname = 'public' and ($1 = '' or tablename = $1)", table
    )
    grants = await owner.fetch(
        """
        select c.relname as name, coalesce(nullif(a.grantee, 0)::regrole::text, 'public') as grantee, a.privilege_type as command
        from pg_class c, aclexplode(c.relacl) a where c.relnamespace = 'public'::regnamespace and ($1 = '' or c.relname = $1)
        union
        select c.relname, coalesce(nullif(a.grantee, 0)::regrole::text, 'public'), a.privilege_type
        from pg_attribute t join pg_class c on c.oid = t.attrelid, aclexplode(t.attacl) a
        where c.relnamespace = 'public'::regnamespace and t.attacl is not null and ($1 = '' or c.relname = $1)
        """,
        table,
    )
    for row in tables:
        name = row["name"]
        yield Probe(name, row["owner"], "is not owned by the application", row["owner"] != "fenzhi_app")
        if row["kind"] in "vm":
            yield Probe(name, "", "is no view that runs as its owner", await _invoker_view(owner, name))
            continue
        if row["is_partition"] or name in _OUTSIDE_TENANCY or name.startswith("run_case_p_"):
            direct = {g["grantee"] for g in grants if g["name"] == name} - {row["owner"]}
            allowed = {"fenzhi_worker"} if name.startswith("run_case_p_") and not row["is_partition"] else set()
            yield Probe(name, ",".join(sorted(direct)), "is granted to nobody directly", direct <= allowed)
            continue
        declared = metadata.tables.get(name)
        yield Probe(name, "", "declares its table class", declared is not None and "table_class" in declared.info)
        yield Probe(name, "", "has row level security enabled", row["enabled"])
        yield Probe(name, "", "has row level security forced", row["forced"])
        for probe in _policy_probes(name, [p for p in policies if p["tablename"] == name], grants):
            yield probe
    for probe in [] if table else await _role_probes(owner):
        yield probe


def _policy_probes(name: str, policies: list[Any], grants: list[Any]) -> Iterator[Probe]:
    for policy in policies:
        roles = list(policy["roles"])
        yield Probe(
            name,
            ",".join(roles),
            f"policy {policy['policyname']} is for one role",
            len(roles) == 1 and roles[0] in _ROLES,
        )
        texts = [policy[part] for part in ("qual", "with_check") if policy[part] is not None]
        if (name, roles[0]) in _SEES_EVERYTHING:
            # What it asks beyond the scope, of rows to be changed, is a half: it must not be got around either.
            bound = not any(_WAY_AROUND.search(text) for text in texts if text != "true")
        else:
            needed = needed_settings(name, roles[0], policy["cmd"])
            bound = needed is not None and not any(_WAY_AROUND.search(text) for text in texts)
            bound = bound and all(f"current_setting('fenzhi.{one}'" in text for text in texts for one in needed or ())
        yield Probe(name, roles[0], f"policy {policy['policyname']} is bound to the scope", bound)
        for command, asked in _conditions(policy):
            halved = has_half(name, command, roles[0], asked)
            yield Probe(name, roles[0], f"policy {policy['policyname']} asks beyond the scope what is declared", halved)
        if policy["cmd"] in ("INSERT", "UPDATE"):
            yield Probe(
                name, roles[0], f"policy {policy['policyname']} checks new rows", policy["with_check"] is not None
            )
    held = {(policy["roles"][0], policy["cmd"]) for policy in policies}
    for grant in grants:
        if grant["name"] == name and grant["command"] in ("SELECT", "INSERT", "UPDATE", "DELETE"):
            if grant["grantee"] in _ROLES:
                pair = (grant["grantee"], grant["command"])
                yield Probe(name, pair[0], f"{pair[1]} is granted under a policy", pair in held)
            else:
                is_owner = grant["grantee"] not in ("public", "fenzhi_app")
                yield Probe(name, grant["grantee"], f"{grant['command']} is granted to roles only", is_owner)


def needed_settings(table: str, role: str, command: str) -> tuple[str, ...] | None:
    """The settings of the scope that a policy of a table, role and command must be bound to (必须绑定的范围), or none where nothing says."""
    declared = metadata.tables.get(table)
    table_class = declared.info.get("table_class", "") if declared is not None else ""
    needed = _BOUND_OTHERWISE.get((table, role)) or _BOUND_TO.get(table_class, {}).get(role)
    return needed and needed + (_READ_BY.get((table, role), ()) if command == "SELECT" else ())


async def undemanded_settings(owner: Any) -> list[str]:
    """Settings of the scope that a policy is bound to and need not be (未要求的范围): unbinding them would not be noticed."""
    return [
        f"{policy['tablename']} {command} {policy['roles'][0]}: {sorted(beyond)}"
        for policy in await owner.fetch("select * from pg_policies where schemaname = 'public'")
        for command, asked in _conditions(policy)
        if (needed := needed_settings(policy["tablename"], policy["roles"][0], policy["cmd"])) is not None
        and (beyond := set(_SETTING.findall(asked)) - set(needed))
    ]


async def undeclared_halves(owner: Any) -> list[str]:
    """Policies that ask more than the scope without its being declared (未申报的附加条件): losing it would not be noticed."""
    return [
        f"{policy['tablename']} {command} {policy['roles'][0]}: {asked}"
        for policy in await owner.fetch("select * from pg_policies where schemaname = 'public'")
        for command, asked in _conditions(policy)
        if beyond_the_scope(asked) and (policy["tablename"], command, policy["roles"][0]) not in HALVES
    ]


def _conditions(policy: Any) -> Iterator[tuple[str, str]]:
    """What a policy asks of rows it reads or changes, or adds; and of changed rows afterwards (策略条件)."""
    if policy["qual"] is not None:
        yield policy["cmd"], policy["qual"]
    if policy["with_check"] is not None:
        yield policy["cmd"] if policy["qual"] is None else f"{policy['cmd']} CHECK", policy["with_check"]


async def _invoker_view(owner: Any, name: str) -> bool:
    options = await owner.fetchval("select reloptions from pg_class where relname = $1", name)
    return bool(options and "security_invoker=true" in options)


async def _role_probes(owner: Any) -> list[Probe]:
    found = []
    for row in await owner.fetch(
        "select rolname, rolsuper, rolbypassrls, rolcanlogin, rolinherit from pg_roles where rolname like 'fenzhi\\_%'"
    ):
        role = row["rolname"]
        found.append(Probe("", role, "is no superuser", not row["rolsuper"]))
        found.append(Probe("", role, "cannot bypass row level security", not row["rolbypassrls"]))
        if role in _ROLES:
            found.append(Probe("", role, "cannot log in", not row["rolcanlogin"]))
        if role == "fenzhi_app":
            found.append(Probe("", role, "inherits nothing", not row["rolinherit"]))
    for row in await owner.fetch(
        """
        select p.proname, p.proconfig, exists (
                 select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0) as is_public
        from pg_proc p where p.pronamespace = 'public'::regnamespace and p.prosecdef
        """
    ):
        fixed = any(setting.startswith("search_path=") for setting in row["proconfig"] or ())
        found.append(Probe("", row["proname"], "is an owner function with a fixed search path", fixed))
        found.append(Probe("", row["proname"], "is not open to everybody", not row["is_public"]))
    return found


def _empty_scopes() -> list[tuple[str, Scope]]:
    """For every role: the scope of nobody, and of a tenant that does not exist."""
    scopes = []
    for role in DatabaseRole:
        scopes.append(("nobody", Scope(role=role, tenant="")))
        phantom = Scope(
            role=role,
            tenant="no-such-tenant",
            province_id=_PHANTOM,
            area_id=_PHANTOM,
            county_id=_PHANTOM,
            hospital_id=_PHANTOM,
            area_ids=(_PHANTOM,),
        )
        scopes.append(("a tenant that does not exist", phantom))
    return scopes


async def _real_scopes(app: Any) -> list[tuple[str, Scope]]:
    """Scopes of a few real tenants of every level, the first and the last of each."""

    async def ends(query: str) -> list[Any]:
        rows = await app.fetch(query)
        return [rows[0], rows[-1]] if len(rows) > 1 else list(rows)

    found: list[tuple[str, Scope]] = []
    async with app.transaction():
        await app.execute("set local role fenzhi_operator")
        for row in await ends("select province_id, code from province order by 1"):
            areas = await app.fetch(
                "select area_id from pooling_area where province_id = $1 order by 1", row["province_id"]
            )
            scope = Scope(
                role=DatabaseRole.PROVINCE,
                tenant=row["code"],
                province_id=row["province_id"],
                area_ids=tuple(a["area_id"] for a in areas),
            )
            found.append(("its own rows only", scope))
            found.append(("its own rows only", replace(scope, role=DatabaseRole.PROVINCE_AUDITOR)))
        for row in await ends("select area_id, province_id, code from pooling_area order by 1"):
            for role in (DatabaseRole.AREA, DatabaseRole.WORKER, DatabaseRole.AREA_AUDITOR):
                scope = Scope(role=role, tenant=row["code"], province_id=row["province_id"], area_id=row["area_id"])
                found.append(("its own rows only", scope))
        for row in await ends("select county_id, area_id, province_id, code from county order by 1"):
            scope = Scope(
                role=DatabaseRole.COUNTY,
                tenant=row["code"],
                province_id=row["province_id"],
                area_id=row["area_id"],
                county_id=row["county_id"],
            )
            found.append(("its own rows only", scope))
        for row in await ends("select hospital_id, area_id, province_id, code from hospital order by 1"):
            scope = Scope(
                role=DatabaseRole.HOSPITAL,
                tenant=row["code"],
                province_id=row["province_id"],
                area_id=row["area_id"],
                hospital_id=row["hospital_id"],
            )
            found.append(("its own rows only", scope))
    return found


def foreign_rows(table: Table, scope: Scope) -> str | None:
    """The condition of a row that a scope must not see in a table (越界行条件), or none where the role may see all."""
    role, columns = scope.role, table.columns
    if (table.name, role.value) in _SEES_EVERYTHING:
        return None
    is_auditor = role in (DatabaseRole.PROVINCE_AUDITOR, DatabaseRole.AREA_AUDITOR)
    is_managed = table.name in _MANAGED and role in (DatabaseRole.PROVINCE, DatabaseRole.AREA)
    if (
        "tenant" in columns
        and table.info["table_class"] == TableClass.PLATFORM.value
        and not (is_auditor or is_managed)
    ):
        return f"tenant is distinct from '{scope.tenant}'"
    checks: Mapping[DatabaseRole, tuple[tuple[str, object], ...]] = {
        DatabaseRole.HOSPITAL: (
            ("hospital_id", scope.hospital_id),
            ("area_id", scope.area_id),
            ("province_id", scope.province_id),
        ),
        DatabaseRole.COUNTY: (
            ("county_id", scope.county_id),
            ("area_id", scope.area_id),
            ("province_id", scope.province_id),
        ),
        DatabaseRole.AREA: (("area_id", scope.area_id), ("province_id", scope.province_id)),
        DatabaseRole.WORKER: (("area_id", scope.area_id), ("province_id", scope.province_id)),
        DatabaseRole.PROVINCE: (("province_id", scope.province_id),),
        DatabaseRole.OPERATOR: (),
        DatabaseRole.PROVINCE_AUDITOR: (("province_id", scope.province_id),),
        DatabaseRole.AREA_AUDITOR: (("area_id", scope.area_id), ("province_id", scope.province_id)),
        DatabaseRole.SEQUENCER: (),
    }
    is_hospital_class = table.info["table_class"] == TableClass.HOSPITAL.value
    conditions = []
    for column, value in checks[role]:
        if column not in columns or (column in ("hospital_id", "county_id") and not is_hospital_class):
            continue
        conditions.append(f"{column} is distinct from {'null' if value is None else value}")
    if role is DatabaseRole.PROVINCE and "area_id" in columns:
        own = ", ".join(map(str, scope.area_ids)) or "null"
        conditions.append(f"(area_id is not null and area_id not in ({own}))")
    return " or ".join(conditions) or "true"


async def _look(app: Any, table: Table, named: tuple[str, Scope]) -> Probe:
    question, scope = named
    condition = foreign_rows(table, scope)
    label = f"{scope.role.value}{'@' + scope.tenant if scope.tenant else ''}"
    if condition is None:
        return Probe(table.name, label, "may see all", True)
    transaction = app.transaction()
    await transaction.start()
    try:
        await app.execute(f"set local role {scope.role.value}")
        for name, value in scope.settings().items():
            await app.execute("select set_config($1, $2, true)", name, value)
        seen = await app.fetchval(f"select exists (select from {table.name} where {condition})")
    except asyncpg.InsufficientPrivilegeError:
        seen = False
    finally:
        await transaction.rollback()
    return Probe(table.name, label, f"sees {question}", not seen)
