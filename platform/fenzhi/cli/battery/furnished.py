"""A platform with something in it (有数据的平台): a small province through the whole flow, with a worker at hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fenzhi.cli.battery.stage import Stage, staged
from fenzhi.cli.demo.sources import DemoSource
from fenzhi.cli.probes.marked_source import marked_source
from fenzhi.cli.servers import ServerAddresses


@asynccontextmanager
async def at_work(
    addresses: ServerAddresses, *, migrate: bool = True, master_key: bytes = b"", instances: int = 1
) -> AsyncIterator[Stage]:
    """The stage with a worker in this process, for as long as the block lasts (带作业进程的平台)."""
    from fenzhi_workers.worker import NightShift

    async with staged(addresses, migrate=migrate, master_key=master_key, instances=instances) as stage:
        shift = NightShift(stage.platform, 2)
        tasks = [asyncio.create_task(shift.sweep()), asyncio.create_task(shift.answer_bell(addresses.redis_url))]
        try:
            yield stage
        finally:
            shift.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def furnish(stage: Stage, seed: int, *, prefix: str = "97", settle: bool = True) -> DemoSource:
    """A province from nothing to judged lists and, unless told otherwise, to published runs (布置数据)."""
    from rich.console import Console
    from rich.progress import Progress

    from fenzhi.cli.demo.steps import Demonstration

    source: DemoSource = marked_source(prefix, seed)
    with Progress(console=Console(quiet=True), disable=True) as progress:
        flow = Demonstration(stage.cast, source, progress, False)
        await (flow.run() if settle else flow.prepare())
    return source
