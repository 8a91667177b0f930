"""What payment modes and subtypes look at of a case (支付方式所需病例事实), how each case of a run was paid, and what controls hold back.

Columns without a default on tables that stand: nothing is rewritten, and a case of before says nothing rather than zero.

Revision ID: 2026_11_22_case_facts_for_modes
Revises: 2026_11_22_audit_indexes
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_case_facts_for_modes"
down_revision = "2026_11_22_audit_indexes"
branch_labels = None
depends_on = None

COLUMNS = (
    ("inpatient_case", "icu_minutes", sa.Integer()),
    ("inpatient_case", "discharge_department", sa.Text(collation="C")),
    ("inpatient_case", "tcm_fen", sa.BigInteger()),
    ("inpatient_case", "own_paid_fen", sa.BigInteger()),
    ("run_case", "mode", sa.Text(collation="C")),
    ("run_case", "control_fen", sa.BigInteger()),
)


def upgrade() -> None:
    for table, name, kind in COLUMNS:
        op.add_column(table, sa.Column(name, kind, nullable=True))
    op.add_column(
        "hospital_statement",
        sa.Column("control_withheld_fen", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("hospital_statement", "control_withheld_fen")
    for table, name, _kind in reversed(COLUMNS):
        op.drop_column(table, name)
