"""The catalog desk (目录维护): opinions, provisional groups, regroup tasks, previews.

Revision ID: 2026_11_22_catalog_desk
Revises: 2026_11_22_identity
"""

from __future__ import annotations

from alembic import op

from fenzhi_migrations.walls import Wall, lowering, statements

revision = "2026_11_22_catalog_desk"
down_revision = "2026_11_22_identity"
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
