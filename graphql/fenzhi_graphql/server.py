"""The server of the API (接口服务器): uvicorn, one process, with deadlines for its connections."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import uvicorn

from fenzhi.logs import configure_logging
from fenzhi.settings import Settings
from fenzhi_graphql.connections import Patience, bounded

APP = "fenzhi_graphql.app:create_app"
KEEP_ALIVE_S = 75
"""Longer than a proxy keeps a connection to us (60 s), so that no request meets a connection that is just being closed."""
GRACEFUL_S = 25
"""What requests under way may take when the process is told to go (停机宽限)."""


def server(settings: Settings, patience: Patience | None = None, app: Any = APP) -> uvicorn.Server:
    """The server for these settings (接口服务器)."""
    given = patience or replace(Patience(), connections_most=settings.api_connections_most)
    return uvicorn.Server(
        uvicorn.Config(
            app,
            factory=app == APP,
            host=settings.api_host,
            port=settings.api_port,
            loop="uvloop",
            http=bounded(given),
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACEFUL_S,
            access_log=False,
            server_header=False,
            log_config=None,
        )
    )


def main(arguments: list[str] | None = None) -> None:
    """Serve the API from the environment (启动接口); `--host` and `--port` win over it."""
    given = argparse.ArgumentParser(prog="fenzhi_graphql")
    given.add_argument("--host")
    given.add_argument("--port", type=int)
    said = given.parse_args(arguments)
    changes = {name: value for name, value in (("api_host", said.host), ("api_port", said.port)) if value is not None}
    settings = Settings(**changes)
    configure_logging(settings.log_level)
    server(settings).run()
