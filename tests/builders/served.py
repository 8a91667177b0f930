"""The application of a test on a real socket, for programs outside the process that speak to it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from builders.world import World


@asynccontextmanager
async def served(world: World) -> AsyncIterator[str]:
    """The address of the application, its jobs carried out as they come."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(world.app, host="127.0.0.1", port=port, log_config=None))
    serving = asyncio.create_task(server.serve())

    async def work() -> None:
        while True:
            await world.work_off()
            await asyncio.sleep(0.1)

    working = asyncio.create_task(work())
    while not server.started:
        await asyncio.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    working.cancel()
    server.should_exit = True
    await serving
