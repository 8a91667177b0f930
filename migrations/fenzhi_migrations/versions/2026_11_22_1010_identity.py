"""Identity (身份): issuers, clients, grants by two persons, tokens taken back, failed sign-ins; administrators exclude each other.

Revision ID: 2026_11_22_identity
Revises: 2026_11_22_audit_chain
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from fenzhi_migrations.walls import ANY, AREA, IN_AREA, IN_PROVINCE, OPERATOR, PROVINCE, Wall, lowering, statements

revision = "2026_11_22_identity"
down_revision = "2026_11_22_audit_chain"
branch_labels = None
depends_on = None

_OF_PROVINCE = f"{IN_PROVINCE} and area_id is null"
_BY_ADMINISTRATORS = {OPERATOR: ANY, PROVINCE: _OF_PROVINCE, AREA: IN_AREA}
_ADMINISTRATORS = (OPERATOR, PROVINCE, AREA)
_ACCOUNT = ("token_epoch", "is_locked", "display_name")

BEFORE: tuple[Wall, ...] = (
    Wall("account", "platform", insert=(OPERATOR,), update={OPERATOR: _ACCOUNT}, predicates={OPERATOR: ANY}),
    Wall("membership", "platform", insert=(OPERATOR,), update={OPERATOR: ("revoked_at",)}, predicates={OPERATOR: ANY}),
)
"""The walls of these two tables as 2026_11_21_walls raised them: the operator's alone."""

WALLS: tuple[Wall, ...] = (
    Wall(
        "account",
        "platform",
        insert=_ADMINISTRATORS,
        update=dict.fromkeys(_ADMINISTRATORS, (*_ACCOUNT, "failures_forgiven_at")),
        predicates=_BY_ADMINISTRATORS,
    ),
    Wall(
        "membership",
        "platform",
        insert=_ADMINISTRATORS,
        update=dict.fromkeys(_ADMINISTRATORS, ("revoked_at",)),
        predicates=_BY_ADMINISTRATORS,
    ),
    Wall(
        "api_client",
        "platform",
        insert=_ADMINISTRATORS,
        update=dict.fromkeys(_ADMINISTRATORS, ("ended_at",)),
        predicates=_BY_ADMINISTRATORS,
    ),
    Wall(
        "role_grant",
        "platform",
        insert=_ADMINISTRATORS,
        update=dict.fromkeys(_ADMINISTRATORS, ("state", "decided_by", "decided_by_person", "decided_at")),
        writable_while="state = 'proposed'",
        predicates=_BY_ADMINISTRATORS,
    ),
    Wall(
        "token_issuer",
        "platform",
        insert=(OPERATOR,),
        update={OPERATOR: ("state", "approved_by", "approved_by_person", "approved_at", "ended_at")},
        predicates={OPERATOR: ANY},
    ),
    Wall(
        "issuer_key", "platform", insert=(OPERATOR,), update={OPERATOR: ("first_used_at",)}, predicates={OPERATOR: ANY}
    ),
    Wall("token_denial", "platform", insert=(OPERATOR,), delete=(OPERATOR,), predicates={OPERATOR: ANY}),
    Wall("sign_in_failure", "platform", insert=(OPERATOR,), delete=(OPERATOR,), predicates={OPERATOR: ANY}),
)

