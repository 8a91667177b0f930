"""Raise the walls: roles, row level security, append-only triggers, partition functions.

Revision ID: 2026_11_21_walls
Revises: 2026_11_21_baseline
"""

from __future__ import annotations

from alembic import op

from fenzhi_migrations.walls import (
    ANY,
    AREA,
    COUNTY,
    HOSPITAL,
    IN_COUNTY,
    IN_PROVINCE,
    OPERATOR,
    OWN_TENANT,
    PROVINCE,
    ROLES,
    WORKER,
    Wall,
    append_only,
    lowering,
    statements,
)

revision = "2026_11_21_walls"
down_revision = "2026_11_21_baseline"
branch_labels = None
depends_on = None

_APPROVAL = ("state", "approved_by", "approved_by_person", "approved_at")
_PUBLICATION = ("state", "published_by", "published_by_person", "published_at")
_OF_VISIBLE_RUN = "run_id in (select run_id from clearing_run)"
_OF_DRAFT = "edition_id in (select edition_id from catalog_edition where state = 'draft')"
_EVERY_TENANT = dict.fromkeys(ROLES, OWN_TENANT)

WALLS: tuple[Wall, ...] = (
    # registry
    Wall("province", "province", insert=(OPERATOR,), predicates={OPERATOR: ANY}),
    Wall(
        "pooling_area",
        "area",
        insert=(OPERATOR,),
        predicates={OPERATOR: ANY, PROVINCE: IN_PROVINCE},
    ),
    Wall(
        "county",
        "area",
        insert=(OPERATOR,),
        update={OPERATOR: ("is_delegated",)},
        predicates={OPERATOR: ANY, COUNTY: IN_COUNTY, HOSPITAL: IN_COUNTY},
    ),
    Wall("hospital", "hospital", insert=(OPERATOR,), predicates={OPERATOR: ANY}),
    Wall("tenant_number", "platform", insert=(OPERATOR,), predicates={OPERATOR: ANY}),
    Wall("hospital_standing", "hospital", insert=(AREA,), predicates={OPERATOR: ANY}),
    Wall("hospital_coefficient", "hospital", insert=(AREA,), predicates={OPERATOR: ANY}),
    Wall("agreement", "hospital", insert=(AREA,), predicates={OPERATOR: ANY}),
    Wall(
        "account",
        "platform",
        insert=(OPERATOR,),
        update={OPERATOR: ("token_epoch", "is_locked", "display_name")},
        predicates={OPERATOR: ANY},
    ),
    Wall("membership", "platform", insert=(OPERATOR,), update={OPERATOR: ("revoked_at",)}, predicates={OPERATOR: ANY}),
    # policy
    Wall(
        "province_policy",
        "province",
        insert=(PROVINCE,),
        update={PROVINCE: _APPROVAL},
        writable_while="state = 'proposed'",
        published="state = 'in_force'",
        below=(AREA, COUNTY, HOSPITAL),
    ),
    Wall(
        "area_policy",
        "area",
        insert=(AREA,),
        update={AREA: _APPROVAL},
        writable_while="state = 'proposed'",
        published="state = 'in_force'",
    ),
    # catalog
    Wall("code_table", "province", insert=(PROVINCE,)),
    Wall("code_entry", "province", insert=(PROVINCE,)),
    Wall(
        "catalog_edition",
        "province",
        insert=(PROVINCE,),
        update={PROVINCE: (*_PUBLICATION, "content_sha256", "effective_to", "groups", "build_report")},
        published="state in ('published', 'withdrawn')",
        below=(AREA, COUNTY, HOSPITAL, WORKER),
    ),
    Wall(
        "disease_group",
        "province",
        insert=(PROVINCE,),
        update={PROVINCE: ("score", "source", "cases")},
        delete=(PROVINCE,),
        writable_while=_OF_DRAFT,
        insertable_while=_OF_DRAFT,
        published="edition_id in (select edition_id from catalog_edition)",
        below=(AREA, COUNTY, HOSPITAL, WORKER),
    ),
    Wall("score_edit", "province", insert=(PROVINCE,), hidden_from=(AREA, COUNTY, HOSPITAL, WORKER)),
    Wall("reference_cost", "area", insert=(WORKER,)),
    Wall(
        "area_overlay",
        "area",
        insert=(AREA,),
        update={AREA: _PUBLICATION},
        published="state = 'published'",
    ),
    Wall(
        "area_overlay_score",
        "area",
        insert=(AREA,),
        published="overlay_id in (select overlay_id from area_overlay)",
    ),
    # submission
    Wall(
        "batch",
        "hospital",
        insert=(HOSPITAL, AREA),
        update={
            HOSPITAL: ("state", "parts", "bytes", "job_id", "sealed_at"),
            AREA: ("state", "parts", "bytes", "job_id", "sealed_at"),
            WORKER: ("state", "counts", "judged_at"),
        },
    ),
    Wall(
        "batch_part",
        "hospital",
        insert=(HOSPITAL, AREA),
        hidden_from=(PROVINCE, COUNTY),
    ),
    Wall("intake_row", "hospital", insert=(WORKER,)),
    Wall("verdict", "hospital", insert=(WORKER,)),
    Wall("list_key", "hospital", insert=(WORKER,), hidden_from=(PROVINCE,)),
    Wall("case_supersession", "hospital", insert=(WORKER,)),
    Wall("inpatient_case", "hospital", insert=(WORKER,)),
    Wall("case_personal", "hospital", insert=(WORKER,), hidden_from=(PROVINCE, COUNTY)),
    Wall("history_discharge", "hospital", insert=(WORKER,)),
    # fund and point value
    Wall(
        "fund_budget",
        "area",
        insert=(AREA,),
        update={AREA: _APPROVAL},
        writable_while="state = 'draft'",
        hidden_from=(COUNTY, HOSPITAL),
    ),
    Wall(
        "point_value",
        "area",
        insert=(AREA, WORKER),
        update={AREA: _APPROVAL},
        published="(kind = 'budget' and state = 'approved') or state = 'published'",
    ),
    Wall("payment", "hospital", insert=(AREA, COUNTY)),
    Wall(
        "audit_deduction",
        "hospital",
        insert=(AREA, COUNTY),
        update={AREA: _APPROVAL, COUNTY: _APPROVAL},
        writable_while="state = 'draft'",
        published="state = 'approved'",
        below=(HOSPITAL,),
    ),
    # clearing
    Wall(
        "clearing_run",
        "area",
        insert=(AREA,),
        update={
            AREA: (*_APPROVAL, "published_at", "job_id"),
            WORKER: (
                "state",
                "edition_id",
                "budget_id",
                "point_value_id",
                "policy_fingerprint",
                "rules_version",
                "manifest",
                "manifest_sha256",
                "result_sha256",
                "pool_fen",
                "summary",
                "error",
                "as_known_at",
                "computed_at",
            ),
        },
        published="state = 'published'",
    ),
    Wall("run_case", "hospital", published=_OF_VISIBLE_RUN),
    Wall("hospital_statement", "hospital", insert=(WORKER,), published=_OF_VISIBLE_RUN),
    Wall("ledger_entry", "area", insert=(WORKER,), hidden_from=(COUNTY, HOSPITAL)),
    # scorecard
    Wall(
        "scorecard",
        "hospital",
        insert=(WORKER,),
        update={AREA: (*_APPROVAL, "published_at")},
        published="state = 'published'",
    ),
    Wall(
        "scorecard_indicator",
        "hospital",
        insert=(WORKER,),
        published="scorecard_id in (select scorecard_id from scorecard)",
    ),
    # jobs
    Wall(
        "job",
        "hospital",
        insert=(PROVINCE, AREA, HOSPITAL, WORKER),
        update={
            WORKER: (
                "state",
                "attempt",
                "lease_until",
                "not_before",
                "progress_done",
                "progress_total",
                "error_code",
                "error_zh",
                "error_en",
                "result",
                "started_at",
                "finished_at",
            )
        },
        predicates={WORKER: ANY, PROVINCE: f"{IN_PROVINCE} and area_id is null"},
    ),
    Wall("idempotency_key", "platform", insert=ROLES, predicates=_EVERY_TENANT),
    Wall("audit_event", "platform", insert=ROLES, predicates=_EVERY_TENANT),
    Wall(
        "worker_heartbeat",
        "platform",
        insert=(WORKER,),
        update={WORKER: ("beat_at", "version")},
        delete=(WORKER,),
        predicates={WORKER: ANY},
    ),
)

