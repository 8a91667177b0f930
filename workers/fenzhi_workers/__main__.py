"""`python -m fenzhi_workers` (作业进程入口)."""

from __future__ import annotations

import asyncio
import base64

from fenzhi.access.webhook_hosts import WebhookHosts
from fenzhi.logs import configure_logging
from fenzhi.services.opening import open_platform
from fenzhi.services.submission.judging_desks import OF_THIS_PROCESS
from fenzhi.settings import Settings
from fenzhi.telemetry.exposition import metrics_at
from fenzhi.telemetry.traces import tracing
from fenzhi_workers.worker import work


async def _main(settings: Settings) -> None:
    if settings.app_database_url is None or settings.redis_url is None or settings.master_key is None:
        raise ValueError("FENZHI_APP_DATABASE_URL, FENZHI_REDIS_URL and FENZHI_MASTER_KEY must be set")
    redis_url = settings.redis_url.get_secret_value()
    async with open_platform(
        settings.app_database_url.get_secret_value(),
        redis_url,
        base64.b64decode(settings.master_key.get_secret_value(), validate=True),
        is_development=settings.development,
        pool_size=settings.worker_concurrency * 2 + 4,
        application="fenzhi-worker",
        lease_s=settings.worker_lease_s,
        audit_digest=settings.audit_digest,
        anchor_file=settings.audit_anchor_file,
        webhook_hosts=WebhookHosts.of(settings.webhook_hosts, settings.webhook_networks),
        webhook_ca_file=settings.webhook_ca_file,
        idle_in_transaction_s=120,
    ) as platform:
        with (
            metrics_at("worker", settings.metrics_host, settings.metrics_port),
            tracing(settings.otlp_endpoint, "fenzhi-worker", settings.trace_one_in),
        ):
            OF_THIS_PROCESS.open(settings.judging_processes, settings.judging_nice, platform.keyring)
            try:
                await work(platform, redis_url, settings.worker_concurrency, settings.worker_drain_s)
            finally:
                await OF_THIS_PROCESS.close()


def main() -> None:
    """Start one worker from the environment."""
    settings = Settings()
    configure_logging(settings.log_level)
    asyncio.run(_main(settings))


if __name__ == "__main__":
    main()
