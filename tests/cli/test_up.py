"""The platform as a person runs it: up, status, tokens, crashes, down; each command a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import psutil
import pytest

from fenzhi.cli.servers import ServerAddresses

SECONDS = 120


@dataclass(frozen=True, slots=True)
class Shell:
    """A person's shell: one state folder, one environment."""

    state_dir: Path
    env: dict[str, str]

    def fenzhi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "fenzhi", *arguments],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        done = self.fenzhi(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not holds():
            assert time.monotonic() < deadline, (self.state_dir / "logs" / "supervisor.log").read_text(encoding="utf-8")
            time.sleep(0.1)


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def ready(api_url: str) -> bool:
    try:
        return httpx.get(f"{api_url}/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def bare(open_folder: Path) -> Iterator[Shell]:
    """A machine without any server of its own."""
    state_dir = open_folder / f"up-{uuid.uuid4().hex[:8]}"
    env = {name: value for name, value in os.environ.items() if not name.startswith("FENZHI_")}
    shell = Shell(state_dir, {**env, "FENZHI_STATE_DIR": str(state_dir)})
    yield shell
    shell.fenzhi("down")
    shutil.rmtree(state_dir, ignore_errors=True)


@pytest.fixture
def shell(bare: Shell, new_database: Callable[..., ServerAddresses]) -> Shell:
    """A machine whose servers are given by DSN."""
    given = new_database(migrated=True)
    bare.env.update(
        FENZHI_DATABASE_URL=given.owner_dsn, FENZHI_APP_DATABASE_URL=given.app_dsn, FENZHI_REDIS_URL=given.redis_url
    )
    return bare


def test_a_bare_machine_runs_the_platform_and_keeps_its_data(bare: Shell) -> None:
    assert bare.fenzhi("status", "--json").returncode == 3
    done = bare.fenzhi("up", "--detach")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    status = bare.json("status")
    assert set(status) >= {"api_url", "owner_dsn", "app_dsn", "redis_url", "pids"}
    assert set(status["pids"]) == {"supervisor", "api", "worker", "postgres", "valkey"}
    assert all(alive(pid) for pid in status["pids"].values())
    assert ready(status["api_url"])
    assert set(status["metrics_urls"]) == {"api", "worker"}
    for part, url in status["metrics_urls"].items():
        assert f'fenzhi_build_info{{part="{part}",' in httpx.get(url, trust_env=False).text
        assert httpx.get(url.replace("/metrics", "/healthz"), trust_env=False).text == "alive"
    assert httpx.get(f"{status['api_url']}/metrics", trust_env=False).status_code == 404, "not on the port of clients"
    assert bare.json("tenants")[0] | {"name": ""} == {
        "code": "operator",
        "name": "",
        "kind": "operator",
        "parent": None,
    }

    token = bare.json("token", "--tenant", "operator", "--role", "operator_admin")
    keys = jwt.PyJWKSet.from_json((bare.state_dir / "keys" / "development-issuer.jwks.json").read_text("utf-8")).keys
    claims = jwt.decode(token["token"], keys[0], algorithms=["ES256"], audience="fenzhi", issuer="fenzhi-development")
    assert (claims["tid"], claims["role"], claims["sub"]) == (
        "operator",
        "operator_admin",
        "dev:operator:operator_admin",
    )
    assert bare.fenzhi("token", "--tenant", "operator", "--role", "emperor").returncode == 2
    assert bare.fenzhi("token", "--tenant", "nowhere", "--role", "hospital_viewer").returncode == 2

    doctor = bare.json("doctor")
    assert doctor["ok"] is True
    assert {"API_PORT", "POSTGRES", "APPLICATION_ROLE", "MIGRATIONS", "REDIS"} <= {
        finding["code"] for finding in doctor["findings"]
    }
    assert bare.fenzhi("down").returncode == 0
    assert not any(alive(pid) for pid in status["pids"].values())
    assert bare.fenzhi("status", "--json").returncode == 3

    assert bare.fenzhi("up", "--detach").returncode == 0
    again = bare.json("status")
    assert (again["api_url"], again["app_dsn"]) == (status["api_url"], status["app_dsn"])


def test_what_dies_is_started_again(shell: Shell) -> None:
    assert shell.fenzhi("up", "--detach").returncode == 0
    before = shell.json("status")
    assert set(before["pids"]) == {"supervisor", "api", "worker"}
    for name in ("api", "worker"):
        os.kill(before["pids"][name], signal.SIGKILL)

    def renewed() -> bool:
        pids = shell.json("status")["pids"]
        return all(pids[name] != before["pids"][name] and alive(pids[name]) for name in ("api", "worker"))

    shell.until(renewed)
    shell.until(lambda: ready(before["api_url"]))
    assert shell.json("status")["api_url"] == before["api_url"]


def test_a_second_up_leaves_the_first_alone(shell: Shell) -> None:
    assert shell.fenzhi("up", "--detach").returncode == 0
    before = shell.json("status")
    assert shell.fenzhi("up", "--detach").returncode == 0
    refused = shell.fenzhi("up")
    assert refused.returncode == 2
    assert "ALREADY_RUNNING" in refused.stderr
    assert shell.json("status") == before
    assert ready(before["api_url"])


def test_the_api_and_the_worker_never_learn_the_owners_password(shell: Shell) -> None:
    assert shell.fenzhi("up", "--detach").returncode == 0
    status = shell.json("status")
    for name in ("api", "worker"):
        env = psutil.Process(status["pids"][name]).environ()
        assert "FENZHI_DATABASE_URL" not in env
        assert env["FENZHI_APP_DATABASE_URL"] == status["app_dsn"]


def test_down_ends_what_a_killed_supervisor_left(shell: Shell) -> None:
    assert shell.fenzhi("up", "--detach").returncode == 0
    pids = shell.json("status")["pids"]
    os.kill(pids["supervisor"], signal.SIGKILL)
    shell.until(lambda: not alive(pids["supervisor"]))
    assert (alive(pids["api"]), alive(pids["worker"])) == (True, True)
    assert shell.fenzhi("status").returncode == 3
    assert shell.fenzhi("down").returncode == 0
    assert (alive(pids["api"]), alive(pids["worker"])) == (False, False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_the_foreground_a_signal_stops_everything(shell: Shell, number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-m", "fenzhi", "up"], env=shell.env, stderr=subprocess.PIPE) as running:
        shell.until(lambda: shell.fenzhi("status").returncode == 0)
        pids = shell.json("status")["pids"]
        running.send_signal(number)
        assert running.wait(SECONDS) == 0
    assert not any(alive(pid) for pid in pids.values())


def test_a_taken_port_is_refused_by_name(shell: Shell) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        shell.env["FENZHI_API_PORT"] = str(holder.getsockname()[1])
        for arguments in (["up"], ["up", "--detach"]):
            refused = shell.fenzhi(*arguments)
            assert refused.returncode == 2
            assert "PORT_TAKEN" in refused.stderr
    assert shell.fenzhi("status").returncode == 3


def test_without_any_issuer_nothing_starts(shell: Shell) -> None:
    shell.env["FENZHI_API_HOST"] = "0.0.0.0"
    refused = shell.fenzhi("up")
    assert refused.returncode == 2
    assert "NO_TOKEN_ISSUER" in refused.stderr
