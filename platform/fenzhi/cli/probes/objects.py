"""Where the objects of the world are found (对象登记): every Node type, its table, its owner."""

from __future__ import annotations

from typing import Any

import asyncpg

from fenzhi.access.roles import TenantKind
from fenzhi.cli.probes.world import Numbers, ProbedWorld, Tenant
from fenzhi.cli.synthetic.plan import ProvincePlan


def tenants_of(plan: ProvincePlan) -> dict[str, Tenant]:
    """The tenants of a plan by code, each with its parent (租户树)."""
    found = {plan.code: Tenant(plan.code, TenantKind.PROVINCE, "")}
    found |= {c.code: Tenant(c.code, TenantKind.CITY, plan.code) for c in plan.cities}
    found |= {c.code: Tenant(c.code, TenantKind.COUNTY, c.city_code) for c in plan.counties}
    # A hospital under a county comes first, so that every level of the tree has a parent to be kept from.
    for hospital in sorted(plan.hospitals, key=lambda h: h.county_code is None):
        found[hospital.code] = Tenant(hospital.code, TenantKind.HOSPITAL, hospital.county_code or hospital.city_code)
    return found


async def numbers_of(app_dsn: str) -> dict[str, Numbers]:
    """What the database calls each tenant (租户编号)."""
    connection = await asyncpg.connect(app_dsn)
    try:
        async with connection.transaction():
            await connection.execute("set local role fenzhi_operator")
            found = {"operator": Numbers()}
            for r in await connection.fetch("select * from province"):
                found[r["code"]] = Numbers(r["province_id"])
            for r in await connection.fetch("select * from pooling_area"):
                found[r["code"]] = Numbers(r["province_id"], r["area_id"])
            for r in await connection.fetch("select * from county"):
                found[r["code"]] = Numbers(r["province_id"], r["area_id"], r["county_id"])
            for r in await connection.fetch("select * from hospital"):
                found[r["code"]] = Numbers(r["province_id"], r["area_id"], r["county_id"], r["hospital_id"])
            return found
    finally:
        await connection.close()


GONE = frozenset({"voided", "rejected", "withdrawn", "abandoned", "stopped"})
"""States of objects that are over (已终止)."""

UNPUBLISHED = frozenset({"draft", "proposed", "in_review", "computing", "computed"})
"""States that the levels below may not see (未公布)."""

NODE_TABLES: dict[str, tuple[str, str]] = {
    "PoolingArea": ("pooling_area", "area_id::text"),
    "County": ("county", "county_id::text"),
    "Hospital": ("hospital", "hospital_id::text"),
    "Account": ("account", "account_id::text"),
    "RoleGrant": ("role_grant", "grant_id::text"),
    "ApiClient": ("api_client", "client_key::text"),
    "TokenIssuer": ("token_issuer", "issuer_id::text"),
    "Job": ("job", "job_id::text"),
    "Batch": ("batch", "batch_id::text"),
    "InpatientCase": ("inpatient_case", "case_id::text"),
    "FiledList": ("filed_list", "list_id::text"),
    "CaseHold": ("case_hold", "hold_id::text"),
    "CatalogEdition": ("catalog_edition", "edition_id::text"),
    "CodeTable": ("code_table", "code_table_id::text"),
    "DiseaseGroup": ("disease_group", "edition_id::text || '/' || group_code"),
    "Regrouping": ("regrouping", "regrouping_id::text"),
    "ProvisionalGroup": ("provisional_group", "provisional_id::text"),
    "AreaOverlay": ("area_overlay", "overlay_id::text"),
    "PolicyEntry": ("area_policy", "policy_id::text"),
    "FundBudget": ("fund_budget", "budget_id::text"),
    "PointValue": ("point_value", "point_value_id::text"),
    "Payment": ("payment", "payment_id::text"),
    "AuditDeduction": ("audit_deduction", "deduction_id::text"),
    "AssessmentResult": ("assessment_result", "assessment_id::text"),
    "AccountOpening": ("account_opening", "opening_id::text"),
    "Receivable": ("receivable", "receivable_id::text"),
    "Advance": ("advance", "advance_id::text"),
    "VolumeBaseline": ("volume_baseline", "baseline_id::text"),
    "Deadline": ("deadline", "deadline_id::text"),
    "WorkingCalendar": ("working_calendar", "calendar_id::text"),
    "ClearingRun": ("clearing_run", "run_id::text"),
    "HospitalStatement": ("hospital_statement", "run_id::text || '.' || hospital_id::text"),
    "AreaClearing": ("inter_area_statement", "statement_id::text"),
    "Scorecard": ("scorecard", "scorecard_id::text"),
    "QualityLeague": ("quality_league", "league_id::text"),
    "AuditEvent": ("audit_event", "event_id::text"),
    "WebhookEndpoint": ("webhook_endpoint", "endpoint_id::text"),
    "SpecialCase": ("special_case", "special_case_id::text"),
    "ReviewExpert": ("review_expert", "expert_id::text"),
}
"""Node type → its table and the key inside its ids. A node type that is missing here fails the probes as unjudged."""


