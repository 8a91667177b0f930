"""A worker may raise the number of attempts that a job is allowed (交还作业不计次): what it gives back or puts off costs the job none.

Without the grant each of the two was refused, and the job waited for its lease instead. A grant waits for nobody and rewrites nothing.

Revision ID: 2026_11_22_worker_gives_back
Revises: 2026_11_22_case_facts_for_modes
"""

from __future__ import annotations

from alembic import op

revision = "2026_11_22_worker_gives_back"
down_revision = "2026_11_22_case_facts_for_modes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("grant update (max_attempts) on job to fenzhi_worker")


def downgrade() -> None:
    op.execute("revoke update (max_attempts) on job from fenzhi_worker")
