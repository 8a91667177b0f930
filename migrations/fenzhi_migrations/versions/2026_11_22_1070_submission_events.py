"""Events of submission (事件): streams, webhooks, timers, the quality league, simulated rule changes.

Revision ID: 2026_11_22_submission_events
Revises: 2026_11_22_submission_rounds
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from fenzhi_migrations.walls import (
    ANY,
    AREA,
    COUNTY,
    HOSPITAL,
    OWN_TENANT,
    PROVINCE,
    READS,
    WORKER,
    Wall,
    append_only,
    lowering,
    statements,
)

revision = "2026_11_22_submission_events"
down_revision = "2026_11_22_submission_rounds"
branch_labels = None
depends_on = None

_TENANTS = (AREA, COUNTY, HOSPITAL)
_TELLERS = (PROVINCE, AREA, COUNTY, WORKER)


def _of_tenant(
    table: str,
    *,
    insert: tuple[str, ...],
    update: dict[str, tuple[str, ...]] | None = None,
) -> Wall:
    """What only the tenant itself reads, whatever stands above it, and the worker that serves it."""
    return Wall(
        table,
        "hospital",
        insert=insert,
        update=update or {},
        hidden_from=(PROVINCE,),
        published=OWN_TENANT,
        below=_TENANTS,
    )


WALLS: tuple[Wall, ...] = (
    Wall(
        "event_stream",
        "hospital",
        insert=(*_TELLERS, HOSPITAL),
        update={
            PROVINCE: ("last_seq",),
            WORKER: ("last_seq",),
            **dict.fromkeys(_TENANTS, ("last_seq", "is_listened")),
        },
    ),
    _of_tenant("tenant_event", insert=_TELLERS),
    _of_tenant(
        "webhook_endpoint",
        insert=_TENANTS,
        update={
            **dict.fromkeys(_TENANTS, ("state", "disabled_at", "disabled_by_person")),
            WORKER: ("busy_job", "busy_until", "taken_seq"),
        },
    ),
    _of_tenant("webhook_secret", insert=_TENANTS, update=dict.fromkeys(_TENANTS, ("valid_until",))),
    _of_tenant(
        "webhook_delivery",
        insert=(*_TENANTS, WORKER),
        update={
            **dict.fromkeys(_TENANTS, ("state", "next_at", "ended_at")),
            WORKER: ("state", "attempts", "first_at", "next_at", "ended_at", "outcome", "status"),
        },
    ),
    _of_tenant("webhook_attempt", insert=(WORKER,)),
    Wall(
        "job_timer",
        "hospital",
        insert=(*_TELLERS, HOSPITAL),
        update=dict.fromkeys((*_TELLERS, HOSPITAL), ("due_at",)),
        delete=(WORKER,),
        predicates={WORKER: ANY},
    ),
    Wall(
        "quality_league",
        "area",
        insert=(WORKER,),
        update={
            AREA: ("state", "published_by", "published_by_person", "published_at"),
            WORKER: ("state",),
        },
        writable_while="state = 'draft'",
        published="state = 'published'",
    ),
    Wall(
        "quality_league_row",
        "area",
        insert=(WORKER,),
        published="league_id in (select league_id from quality_league)",
    ),
)
_APPEND_ONLY = ("tenant_event", "webhook_attempt", "quality_league_row")


def upgrade() -> None:
    op.create_table(
        "event_stream",
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=True),
        sa.Column("tenant", sa.Text(collation="C"), nullable=False),
        sa.Column("province_id", sa.Integer(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("is_listened", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("last_seq >= 0", name=op.f("ck_event_stream_last_seq")),
        sa.PrimaryKeyConstraint("tenant", name=op.f("pk_event_stream")),
        info={
            "table_class": "hospital",
            "reason": "belongs to the tenant that is told: hospital_id is null for a city or a county",
        },
    )
    op.create_table(
        "job_timer",
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("tenant", sa.Text(collation="C"), nullable=False),
        sa.Column("province_id", sa.Integer(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=True),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_job_timer")),
        info={
            "table_class": "hospital",
            "reason": "a job to be wanted later, seen like the job it becomes; the worker takes what is due",
        },
    )
    op.create_index("ix_job_timer_due_at", "job_timer", ["due_at"], unique=False)
    op.create_table(
        "quality_league",
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("league_id", sa.Uuid(), nullable=False),
        sa.Column("settlement_month", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("weights", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("run_ids", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("policy_fingerprint", sa.Text(collation="C"), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("drafted_by", sa.Uuid(), nullable=True),
        sa.Column("drafted_by_person", sa.Uuid(), nullable=False),
        sa.Column("published_by", sa.Uuid(), nullable=True),
        sa.Column("published_by_person", sa.Uuid(), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "state <> 'published' or published_by_person <> drafted_by_person", name=op.f("ck_quality_league_four_eyes")
        ),
        sa.CheckConstraint("state in ('draft', 'published', 'withdrawn')", name=op.f("ck_quality_league_state")),
        sa.PrimaryKeyConstraint("league_id", name=op.f("pk_quality_league")),
        info={"table_class": "area", "reason": ""},
    )
    op.create_index(
        "uq_quality_league_live",
        "quality_league",
        ["area_id", "settlement_month"],
        unique=True,
        postgresql_where=sa.text("state <> 'withdrawn'"),
    )
    op.create_table(
        "tenant_event",
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=True),
        sa.Column("tenant", sa.Text(collation="C"), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("subject_type", sa.Text(collation="C"), nullable=False),
        sa.Column("subject_id", sa.Text(collation="C"), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("seq > 0", name=op.f("ck_tenant_event_seq")),
        sa.PrimaryKeyConstraint("tenant", "seq", name=op.f("pk_tenant_event")),
        info={
            "table_class": "hospital",
            "reason": "belongs to the tenant that is told: hospital_id is null for a city or a county",
        },
    )
    op.create_table(
        "webhook_endpoint",
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=True),
        sa.Column("tenant", sa.Text(collation="C"), nullable=False),
        sa.Column("province_id", sa.Integer(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("kinds", postgresql.ARRAY(sa.Text(collation="C")), nullable=False),
        sa.Column("note", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("state", sa.Text(collation="C"), server_default="active", nullable=False),
        sa.Column("taken_seq", sa.BigInteger(), nullable=False),
        sa.Column("busy_job", sa.Uuid(), nullable=True),
        sa.Column("busy_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("registered_by", sa.Uuid(), nullable=True),
        sa.Column("registered_by_person", sa.Uuid(), nullable=True),
        sa.Column("disabled_by_person", sa.Uuid(), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state in ('active', 'disabled')", name=op.f("ck_webhook_endpoint_state")),
        sa.PrimaryKeyConstraint("endpoint_id", name=op.f("pk_webhook_endpoint")),
        info={
            "table_class": "hospital",
            "reason": "belongs to the tenant that is told: hospital_id is null for a city or a county",
        },
    )
    op.create_index("ix_webhook_endpoint_tenant", "webhook_endpoint", ["tenant", "endpoint_id"], unique=False)
    op.create_table(
        "quality_league_row",
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("league_id", sa.Uuid(), nullable=False),
        sa.Column("hospital", sa.Integer(), nullable=False),
        sa.Column("hospital_code", sa.Text(collation="C"), nullable=False),
        sa.Column("uploads", sa.Integer(), nullable=False),
        sa.Column("timely", sa.Integer(), nullable=False),
        sa.Column("complete", sa.Integer(), nullable=False),
        sa.Column("passed", sa.Integer(), nullable=False),
        sa.Column("accurate", sa.Integer(), nullable=False),
        sa.Column("cases", sa.Integer(), nullable=False),
        sa.Column("grouped", sa.Integer(), nullable=False),
        sa.Column("score_numerator", sa.Numeric(), nullable=True),
        sa.Column("score_denominator", sa.Numeric(), nullable=True),
        sa.Column("rank", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["league_id"], ["quality_league.league_id"], name=op.f("fk_quality_league_row_league_id_quality_league")
        ),
        sa.PrimaryKeyConstraint("league_id", "hospital", name=op.f("pk_quality_league_row")),
        info={"table_class": "area", "reason": ""},
    )
    op.create_table(
        "webhook_delivery",
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=True),
        sa.Column("tenant", sa.Text(collation="C"), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(collation="C"), server_default="due", nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(collation="C"), server_default=sa.text("''"), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(state = 'due') = (next_at is not null)", name=op.f("ck_webhook_delivery_next_at")),
        sa.CheckConstraint("state in ('due', 'delivered', 'dead', 'dropped')", name=op.f("ck_webhook_delivery_state")),
        sa.ForeignKeyConstraint(
            ["endpoint_id"],
            ["webhook_endpoint.endpoint_id"],
            name=op.f("fk_webhook_delivery_endpoint_id_webhook_endpoint"),
        ),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_webhook_delivery")),
        info={
            "table_class": "hospital",
            "reason": "belongs to the tenant that is told: hospital_id is null for a city or a county",
        },
    )
    op.create_index(
        "ix_webhook_delivery_due",
        "webhook_delivery",
        ["endpoint_id", "next_at"],
        unique=False,
        postgresql_where=sa.text("state = 'due'"),
    )
    op.create_index("ix_webhook_delivery_tenant", "webhook_delivery", ["tenant", "delivery_id"], unique=False)
    op.create_index("uq_webhook_delivery_event", "webhook_delivery", ["endpoint_id", "event_id"], unique=True)
    op.create_table(
        "webhook_secret",
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=True),
        sa.Column("tenant", sa.Text(collation="C"), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("secret_no", sa.SmallInteger(), nullable=False),
        sa.Column("key_id", sa.Text(collation="C"), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["endpoint_id"],
            ["webhook_endpoint.endpoint_id"],
            name=op.f("fk_webhook_secret_endpoint_id_webhook_endpoint"),
        ),
        sa.PrimaryKeyConstraint("endpoint_id", "secret_no", name=op.f("pk_webhook_secret")),
        info={
            "table_class": "hospital",
            "reason": "belongs to the tenant that is told: hospital_id is null for a city or a county",
        },
    )
    op.create_table(
        "webhook_attempt",
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=True),
        sa.Column("tenant", sa.Text(collation="C"), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("attempt_no", sa.SmallInteger(), nullable=False),
        sa.Column("outcome", sa.Text(collation="C"), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("took_ms", sa.Integer(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["webhook_delivery.delivery_id"],
            name=op.f("fk_webhook_attempt_delivery_id_webhook_delivery"),
        ),
        sa.PrimaryKeyConstraint("delivery_id", "attempt_no", name=op.f("pk_webhook_attempt")),
        info={
            "table_class": "hospital",
            "reason": "belongs to the tenant that is told: hospital_id is null for a city or a county",
        },
    )
    for wall in WALLS:
        for statement in statements(wall):
            op.execute(statement)
    for table in _APPEND_ONLY:
        op.execute(append_only(table))
    op.drop_constraint(op.f("ck_case_hold_kind"), "case_hold", type_="check")
    op.create_check_constraint(op.f("ck_case_hold_kind"), "case_hold", "kind in ('returned', 'voided', 'frozen')")
    op.drop_constraint(op.f("ck_case_hold_window"), "case_hold", type_="check")
    op.create_check_constraint(op.f("ck_case_hold_window"), "case_hold", "kind <> 'returned' or due_on is not null")
    op.execute(f"grant insert on case_hold to {WORKER}")
    op.execute(
        f"create policy case_hold_insert_{WORKER} on case_hold for insert to {WORKER} "
        f"with check ({READS['hospital'][WORKER]})"
    )


def downgrade() -> None:
    op.execute(f"drop policy case_hold_insert_{WORKER} on case_hold")
    op.execute(f"revoke insert on case_hold from {WORKER}")
    op.drop_constraint(op.f("ck_case_hold_window"), "case_hold", type_="check")
    op.create_check_constraint(op.f("ck_case_hold_window"), "case_hold", "kind = 'voided' or due_on is not null")
    op.drop_constraint(op.f("ck_case_hold_kind"), "case_hold", type_="check")
    op.create_check_constraint(op.f("ck_case_hold_kind"), "case_hold", "kind in ('returned', 'voided')")
    for table in reversed(_APPEND_ONLY):
        op.execute(f"drop trigger {table}_append_only on {table}")
    for wall in reversed(WALLS):
        for statement in lowering(wall):
            op.execute(statement)
    op.drop_table("webhook_attempt")
    op.drop_table("webhook_secret")
    op.drop_index("uq_webhook_delivery_event", table_name="webhook_delivery")
    op.drop_index("ix_webhook_delivery_tenant", table_name="webhook_delivery")
    op.drop_index("ix_webhook_delivery_due", table_name="webhook_delivery")
    op.drop_table("webhook_delivery")
    op.drop_table("quality_league_row")
    op.drop_index("ix_webhook_endpoint_tenant", table_name="webhook_endpoint")
    op.drop_table("webhook_endpoint")
    op.drop_table("tenant_event")
    op.drop_index("uq_quality_league_live", table_name="quality_league")
    op.drop_table("quality_league")
    op.drop_index("ix_job_timer_due_at", table_name="job_timer")
    op.drop_table("job_timer")
    op.drop_table("event_stream")
