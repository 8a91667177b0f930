"""Arrows point inward: the contracts of pyproject.toml, and two things they cannot say."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("platform", "graphql", "workers", "migrations")


def modules(room: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((ROOT / room).rglob("*.py")):
        yield path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_the_import_contracts_hold() -> None:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_settings_are_read_by_the_shells_only() -> None:
    """Everyone else receives values: a service that reads the environment cannot be tested or explained."""
    allowed = ("platform/fenzhi/cli/", "platform/fenzhi/settings.py", "graphql/", "workers/", "migrations/")
    found = [
        str(path)
        for room in ROOMS
        for path, tree in modules(room)
        if not str(path).startswith(allowed)
        and any(name == "fenzhi.settings" or name.startswith("fenzhi.settings.") for name in imported(tree))
    ]
    assert found == []


def test_arq_is_imported_behind_one_port() -> None:
    """Upstream is in maintenance: leaving it must stay cheap (ADR-0010)."""
    found = {
        str(path)
        for room in ROOMS
        for path, tree in modules(room)
        if any(name.partition(".")[0] == "arq" for name in imported(tree))
    }
    assert {path for path in found if not path.startswith("workers/")} <= {"platform/fenzhi/outbox/arq_queue.py"}


@pytest.mark.parametrize("room", ROOMS)
def test_no_middleware_that_buffers(room: str) -> None:
    """BaseHTTPMiddleware breaks streaming, context variables and cancellation: middleware is plain ASGI."""
    found = [
        str(path) for path, tree in modules(room) if any(name.endswith("BaseHTTPMiddleware") for name in imported(tree))
    ]
    assert found == []


@pytest.mark.parametrize("room", ROOMS)
def test_no_folder_is_imported_as_a_package(room: str) -> None:
    """`import platform.fenzhi` would make a second copy of every module."""
    copies = tuple(f"{folder}.fenzhi" for folder in ROOMS)
    found = [str(path) for path, tree in modules(room) if any(name.startswith(copies) for name in imported(tree))]
    assert found == []
