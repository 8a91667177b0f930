"""The typed client: its operations fit the committed schema; generated in an environment of its own, it type-checks and submits a file."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from graphql import build_schema, parse, validate

from builders.served import served
from builders.submission_place import Place, ndjson, open_place
from builders.world import World

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "docs/integrate/client"
SCHEMA = ROOT / "graphql/fenzhi_graphql/schema.graphql"
INSTALL_S = 300


def test_the_operations_fit_the_committed_schema() -> None:
    schema = build_schema(SCHEMA.read_text(encoding="utf-8"))
    document = parse((CLIENT / "operations.graphql").read_text(encoding="utf-8"))
    assert len(document.definitions) == 6
    assert validate(schema, document) == []


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    return await open_place(world, "V2")


@pytest_asyncio.fixture(loop_scope="session")
async def address(place: Place) -> AsyncIterator[str]:
    async with served(place.world) as found:
        yield found


def tools(folder: Path) -> Path:
    """The bin folder of an environment with the generator: the one named by FENZHI_CLIENT_TOOLS, else a new one."""
    given = os.environ.get("FENZHI_CLIENT_TOOLS", "")
    if given:
        return Path(given)
    made = subprocess.run([sys.executable, "-m", "venv", str(folder)], check=False, timeout=INSTALL_S)
    install = [str(folder / "bin/pip"), "install", "-q", "-r", str(CLIENT / "requirements.txt")]
    if made.returncode:
        pytest.skip("the typed client is not generated here: this Python makes no environment (venv)")
    installed = subprocess.run(install, check=False, timeout=INSTALL_S, capture_output=True, text=True)
    if installed.returncode:
        said = (installed.stderr.strip().splitlines() or ["pip failed"])[-1]
        pytest.skip(f"the typed client is not generated here: its tools cannot be installed ({said[:200]})")
    return folder / "bin"


@pytest.mark.battery
async def test_the_generated_client_type_checks_and_submits(place: Place, address: str, tmp_path: Path) -> None:
    programs = await asyncio.to_thread(tools, tmp_path / "tools")
    folder = tmp_path / "docs/integrate/client"
    shutil.copytree(CLIENT, folder)
    (tmp_path / "graphql/fenzhi_graphql").mkdir(parents=True)
    shutil.copy(SCHEMA, tmp_path / "graphql/fenzhi_graphql/schema.graphql")

    def run(*command: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(programs / command[0]), *command[1:]],
            cwd=folder, env={"PATH": os.defpath, **env}, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    made = await asyncio.to_thread(run, "ariadne-codegen", "--config", "codegen.toml")
    assert made.returncode == 0, made.stdout + made.stderr
    checked = await asyncio.to_thread(run, "mypy", "--strict", "submit.py", "fenzhi_client")
    assert checked.returncode == 0, checked.stdout
    (folder / "lists.ndjson").write_bytes(ndjson([place.listed("TYPED1"), place.listed("TYPED2", insutype="999")]))
    token = (await place.submitter()).http.headers["authorization"].removeprefix("Bearer ")
    sent = await asyncio.to_thread(
        lambda: run("python", "submit.py", "lists.ndjson", FENZHI_URL=address, FENZHI_TOKEN=token)
    )
    assert (sent.returncode, sent.stdout) == (1, "accepted 1, refused 1\n"), sent.stderr
