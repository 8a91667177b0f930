"""Chain the audit (审计链): sequence, anchors, who saw whom; who audits holds no other role.

Revision ID: 2026_11_22_audit_chain
Revises: 2026_11_21_walls
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

from fenzhi_migrations.walls import (
    ANY,
    AREA_AUDITOR,
    IN_AREA,
    IN_PROVINCE,
    OWN_TENANT,
    PROVINCE_AUDITOR,
    ROLES,
    SEQUENCER,
    Wall,
    append_only,
    lowering,
    never_emptied,
    statements,
)

revision = "2026_11_22_audit_chain"
down_revision = "2026_11_21_walls"
branch_labels = None
depends_on = None

_NEW_ROLES = (PROVINCE_AUDITOR, AREA_AUDITOR, SEQUENCER)
_OF_THE_PLACE = {PROVINCE_AUDITOR: IN_PROVINCE, AREA_AUDITOR: f"{IN_PROVINCE} and {IN_AREA}", SEQUENCER: ANY}
_OWN_EVENT = (
    f"{OWN_TENANT} and province_id is not distinct from nullif(current_setting('fenzhi.province_id', true), '')::int "
    "and area_id is not distinct from nullif(current_setting('fenzhi.area_id', true), '')::int"
)

WALLS: tuple[Wall, ...] = (
    Wall("audit_link", "platform", insert=(SEQUENCER,), predicates=_OF_THE_PLACE),
    Wall("audit_anchor", "platform", insert=(SEQUENCER,), predicates=dict.fromkeys(_NEW_ROLES, ANY)),
)

_EXCLUSIVE = """
create function fenzhi_exclusive_role() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare held text;
begin
  if new.revoked_at is not null then
    return new;
  end if;
  perform pg_advisory_xact_lock(hashtextextended('fenzhi/person/' || a.person_id, 0))
    from account a where a.account_id = new.account_id;
  select m.role into held
    from membership m join account a using (account_id)
   where m.revoked_at is null and m.membership_id <> new.membership_id
     and a.person_id = (select person_id from account where account_id = new.account_id)
     and (m.role <> new.role or m.tenant <> new.tenant)
     and (m.role like '%\\_administrator' or new.role like '%\\_administrator')
   limit 1;
  if found then
    raise exception 'FENZHI_EXCLUSIVE_ROLE: % and % do not go together in one person', held, new.role
      using errcode = 'FZ001';
  end if;
  return new;
