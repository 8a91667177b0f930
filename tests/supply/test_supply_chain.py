"""The lock, the licences, the audit's honesty, and no secret in the tree."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from supply_chain import (
    ALLOWED,
    NOT_HERE,
    PAGE,
    ROOT,
    RUNTIME,
    TOOLS,
    accepted,
    canonical,
    installed_version,
    judged,
    licences,
    locked,
    page,
    runtime_lock,
    shipped,
)


def test_every_licence_is_allowed_and_on_the_page() -> None:
    rows, wrong = licences()
    assert wrong == []
    assert PAGE.read_text(encoding="utf-8") == page(rows), "make licences"
    assert [package for package, _, _ in rows] == locked()


def test_what_runs_is_what_is_locked() -> None:
    versions = {package.name: package.version for package in locked()}
    assert shipped() <= set(versions)
    differing = {name: installed_version(name) for name in shipped() - set(NOT_HERE)}
    assert {name: version for name, version in differing.items() if version != versions[name]} == {}


def test_the_lock_of_an_image_is_the_part_that_runs() -> None:
    text = RUNTIME.read_text(encoding="utf-8")
    assert text == runtime_lock(), "make licences"
    names = set(re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE))
    assert {canonical(name) for name in names} == shipped()
    assert "yamllint" not in names


def test_tools_are_not_shipped() -> None:
    assert {"ruff", "mypy", "pytest", "pip-audit", *TOOLS} & shipped() == set()
    assert {"uvicorn", "strawberry-graphql", "asyncpg", "cryptography", "duckdb", "httptools"} <= shipped()
    assert not any("GPL" in licence for licence in ALLOWED.values())


@pytest.mark.parametrize(
    ("name", "licence", "expected"),
    [
        ("a", "MIT License", "MIT"),
        ("a", "MIT AND PSF-2.0", "MIT AND PSF-2.0"),
        ("a", "Apache Software License; MIT License", "Apache-2.0 AND MIT"),
        ("a", "MIT OR GPL-3.0-or-later", None),
        ("a", "GPL-3.0-or-later", None),
        ("yamllint", "GPL-3.0-or-later", "GPL-3.0-or-later"),
        ("yamllint", "AGPL-3.0", None),
        ("a", "UNKNOWN", None),
        ("a", "", None),
    ],
)
def test_which_licences_are_allowed(name: str, licence: str, expected: str | None) -> None:
    assert accepted(name, licence) == expected


def test_every_package_of_the_lock_is_held_by_hashes() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
    assert len(entries) == len(locked())
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_an_audit_that_knew_nothing_is_no_audit() -> None:
    """The tool says "no known vulnerabilities" of packages it could not look up."""
    skipped = {"name": "a", "skip_reason": "Dependency not found"}
    clean = {"name": "b", "version": "1", "vulns": []}
    bad = {"name": "c", "version": "2", "vulns": [{"id": "PYSEC-1"}]}

    def said(*packages: object) -> tuple[str, list[str]]:
        return judged(json.dumps({"dependencies": packages}), "")

    assert said(skipped, skipped) == ("unreachable", ["the service knows none of 2 packages"])
    assert said(clean) == ("clean", ["1 packages"])
    assert said(clean, skipped) == ("partly", ["not known to the service: a"])
    assert said(clean, skipped, bad) == ("vulnerable", ["c 2: PYSEC-1"])
    assert judged("", "first\nConnectionError: no route\n") == ("unreachable", ["ConnectionError: no route"])


SECRETS = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a signed token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    "a cloud key": r"\b(AKIA|ASIA|LTAI)[0-9A-Za-z]{16,}\b",
    "a token of a forge": r"\b(gh[pousr]_[A-Za-z0-9]{30,}|glpat-[A-Za-z0-9_-]{20,}|xox[baprs]-[A-Za-z0-9-]{10,})",
    "a password in an address": r"[a-z][a-z0-9+]*://[^/@:\s\"'{}<>$…\[]*:(?P<word>[^/@\s\"'{}<>$…\[]+)@",
    "a secret by its name": r"(?i)\b(password|passwd|secret|api_?key|master_?key)\w*\"?\s*[:=]\s*[\"'](?P<said>[^\"'{}$\s]{12,})[\"']",
}
MADE_UP = {"password", "secret", "word", "p", "p%40w", "p%40", "x", "b", "x%40%3A"}
"""Passwords of examples and tests; nothing that is one would be so short."""


def found_in(text: str) -> list[str]:
    """Which kinds of secrets a text holds."""
    found = []
    for what, pattern in SECRETS.items():
        for match in re.finditer(pattern, text):
            named = match.groupdict()
            said = named.get("said") or ""
            # Names of Kubernetes secrets and of variables are words, not secrets.
            if named.get("word") in MADE_UP or (said and not (re.search(r"\d", said) and re.search(r"[A-Za-z]", said))):
                continue
            if said.startswith("FENZHI_"):
                continue
            found.append(what)
    return found


def test_the_tree_holds_no_secret() -> None:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a checkout")
    holding = {}
    for name in filter(None, done.stdout.decode().split("\0")):
        path = ROOT / name
        if path == Path(__file__) or not path.is_file():
            continue
        found = found_in(path.read_bytes().decode("utf-8", "replace"))
        if found:
            holding[name] = found
    assert holding == {}


def test_no_file_of_keys_is_tracked() -> None:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a checkout")
    assert [
        name for name in done.stdout.splitlines() if re.search(r"\.(pem|key|p12|pfx|jks|env)$|/\.env|id_rsa", name)
    ] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-----BEGIN EC PRIVATE KEY-----", ["a private key"]),
        ("token = eyJhbGciOiJFUzI1NiIs.eyJzdWIiOiJhYmNkZWYi.c2lnbmF0dXJlLTEyMw", ["a signed token"]),
        ("LTAI5tABCDEFGHJKLMNPQRST", ["a cloud key"]),
        ("postgresql://fenzhi_app:Tr0ub4dor@db:5432/fenzhi", ["a password in an address"]),
        ("redis://:Tr0ub4dor3@redis:6379/0", ["a password in an address"]),
        ('master_key = "q83vEjRWeJASNFZ4kBI0VniQ"', ["a secret by its name"]),
        ("postgresql://fenzhi_app:…@db:5432/fenzhi", []),
        ('existingSecret: "fenzhi-database"', []),
        ('f"postgresql://fenzhi_app:{password}@db/x"', []),
    ],
)
def test_the_scan_sees_secrets(text: str, expected: list[str]) -> None:
    assert found_in(text) == expected
