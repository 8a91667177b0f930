"""Identity (身份): issuers, clients, factors, lockout.

Revision ID: 2026_11_22_identity
Revises: 2026_11_22_audit_chain
"""

from __future__ import annotations

from alembic import op

from fenzhi_migrations.walls import Wall, lowering, statements

revision = "2026_11_22_identity"
down_revision = "2026_11_22_audit_chain"
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
