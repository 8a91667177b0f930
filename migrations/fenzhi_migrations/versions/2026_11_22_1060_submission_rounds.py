"""Rounds of submission (清单流转): levels of review, returns, deadlines, the national adapter.

Revision ID: 2026_11_22_submission_rounds
Revises: 2026_11_22_special_review
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from fenzhi_migrations.walls import (
    AREA,
    COUNTY,
    HOSPITAL,
    PROVINCE,
    READS,
    WORKER,
    Wall,
    append_only,
    lowering,
    statements,
)

revision = "2026_11_22_submission_rounds"
down_revision = "2026_11_22_special_review"
branch_labels = None
depends_on = None

_MOVE = (
    "state",
    "version",
    "waits_for",
    "filed_by",
    "filed_by_person",
    "reviewed_by_person",
    "batch_id",
    "submitted_at",
)
WALLS: tuple[Wall, ...] = (
    Wall(
        "filed_list",
        "hospital",
        insert=(HOSPITAL,),
        update={
            HOSPITAL: _MOVE,
            AREA: ("state", "returns", "waits_for"),
            COUNTY: ("state", "returns"),
            WORKER: ("state", "batch_id", "case_id", "judged_at", "waits_for"),
        },
        hidden_from=(PROVINCE,),
    ),
    Wall("filed_text", "hospital", insert=(HOSPITAL,), hidden_from=(PROVINCE, COUNTY, AREA)),
    Wall("filed_move", "hospital", insert=(HOSPITAL, AREA, COUNTY, WORKER), hidden_from=(PROVINCE,)),
    Wall("settlement_record", "hospital", insert=(AREA,), hidden_from=(PROVINCE, COUNTY)),
    Wall("case_hold", "hospital", insert=(AREA, COUNTY, HOSPITAL)),
    Wall("case_release", "hospital", insert=(AREA, COUNTY)),
    Wall("crosswalk_entry", "province", insert=(PROVINCE,)),
    Wall("message_key", "hospital", insert=(AREA,), hidden_from=(PROVINCE, COUNTY, WORKER)),
)
_APPEND_ONLY = (
    "crosswalk_entry",
    "filed_text",
    "filed_move",
    "settlement_record",
    "case_hold",
    "case_release",
    "message_key",
)
_GATHERED = ("batch", "batch_part")
"""What a worker makes as well, when it gathers the lists a hospital submitted one by one."""


def upgrade() -> None:
    op.create_table(
        "case_hold",
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=False),
        sa.Column("hold_id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("setl_id", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("held_by", sa.Uuid(), nullable=True),
        sa.Column("held_by_person", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind = 'voided' or due_on is not null", name=op.f("ck_case_hold_window")),
        sa.CheckConstraint("kind in ('returned', 'voided')", name=op.f("ck_case_hold_kind")),
        sa.PrimaryKeyConstraint("hold_id", name=op.f("pk_case_hold")),
        info={"table_class": "hospital", "reason": ""},
    )
    op.create_index("ix_case_hold_case_id", "case_hold", ["area_id", "case_id"], unique=False)
    op.create_table(
        "filed_list",
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=False),
        sa.Column("list_id", sa.Uuid(), nullable=False),
        sa.Column("setl_id", sa.Text(collation="C"), nullable=False),
        sa.Column("person_index", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("channel", sa.Text(collation="C"), nullable=False),
        sa.Column("waits_for", sa.Text(collation="C"), server_default=sa.text("''"), nullable=False),
        sa.Column("filed_by", sa.Uuid(), nullable=True),
        sa.Column("filed_by_person", sa.Uuid(), nullable=True),
        sa.Column("reviewed_by_person", sa.Uuid(), nullable=True),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        sa.Column("case_id", sa.Uuid(), nullable=True),
        sa.Column("returns", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("channel in ('national', 'entry')", name=op.f("ck_filed_list_channel")),
        sa.CheckConstraint(
            "state in ('draft', 'reviewed', 'submitted', 'judged', 'passed', 'rejected', 'returned')",
            name=op.f("ck_filed_list_state"),
        ),
        sa.CheckConstraint("waits_for in ('', 'settlement_record')", name=op.f("ck_filed_list_waits_for")),
        sa.CheckConstraint(
            "reviewed_by_person is distinct from filed_by_person or reviewed_by_person is null",
            name=op.f("ck_filed_list_eyes"),
        ),
        sa.PrimaryKeyConstraint("list_id", name=op.f("pk_filed_list")),
        sa.UniqueConstraint(
            "area_id", "hospital_id", "setl_id", name=op.f("uq_filed_list_area_id_hospital_id_setl_id")
        ),
        info={"table_class": "hospital", "reason": ""},
    )
    op.create_index("ix_filed_list_batch_id", "filed_list", ["batch_id"], unique=False)
    op.create_index("ix_filed_list_waiting", "filed_list", ["area_id", "hospital_id", "state", "list_id"], unique=False)
    op.create_table(
        "message_key",
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=False),
        sa.Column("message_key_id", sa.Uuid(), nullable=False),
        sa.Column("signature", sa.Text(collation="C"), nullable=False),
        sa.Column("key_id", sa.Text(collation="C"), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=False),
        sa.Column("registered_by", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("signature in ('SM3', 'SM2')", name=op.f("ck_message_key_signature")),
        sa.CheckConstraint("valid_from <= valid_to", name=op.f("ck_message_key_dates")),
        sa.PrimaryKeyConstraint("message_key_id", name=op.f("pk_message_key")),
        info={"table_class": "hospital", "reason": ""},
    )
    op.create_index("ix_message_key_hospital_id", "message_key", ["area_id", "hospital_id", "valid_from"], unique=False)
    op.create_table(
        "settlement_record",
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=False),
        sa.Column("setl_id", sa.Text(collation="C"), nullable=False),
        sa.Column("record_no", sa.Integer(), nullable=False),
        sa.Column("payers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("imported_by", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("area_id", "hospital_id", "setl_id", "record_no", name=op.f("pk_settlement_record")),
        info={"table_class": "hospital", "reason": ""},
    )
    op.create_table(
        "case_release",
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=False),
        sa.Column("hold_id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("released_by", sa.Uuid(), nullable=True),
        sa.Column("released_by_person", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["hold_id"], ["case_hold.hold_id"], name=op.f("fk_case_release_hold_id_case_hold")),
        sa.PrimaryKeyConstraint("hold_id", name=op.f("pk_case_release")),
        info={"table_class": "hospital", "reason": ""},
    )
    op.create_index("ix_case_release_case_id", "case_release", ["area_id", "case_id"], unique=False)
    op.create_table(
        "filed_move",
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=False),
        sa.Column("move_id", sa.Uuid(), nullable=False),
        sa.Column("list_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.Text(collation="C"), nullable=False),
        sa.Column("from_state", sa.Text(collation="C"), nullable=False),
        sa.Column("to_state", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("moved_by", sa.Uuid(), nullable=True),
        sa.Column("moved_by_person", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["list_id"], ["filed_list.list_id"], name=op.f("fk_filed_move_list_id_filed_list")),
        sa.PrimaryKeyConstraint("move_id", name=op.f("pk_filed_move")),
        info={"table_class": "hospital", "reason": ""},
    )
    op.create_index("ix_filed_move_list_id", "filed_move", ["list_id", "move_id"], unique=False)
    op.create_table(
        "filed_text",
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("county_id", sa.Integer(), nullable=True),
        sa.Column("hospital_id", sa.Integer(), nullable=False),
        sa.Column("list_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(collation="C"), nullable=False),
        sa.Column("sealed_bytes", sa.LargeBinary(), nullable=False),
        sa.Column("filed_by", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["list_id"], ["filed_list.list_id"], name=op.f("fk_filed_text_list_id_filed_list")),
        sa.PrimaryKeyConstraint("list_id", "version", name=op.f("pk_filed_text")),
        info={"table_class": "hospital", "reason": ""},
    )
    op.create_table(
        "crosswalk_entry",
        sa.Column("province_id", sa.Integer(), nullable=False),
        sa.Column("code_table_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("source_code", sa.Text(collation="C"), nullable=False),
        sa.Column("target_code", sa.Text(collation="C"), nullable=False),
        sa.CheckConstraint("kind in ('diagnosis', 'procedure')", name=op.f("ck_crosswalk_entry_kind")),
        sa.ForeignKeyConstraint(
            ["code_table_id"], ["code_table.code_table_id"], name=op.f("fk_crosswalk_entry_code_table_id_code_table")
        ),
        sa.PrimaryKeyConstraint("code_table_id", "kind", "source_code", name=op.f("pk_crosswalk_entry")),
        info={"table_class": "province", "reason": ""},
    )
    op.drop_constraint(op.f("ck_code_table_kind"), "code_table", type_="check")
    op.create_check_constraint(
        op.f("ck_code_table_kind"), "code_table", "kind in ('diagnosis', 'procedure', 'crosswalk')"
    )
    for wall in WALLS:
        for statement in statements(wall):
            op.execute(statement)
    for table in _APPEND_ONLY:
        op.execute(append_only(table))
    for table in _GATHERED:
        op.execute(f"grant insert on {table} to {WORKER}")
        op.execute(
            f"create policy {table}_insert_{WORKER} on {table} for insert to {WORKER} "
            f"with check ({READS['hospital'][WORKER]})"
        )


def downgrade() -> None:
    for table in _GATHERED:
        op.execute(f"drop policy {table}_insert_{WORKER} on {table}")
        op.execute(f"revoke insert on {table} from {WORKER}")
    for table in reversed(_APPEND_ONLY):
        op.execute(f"drop trigger {table}_append_only on {table}")
    for wall in reversed(WALLS):
        for statement in lowering(wall):
            op.execute(statement)
    op.drop_constraint(op.f("ck_code_table_kind"), "code_table", type_="check")
    op.create_check_constraint(op.f("ck_code_table_kind"), "code_table", "kind in ('diagnosis', 'procedure')")
    op.drop_table("crosswalk_entry")
    op.drop_table("filed_text")
    op.drop_index("ix_filed_move_list_id", table_name="filed_move")
    op.drop_table("filed_move")
    op.drop_index("ix_case_release_case_id", table_name="case_release")
    op.drop_table("case_release")
    op.drop_table("settlement_record")
    op.drop_index("ix_message_key_hospital_id", table_name="message_key")
    op.drop_table("message_key")
    op.drop_index("ix_filed_list_waiting", table_name="filed_list")
    op.drop_index("ix_filed_list_batch_id", table_name="filed_list")
    op.drop_table("filed_list")
    op.drop_index("ix_case_hold_case_id", table_name="case_hold")
    op.drop_table("case_hold")