_OFFICE = """
create function fenzhi_office(role text) returns text language sql immutable parallel safe as $$
  select case
    when role like '%\\_system\\_administrator' then 'system'
    when role like '%\\_security\\_administrator' then 'security'
    when role like '%\\_audit\\_administrator' then 'audit'
    when role = 'operator_admin' then 'operator'
    else 'business' end
$$
"""
_PERSON_OF_ACCOUNT = """
create function fenzhi_membership_person() returns trigger language plpgsql as $$
begin
  new.person_id := (select a.person_id from account a where a.account_id = new.account_id);
  return new;
end $$
"""
_EXCLUSIVE = (
    "alter table membership add constraint ex_membership_office exclude using gist "
    "(person_id with =, fenzhi_office(role) with <>) where (revoked_at is null)",
    "alter table membership add constraint ex_membership_administrator exclude using gist "
    "(person_id with =, membership_id with <>) where (revoked_at is null and fenzhi_office(role) <> 'business')",
)
_HOMES = """
update account a set province_id = m.province_id, area_id = m.area_id
from (select account_id, min(province_id) as province_id, min(area_id) as area_id from membership where revoked_at is null
      group by account_id having count(distinct coalesce(area_id, -province_id)) = 1) m
where m.account_id = a.account_id
"""


def _code(name: str, *, nullable: bool = False, default: str | None = None) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(collation="C"), nullable=nullable, server_default=default)


def _whole(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Integer) for name in names]


def _uuid(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Uuid(), nullable=nullable)


def _moment(name: str, *, now: bool = False) -> sa.Column[Any]:
    default = sa.text("now()") if now else None
    return sa.Column(name, sa.DateTime(timezone=True), nullable=not now, server_default=default)


def upgrade() -> None:
    # What is new comes first: the tables that others are using are locked for the end of the transaction only.
    _tables()
    # Contrib, and trusted: whoever owns the database may create it.
    op.execute("create extension if not exists btree_gist")
    standing = {wall.table for wall in BEFORE}
    for wall in WALLS:
        if wall.table not in standing:
            for statement in statements(wall):
                op.execute(statement)
    for wall in BEFORE:
        for statement in lowering(wall):
            op.execute(statement)
    for column in (*_whole("province_id", "area_id"), _moment("failures_forgiven_at")):
        op.add_column("account", column)
    op.add_column("membership", _uuid("person_id", nullable=True))
    op.execute("update membership m set person_id = a.person_id from account a where a.account_id = m.account_id")
    op.execute(_HOMES)
    op.alter_column("membership", "person_id", nullable=False)
    op.execute(_OFFICE)
    op.execute(_PERSON_OF_ACCOUNT)
    op.execute(
        "create trigger membership_person before insert on membership "
        "for each row execute function fenzhi_membership_person()"
    )
    for statement in _EXCLUSIVE:
        op.execute(statement)
    for wall in WALLS:
        if wall.table in standing:
            for statement in statements(wall):
                op.execute(statement)


