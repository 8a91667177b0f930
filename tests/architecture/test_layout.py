"""Everything in its room (ADR-0002): folders that must not be packages, modules that must not be shadowed."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import graphql
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("folder", ["platform", "graphql", "workers", "migrations", "tests", "helm"])
def test_mandated_folders_are_not_packages(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists(), (
        f"{folder}/__init__.py shadows a module of that name: delete it"
    )


def test_no_folder_of_tests_is_a_package() -> None:
    """One `__init__.py` in tests/graphql or tests/platform breaks every import of the real one."""
    assert sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("__init__.py")) == []


def test_the_real_modules_win() -> None:
    assert hasattr(platform, "system")
    assert graphql.version_info[0] == 3  # An empty namespace package has no version.
    assert graphql.__file__ is not None
    assert ROOT / "graphql" not in Path(graphql.__file__).parents


@pytest.mark.parametrize(
    ("folder", "package"),
    [
        ("platform", "fenzhi"),
        ("graphql", "fenzhi_graphql"),
        ("workers", "fenzhi_workers"),
        ("migrations", "fenzhi_migrations"),
    ],
)
def test_a_mandated_folder_holds_its_package_and_nothing_else(folder: str, package: str) -> None:
    """Editable installs put the folder itself on the import path: whatever else lies there becomes importable."""
    found = {path.name for path in (ROOT / folder).iterdir()} - {"README.md", "__pycache__"}
    assert found == {package}


def test_no_module_is_named_by_its_pattern() -> None:
    banned = {"utils", "helpers", "manager", "common", "misc", "base_classes"}
    rooms = ("platform", "graphql", "workers", "migrations", "tests")
    found = [path.relative_to(ROOT) for room in rooms for path in (ROOT / room).rglob("*.py") if path.stem in banned]
    assert found == []


def test_the_lock_file_names_no_registry() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "==" in text
    assert [line for line in text.splitlines() if "://" in line or "--index" in line or "--find-links" in line] == []
    assert "--hash=sha256:" in text


def test_no_committed_lock_of_another_tool() -> None:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a checkout")
    banned = {"uv.lock", "poetry.lock", "Pipfile.lock", ".pypirc", "pip.conf"}
    assert [name for name in done.stdout.splitlines() if name.rpartition("/")[2] in banned] == []
