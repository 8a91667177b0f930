"""Indexes of the audit, made beside the traffic (审计索引): a table that grows with every request is never locked for them.

Revision ID: 2026_11_22_audit_indexes
Revises: 2026_11_22_submission_events
"""

from __future__ import annotations

from alembic import op

revision = "2026_11_22_audit_indexes"
down_revision = "2026_11_22_submission_events"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_audit_event_written_in", "audit_event (written_in)"),
    ("ix_audit_event_subjects", "audit_event using gin (subjects)"),
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # It waits for open transactions without holding anybody back; giving way would only leave an index that is not valid.
        op.execute("set lock_timeout = 0")
        for name, place in INDEXES:
            op.execute(f"drop index concurrently if exists {name}")
            op.execute(f"create index concurrently {name} on {place}")
        op.execute("set lock_timeout = '2s'")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("set lock_timeout = 0")
        for name, _place in INDEXES:
            op.execute(f"drop index concurrently if exists {name}")
        op.execute("set lock_timeout = '2s'")
