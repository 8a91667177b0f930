"""Review of special cases (特例单议), payment modes and statements between areas.

Revision ID: 2026_11_22_special_review
Revises: 2026_11_22_clearing_year
"""

from __future__ import annotations

from alembic import op

from fenzhi_migrations.walls import Wall, lowering, statements

revision = "2026_11_22_special_review"
down_revision = "2026_11_22_clearing_year"
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