_APPEND_ONLY = (
    "ledger_entry",
    "hospital_statement",
    "audit_event",
    "payment",
    "verdict",
    "intake_row",
    "case_supersession",
    "list_key",
)

_FUNCTIONS = (
    """
create function fenzhi_refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'FENZHI_APPEND_ONLY: % is append-only', tg_table_name using errcode = 'restrict_violation';
end $$
""",
    """
create function fenzhi_run_moves() returns trigger language plpgsql as $$
begin
  if (old.state, new.state) not in (
       ('computing', 'computing'), ('computing', 'computed'), ('computing', 'stopped'),
       ('computed', 'approved'), ('computed', 'voided'), ('approved', 'published'), ('approved', 'voided')) then
    raise exception 'FENZHI_RUN_STATE: % -> % is not a move of a run', old.state, new.state
      using errcode = 'restrict_violation';
  end if;
  return new;
end $$
""",
    """
create function fenzhi_edition_stays() returns trigger language plpgsql as $$
begin
  if old.state in ('published', 'withdrawn') and
     (to_jsonb(old) - 'effective_to' - 'state') is distinct from (to_jsonb(new) - 'effective_to' - 'state')
     or (old.state, new.state) in (('published', 'draft'), ('published', 'in_review'), ('withdrawn', 'draft'),
       ('withdrawn', 'in_review'), ('draft', 'published')) then
    raise exception 'FENZHI_EDITION_IMMUTABLE: a published edition only ends' using errcode = 'restrict_violation';
  end if;
  return new;
end $$
""",
    """
create function fenzhi_ledger_balances() returns trigger language plpgsql as $$
begin
  if exists (select from added group by run_id having sum(amount_fen) <> 0) then
    raise exception 'FENZHI_LEDGER_UNBALANCED: debit and credit differ' using errcode = 'check_violation';
  end if;
  return null;
end $$
""",
    # Owner functions: the application may have exactly these partitions made, and nothing else of the owner's.
    """
create function fenzhi_ensure_area(wanted int, from_year int, to_year int) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare part text; y int;
begin
  part := format('inpatient_case_p_%s', wanted);
  execute format('create table if not exists %I partition of inpatient_case for values in (%s) partition by range (discharge_date)', part, wanted);
  for y in from_year .. to_year loop
    execute format('create table if not exists %I partition of %I for values from (%L) to (%L)',
      part || '_' || y, part, make_date(y, 1, 1), make_date(y + 1, 1, 1));
  end loop;
  execute format('create table if not exists %I partition of %I default', part || '_rest', part);
  execute format('create table if not exists %I partition of history_discharge for values in (%s)', 'history_discharge_p_' || wanted, wanted);
  execute format('create table if not exists %I partition of run_case for values in (%s) partition by list (run_id)', 'run_case_p_' || wanted, wanted);
end $$
""",
    """
create function fenzhi_open_run_table(wanted_area int, wanted_run uuid) returns text
language plpgsql security definer set search_path = public, pg_temp as $$
declare name text := 'run_case_p_' || wanted_area || '_' || replace(wanted_run::text, '-', '');
begin
  execute format('drop table if exists %I', name);
  execute format('create table %I (like run_case including defaults including constraints)', name);
  execute format('grant select, insert on %I to fenzhi_worker', name);
  return name;
end $$
""",
    """
create function fenzhi_attach_run_table(wanted_area int, wanted_run uuid) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare name text := 'run_case_p_' || wanted_area || '_' || replace(wanted_run::text, '-', '');
begin
  execute format('revoke all on %I from fenzhi_worker', name);
  execute format('alter table %I add constraint %I check (area_id = %s and run_id = %L)', name, name || '_is', wanted_area, wanted_run);
  execute format('alter table %I attach partition %I for values in (%L)', 'run_case_p_' || wanted_area, name, wanted_run);
end $$
""",
)

