"""Events of submission (事件): webhooks, league, simulations.

Revision ID: 2026_11_22_submission_events
Revises: 2026_11_22_submission_rounds
"""

from __future__ import annotations

from alembic import op

from fenzhi_migrations.walls import Wall, lowering, statements

revision = "2026_11_22_submission_events"
down_revision = "2026_11_22_submission_rounds"
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