def _tables() -> None:
    op.create_table(
        "token_issuer",
        _uuid("issuer_id"),
        _code("issuer"),
        sa.Column("keys_url", sa.Text(), nullable=False),
        _code("audience"),
        _code("tenant"),
        *_whole("province_id", "area_id"),
        sa.Column("factor_methods", postgresql.ARRAY(sa.Text(collation="C")), nullable=False),
        sa.Column("factor_classes", postgresql.ARRAY(sa.Text(collation="C")), nullable=False),
        _code("state", default="proposed"),
        _uuid("proposed_by"),
        _uuid("proposed_by_person"),
        _uuid("approved_by", nullable=True),
        _uuid("approved_by_person", nullable=True),
        _moment("approved_at"),
        _moment("ended_at"),
        _moment("recorded_at", now=True),
        sa.PrimaryKeyConstraint("issuer_id", name="pk_token_issuer"),
        sa.CheckConstraint("state in ('proposed', 'active', 'ended')", name="state"),
        sa.CheckConstraint("approved_by_person <> proposed_by_person", name="four_eyes"),
        sa.CheckConstraint("state <> 'active' or approved_by_person is not null", name="approved"),
    )
    op.create_index(
        "uq_token_issuer_live", "token_issuer", ["issuer"], unique=True, postgresql_where=sa.text("state <> 'ended'")
    )
    op.create_table(
        "issuer_key",
        _code("issuer"),
        _code("thumbprint"),
        _code("key_id"),
        _moment("first_seen_at", now=True),
        _moment("first_used_at"),
        sa.PrimaryKeyConstraint("issuer", "thumbprint", name="pk_issuer_key"),
    )
    op.create_table(
        "api_client",
        _uuid("client_key"),
        _code("issuer"),
        _code("client_id"),
        sa.Column("name", sa.Text(), nullable=False),
        _code("tenant"),
        *_whole("province_id", "area_id", "county_id", "hospital_id"),
        _uuid("registered_by", nullable=True),
        _moment("ended_at"),
        _moment("recorded_at", now=True),
        sa.PrimaryKeyConstraint("client_key", name="pk_api_client"),
    )
    op.create_index(
        "uq_api_client_live",
        "api_client",
        ["issuer", "client_id", "tenant"],
        unique=True,
        postgresql_where=sa.text("ended_at is null"),
    )
    op.create_table(
        "role_grant",
        _uuid("grant_id"),
        _uuid("account_id"),
        _code("role"),
        _code("tenant"),
        _code("tenant_kind"),
        *_whole("province_id", "area_id", "county_id", "hospital_id"),
        _code("state"),
        _uuid("proposed_by"),
        _uuid("proposed_by_person"),
        _uuid("decided_by", nullable=True),
        _uuid("decided_by_person", nullable=True),
        _moment("decided_at"),
        _moment("recorded_at", now=True),
        sa.PrimaryKeyConstraint("grant_id", name="pk_role_grant"),
        sa.ForeignKeyConstraint(["account_id"], ["account.account_id"], name="fk_role_grant_account_id_account"),
        sa.CheckConstraint("state in ('proposed', 'granted', 'rejected')", name="state"),
        sa.CheckConstraint("state <> 'granted' or decided_by_person <> proposed_by_person", name="four_eyes"),
        sa.CheckConstraint("state = 'proposed' or decided_by_person is not null", name="decided"),
    )
    op.create_index("ix_role_grant_account_id", "role_grant", ["account_id"])
    op.create_table(
        "token_denial",
        _code("issuer"),
        _code("token_id"),
        _uuid("account_id"),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        _moment("recorded_at", now=True),
        sa.PrimaryKeyConstraint("issuer", "token_id", name="pk_token_denial"),
    )
    op.create_index("ix_token_denial_until", "token_denial", ["until"])
    op.create_table(
        "sign_in_failure",
        _uuid("failure_id"),
        _uuid("account_id", nullable=True),
        _code("address", nullable=True),
        _code("reason"),
        _moment("happened_at", now=True),
        sa.PrimaryKeyConstraint("failure_id", name="pk_sign_in_failure"),
        sa.CheckConstraint("(account_id is null) <> (address is null)", name="of_one"),
    )
    op.create_index("ix_sign_in_failure_account_id", "sign_in_failure", ["account_id", "happened_at"])
    op.create_index("ix_sign_in_failure_address", "sign_in_failure", ["address", "happened_at"])
    op.create_index("ix_sign_in_failure_happened_at", "sign_in_failure", ["happened_at"])


def downgrade() -> None:
    for wall in reversed(WALLS):
        for statement in lowering(wall):
            op.execute(statement)
    for table in ("sign_in_failure", "token_denial", "role_grant", "api_client", "issuer_key", "token_issuer"):
        op.drop_table(table)
    for constraint in ("ex_membership_administrator", "ex_membership_office"):
        op.execute(f"alter table membership drop constraint {constraint}")
    op.execute("drop trigger membership_person on membership")
    op.execute("drop function fenzhi_membership_person()")
    op.execute("drop function fenzhi_office(text)")
    op.execute("drop extension btree_gist")
    op.drop_column("membership", "person_id")
    for column in ("failures_forgiven_at", "area_id", "province_id"):
        op.drop_column("account", column)
    for wall in BEFORE:
        for statement in statements(wall):
            op.execute(statement)