end $$
"""


def upgrade() -> None:
    for role in _NEW_ROLES:
        op.execute(
            f"do $$ begin if not exists (select from pg_roles where rolname = '{role}') "
            f"then create role {role} nologin; end if; end $$"
        )
        op.execute(f"grant {role} to fenzhi_app")
        op.execute(f"grant usage on schema public to {role}")
    _columns_of_events()
    _chain()
    for wall in WALLS:
        for statement in statements(wall):
            op.execute(statement)
    for role in ROLES:
        op.execute(f"drop policy audit_event_select_{role} on audit_event")
        op.execute(f"revoke select on audit_event from {role}")
        op.execute(f"drop policy audit_event_insert_{role} on audit_event")
        op.execute(
            f"create policy audit_event_insert_{role} on audit_event for insert to {role} with check ({_OWN_EVENT})"
        )
    for role, predicate in _OF_THE_PLACE.items():
        op.execute(f"grant select on audit_event to {role}")
        op.execute(f"create policy audit_event_select_{role} on audit_event for select to {role} using ({predicate})")
    for table in ("audit_link", "audit_anchor"):
        op.execute(append_only(table))
    for table in ("audit_event", "audit_link", "audit_anchor"):
        op.execute(never_emptied(table))
    op.execute(_EXCLUSIVE)
    op.execute(
        "create trigger membership_exclusive before insert or update on membership "
        "for each row execute function fenzhi_exclusive_role()"
    )


def _columns_of_events() -> None:
    # The release before names neither: its rows take them from its session, as their wall demands. Rows of before stay without.
    for name in ("province_id", "area_id"):
        of_session = sa.text(f"nullif(current_setting('fenzhi.{name}', true), '')::int")
        op.add_column("audit_event", sa.Column(name, sa.Integer(), server_default=of_session))
    op.add_column("audit_event", sa.Column("kind", sa.Text(collation="C"), nullable=False, server_default="act"))
    for name in ("purpose", "field_class"):
        op.add_column("audit_event", sa.Column(name, sa.Text(collation="C"), nullable=False, server_default=""))
    op.add_column("audit_event", sa.Column("reason", sa.Text(), nullable=False, server_default=""))
    op.add_column("audit_event", sa.Column("subjects", postgresql.ARRAY(sa.Uuid())))
    # A constant for the rows that are there, so that the table is not written anew; the transaction's own number from now on.
    mine = "0" if context.is_offline_mode() else str(op.get_bind().scalar(sa.text("select pg_current_xact_id()::text")))
    op.add_column("audit_event", sa.Column("written_in", sa.BigInteger(), nullable=False, server_default=sa.text(mine)))
    op.alter_column("audit_event", "written_in", server_default=sa.text("(pg_current_xact_id()::text::bigint)"))
    op.create_check_constraint("kind", "audit_event", "kind in ('act', 'sight', 'reveal')")
    op.create_check_constraint("field_class", "audit_event", "field_class in ('', 'case', 'list', 'personal')")


def _chain() -> None:
    op.create_table(
        "audit_link",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("province_id", sa.Integer()),
        sa.Column("area_id", sa.Integer()),
        sa.Column("algorithm", sa.Text(collation="C"), nullable=False),
        sa.Column("event_digest", sa.LargeBinary(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("horizon", sa.BigInteger(), nullable=False),
        sa.Column("linked_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()")),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_link"),
        sa.ForeignKeyConstraint(["event_id"], ["audit_event.event_id"], name="fk_audit_link_event_id_audit_event"),
        sa.CheckConstraint("seq > 0", name="seq"),
    )
    op.create_index("uq_audit_link_event", "audit_link", ["event_id"], unique=True)
    op.create_index("ix_audit_link_province_id", "audit_link", ["province_id", "seq"])
    op.create_table(
        "audit_anchor",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("algorithm", sa.Text(collation="C"), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(collation="C"), nullable=False),
        sa.Column("seal", sa.LargeBinary(), nullable=False),
        sa.Column("anchored_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_anchor"),
    )


def downgrade() -> None:
    op.execute("drop trigger membership_exclusive on membership")
    op.execute("drop function fenzhi_exclusive_role()")
    for table in ("audit_event", "audit_link", "audit_anchor"):
        op.execute(f"drop trigger {table}_never_emptied on {table}")
    for role in _OF_THE_PLACE:
        op.execute(f"drop policy audit_event_select_{role} on audit_event")
        op.execute(f"revoke select on audit_event from {role}")
    for role in ROLES:
        op.execute(f"drop policy audit_event_insert_{role} on audit_event")
        op.execute(
            f"create policy audit_event_insert_{role} on audit_event for insert to {role} with check ({OWN_TENANT})"
        )
        op.execute(f"grant select on audit_event to {role}")
        op.execute(f"create policy audit_event_select_{role} on audit_event for select to {role} using ({OWN_TENANT})")
    for wall in reversed(WALLS):
        for statement in lowering(wall):
            op.execute(statement)
    op.drop_table("audit_anchor")
    op.drop_table("audit_link")
    for name in ("field_class", "kind"):
        op.drop_constraint(name, "audit_event", type_="check")
    for name in (
        "written_in", "subjects", "reason", "field_class", "purpose", "kind", "area_id", "province_id",
    ):  # fmt: skip
        op.drop_column("audit_event", name)
    for role in _NEW_ROLES:
        op.execute(f"revoke usage on schema public from {role}")
