"""Jobs, idempotency keys and the audit trail (作业、幂等键、审计)."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, PrimaryKeyConstraint, Table, text

from fenzhi.store.tables.base import (
    TableClass,
    big,
    code,
    document,
    key,
    metadata,
    moment,
    octets,
    recorded_at,
    small,
    uuid_,
    walled,
    whole,
    words,
)

job = Table(
    "job",
    metadata,
    key("job_id"),
    code("kind", nullable=False),
    code("tenant", nullable=False),
    whole("province_id"),
    whole("area_id"),
    whole("county_id"),
    whole("hospital_id"),
    document("payload", nullable=False),
    code("state", nullable=False, server_default="queued"),
    small("attempt", nullable=False, server_default=text("0")),
    small("max_attempts", nullable=False, server_default=text("5")),
    moment("lease_until"),
    moment("not_before"),
    big("progress_done", nullable=False, server_default=text("0")),
    big("progress_total", nullable=False, server_default=text("0")),
    code("error_code"),
    words("error_zh"),
    words("error_en"),
    document("result"),
    uuid_("requested_by"),
    uuid_("requested_by_person"),
    moment("started_at"),
    moment("finished_at"),
    recorded_at(),
    PrimaryKeyConstraint("job_id"),
    CheckConstraint("state in ('queued', 'running', 'done', 'refused', 'dead')", name="state"),
    Index("ix_job_open", "state", "lease_until", postgresql_where=text("state in ('queued', 'running')")),
    Index("ix_job_tenant", "tenant", "job_id"),
    info=walled(TableClass.HOSPITAL, "seen by the level that asked and by the levels above it within the area"),
)

idempotency_key = Table(
    "idempotency_key",
    metadata,
    code("tenant", nullable=False),
    code("client", nullable=False),
    code("key", nullable=False),
    code("operation", nullable=False),
    octets("request_sha256", nullable=False),
    document("response", nullable=False),
    recorded_at(),
    PrimaryKeyConstraint("tenant", "client", "key"),
    info=walled(TableClass.PLATFORM, "walled by the acting tenant's code, whatever its level"),
    postgresql_partition_by="HASH (tenant, client, key)",
)

worker_heartbeat = Table(
    "worker_heartbeat",
    metadata,
    code("worker", nullable=False),
    code("version", nullable=False),
    moment("beat_at", nullable=False),
    PrimaryKeyConstraint("worker"),
    info=walled(TableClass.PLATFORM, "liveness of workers; no tenant's data"),
)
