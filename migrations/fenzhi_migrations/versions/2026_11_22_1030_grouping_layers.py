"""Layers of grouping (分组层级): what edition 3.0 adds.

Revision ID: 2026_11_22_grouping_layers
Revises: 2026_11_22_catalog_desk
"""

from __future__ import annotations

from alembic import op

from fenzhi_migrations.walls import Wall, lowering, statements

revision = "2026_11_22_grouping_layers"
down_revision = "2026_11_22_catalog_desk"
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