_OWNER_FUNCTIONS = (
    ("fenzhi_ensure_area(int, int, int)", OPERATOR),
    ("fenzhi_open_run_table(int, uuid)", WORKER),
    ("fenzhi_attach_run_table(int, uuid)", WORKER),
)


def upgrade() -> None:
    for role in ROLES:
        op.execute(
            f"do $$ begin if not exists (select from pg_roles where rolname = '{role}') "
            f"then create role {role} nologin; end if; end $$"
        )
        op.execute(f"grant {role} to fenzhi_app")
        op.execute(f"grant usage on schema public to {role}")
    op.execute("revoke create on schema public from public")
    for number in range(8):
        op.execute(
            f"create table idempotency_key_p_{number} partition of idempotency_key "
            f"for values with (modulus 8, remainder {number})"
        )
    for function in _FUNCTIONS:
        op.execute(function)
    for function, role in _OWNER_FUNCTIONS:
        op.execute(f"revoke all on function {function} from public")
        op.execute(f"grant execute on function {function} to {role}")
    for wall in WALLS:
        for statement in statements(wall):
            op.execute(statement)
    for table in _APPEND_ONLY:
        op.execute(append_only(table))
    op.execute(
        "create trigger clearing_run_moves before update on clearing_run "
        "for each row execute function fenzhi_run_moves()"
    )
    op.execute(
        "create trigger catalog_edition_stays before update on catalog_edition "
        "for each row execute function fenzhi_edition_stays()"
    )
    op.execute(
        "create trigger ledger_entry_balances after insert on ledger_entry referencing new table as added "
        "for each statement execute function fenzhi_ledger_balances()"
    )


def downgrade() -> None:
    op.execute("drop trigger ledger_entry_balances on ledger_entry")
    op.execute("drop trigger catalog_edition_stays on catalog_edition")
    op.execute("drop trigger clearing_run_moves on clearing_run")
    for table in _APPEND_ONLY:
        op.execute(f"drop trigger {table}_append_only on {table}")
    for wall in WALLS:
        for statement in lowering(wall):
            op.execute(statement)
    for function, _role in _OWNER_FUNCTIONS:
        op.execute(f"drop function {function}")
    for name in ("fenzhi_ledger_balances", "fenzhi_edition_stays", "fenzhi_run_moves", "fenzhi_refuse_change"):
        op.execute(f"drop function {name}()")
    for number in range(8):
        op.execute(f"drop table idempotency_key_p_{number}")
    for role in ROLES:
        op.execute(f"revoke usage on schema public from {role}")
