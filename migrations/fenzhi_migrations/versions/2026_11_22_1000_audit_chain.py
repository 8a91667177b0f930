"""Chain the audit (审计链): sequence, anchors, who saw whom.

Revision ID: 2026_11_22_audit_chain
Revises: 2026_11_21_walls
"""

from __future__ import annotations

from alembic import op

from fenzhi_migrations.walls import Wall, lowering, statements

revision = "2026_11_22_audit_chain"
down_revision = "2026_11_21_walls"
branch_labels = None
depends_on = None

WALLS: tuple[Wall, ...] = ()


def upgrade() -> None:
    for wall in WALLS:
        for statement in statements(wall):
            op.execute(statement)


def downgrade() -> None:
    for wall in reversed(WALLS):
        for statement in lowering(wall):
            op.execute(statement)