async def collect_objects(world: ProbedWorld, app_dsn: str) -> None:
    """Real objects of every node type, by the tenant that owns them."""
    from fenzhi.cli.probes.judge import node_id

    by_number = {n: code for code, n in world.numbers.items()}
    connection = await asyncpg.connect(app_dsn)
    try:
        for numbers, code in by_number.items():
            if numbers.area is None or numbers.county is not None or numbers.hospital is not None:
                continue
            for node_type, (table, key) in NODE_TABLES.items():
                for owner, value, state in await _area_objects(connection, numbers, table, key, by_number):
                    place = world.deleted if state in GONE else world.objects
                    place.setdefault(node_type, {}).setdefault(owner or code, []).append(node_id(node_type, value))
                    if state in UNPUBLISHED:
                        world.unpublished.setdefault(node_type, {}).setdefault(owner or code, []).append(
                            node_id(node_type, value)
                        )
        for numbers, code in by_number.items():
            if numbers.province is None or numbers.area is not None:
                continue
            await _province_objects(connection, world, numbers, code)
    finally:
        await connection.close()


async def _area_objects(
    connection: Any, numbers: Numbers, table: str, key: str, by_number: dict[Numbers, str]
) -> list[tuple[str, str, str]]:
    columns = await connection.fetch(
        "select attname from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped", table
    )
    names = {row["attname"] for row in columns}
    if "area_id" not in names:
        return []
    county = "county_id" if "county_id" in names else "null::int"
    state = "state" if "state" in names else "''"
    hospital = "hospital_id" if "hospital_id" in names and table != "ledger_entry" else "null::int"
    try:
        async with connection.transaction():
            await connection.execute("set local role fenzhi_worker")
            await connection.execute("select set_config('fenzhi.area_id', $1, true)", str(numbers.area))
            await connection.execute("select set_config('fenzhi.province_id', $1, true)", str(numbers.province))
            rows = await connection.fetch(
                f"select {key} as key, {county} as county, {hospital} as hospital, {state} as state from {table} where area_id = $1 limit 400",
                numbers.area,
            )
    except asyncpg.InsufficientPrivilegeError:
        return []
    found = []
    hospitals = {n.hospital: code for n, code in by_number.items() if n.hospital is not None}
    counties = {n.county: code for n, code in by_number.items() if n.county is not None and n.hospital is None}
    for row in rows:
        owner = hospitals.get(row["hospital"], "") if row["hospital"] else counties.get(row["county"], "")
        found.append((owner, str(row["key"]), row["state"]))
    return found


_OF_PROVINCE = (
    "catalog_edition",
    "code_table",
    "disease_group",
    "job",
    "working_calendar",
    "inter_area_statement",
)


async def _province_objects(connection: Any, world: ProbedWorld, numbers: Numbers, code: str) -> None:
    from fenzhi.cli.probes.judge import node_id

    own = ",".join(str(n.area) for n in world.numbers.values() if n.province == numbers.province and n.area is not None)
    async with connection.transaction():
        await connection.execute("set local role fenzhi_province")
        await connection.execute("select set_config('fenzhi.province_id', $1, true)", str(numbers.province))
        await connection.execute("select set_config('fenzhi.area_ids', $1, true)", "{" + own + "}")
        for node_type, (table, key) in NODE_TABLES.items():
            if table not in _OF_PROVINCE:
                continue
            state = "state" if table in ("catalog_edition", "working_calendar", "inter_area_statement") else "''"
            rows = await connection.fetch(
                f"select {key} as key, {state} as state from {table} where province_id = $1 order by recorded_at limit 50"
                if table != "disease_group"
                else f"select {key} as key, '' as state from {table} where province_id = $1 limit 50",
                numbers.province,
            )
            for row in rows:
                found = node_id(node_type, row["key"])
                world.objects.setdefault(node_type, {}).setdefault(code, []).append(found)
                if row["state"] in UNPUBLISHED:
                    world.unpublished.setdefault(node_type, {}).setdefault(code, []).append(found)
