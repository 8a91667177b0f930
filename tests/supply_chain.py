"""What this product is made of (供应链): licences by an allow-list, known vulnerabilities, a bill of materials.

`python tests/supply_chain.py audit` is `make audit`; `… licences` writes docs/licences.md anew.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
RUNTIME = ROOT / "requirements-runtime.lock"
PAGE = ROOT / "docs/licences.md"
SBOM = ROOT / "dist/fenzhi.sbom.json"
REQUIRE = "FENZHI_REQUIRE_ADVISORIES"

ALLOWED = {
    "0BSD": "0BSD",
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "Apache-2.0": "Apache-2.0",
    "BSD": "BSD",
    "BSD License": "BSD",
    "BSD-2-Clause": "BSD-2-Clause",
    "BSD-3-Clause": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT": "MIT",
    "MIT License": "MIT",
    "MIT-0": "MIT-0",
    "MPL-2.0": "MPL-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "PSF-2.0": "PSF-2.0",
    "Public Domain": "Public Domain",
    "Python Software Foundation License": "PSF-2.0",
}
"""Licences that may come in (许可证白名单), as packages say them, and how they are written here."""
TOOLS = {
    "yamllint": (
        "GPL-3.0-or-later",
        "a separate program that checks YAML while this is developed; never shipped, never imported",
    )
}
"""Other licences, of tools alone, each with its reason (仅限开发工具)."""
NOT_HERE = {"async-timeout": "Apache-2.0", "colorama": "BSD-3-Clause"}
"""Packages of the lock that other systems or Pythons need, by their own statement (其他平台所需)."""


@dataclass(frozen=True, slots=True)
class Locked:
    """One package of the lock (锁定的依赖)."""

    name: str
    version: str


def canonical(name: str) -> str:
    """A name as registries compare it (规范名)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> list[Locked]:
    """Every package of the lock, in order (锁定清单)."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    return [Locked(canonical(name), version) for name, version in found]


PYTHONS = ("3.11.0", "3.11.9", "3.12.9", "3.13.5", "3.14.2")
"""Pythons under which the product may run (支持的版本); what any of them needs is shipped."""


def shipped() -> set[str]:
    """Names of what runs in production on Linux (运行时依赖): the dependencies of the project and all below them."""
    return set().union(*(_needed(python) for python in PYTHONS))


def _needed(python: str) -> set[str]:
    place = {
        **default_environment(),
        **{
            "python_full_version": python,
            "python_version": python.rpartition(".")[0],
            "implementation_version": python,
        },
        **{"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: set[str] = set()
    waiting = [Requirement(line) for line in project["dependencies"]]
    while waiting:
        wanted = waiting.pop()
        name = canonical(wanted.name)
        key = f"{name}[{','.join(sorted(wanted.extras))}]"
        if key in found or (wanted.marker is not None and not wanted.marker.evaluate({**place, "extra": ""})):
            continue
        found |= {name, key}
        try:
            below = requires(name) or []
        except PackageNotFoundError:
            continue
        for line in below:
            one = Requirement(line)
            if one.marker is None or any(
                one.marker.evaluate({**place, "extra": extra}) for extra in ("", *wanted.extras)
            ):
                waiting.append(Requirement(str(one).partition(";")[0]))
    return {name for name in found if "[" not in name}


def stated() -> dict[str, str]:
    """What the installed packages say of their licence (许可证声明), by name."""
    done = subprocess.run(
        [sys.executable, "-m", "piplicenses", "--format=json", "--from=mixed", "--with-system"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {canonical(one["Name"]): one["License"] for one in json.loads(done.stdout)}


def accepted(name: str, licence: str) -> str | None:
    """A licence as it is written here, or None when it is not allowed (许可证判定). Every part of a joint one must be."""
    if name in TOOLS and TOOLS[name][0] == licence:
        return licence
    parts = re.split(r"( AND | OR |; )", licence)
    said = [ALLOWED.get(part) if index % 2 == 0 else part for index, part in enumerate(parts)]
    return None if None in said else "".join(part for part in said if part is not None).replace("; ", " AND ")


def licences() -> tuple[list[tuple[Locked, str, bool]], list[str]]:
    """Each package with its licence and whether it is shipped; and what is wrong (许可证核对)."""
    said, ships = stated(), shipped()
    rows, wrong = [], []
    for package in locked():
        licence = said.get(package.name) or NOT_HERE.get(package.name)
        if licence is None:
            wrong.append(f"{package.name}: not installed, and no licence stated for it")
            continue
        found = accepted(package.name, licence)
        if found is None or (package.name in TOOLS and package.name in ships):
            wrong.append(f"{package.name} {package.version}: {licence} is not on the list")
            continue
        rows.append((package, found, package.name in ships))
    return rows, wrong


def page(rows: list[tuple[Locked, str, bool]]) -> str:
    """docs/licences.md (许可证清单)."""
    counts = (sum(ships for _, _, ships in rows), sum(not ships for _, _, ships in rows))
    return "\n".join(
        (
            "# 许可证 Licences",
            "",
            "由 `make licences` 依 `requirements.lock` 生成，测试核对。分值平台自身：Apache-2.0。",
            f"随产品运行的依赖 {counts[0]} 个，仅用于开发与检查的 {counts[1]} 个。",
            "",
            "Written by `make licences` from `requirements.lock` and held by a test. Fenzhi itself: Apache-2.0.",
            f"{counts[0]} packages run with the product, {counts[1]} serve development and checks only.",
            "",
            "| 依赖 package | 版本 version | 许可证 licence | 用途 use |",
            "|---|---|---|---|",
            *(
                f"| {package.name} | {package.version} | {licence} | {'运行 runtime' if ships else '开发 development'} |"
                for package, licence, ships in rows
            ),
            "",
            *(f"`{name}` ({licence}): {reason}." for name, (licence, reason) in TOOLS.items()),
            "",
        )
    )


def advisories() -> tuple[str, list[str]]:
    """What an advisory service knows of the lock (漏洞核查): `clean`, `vulnerable`, `partly` or `unreachable`, and sentences.

    A service that does not know a package has not audited it: such packages are named, and when it knows none, nothing was audited.
    """
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--require-hashes", "--disable-pip"),
            *("--format", "json", "--progress-spinner", "off", "--timeout", "10"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return judged(done.stdout, done.stderr)


def judged(out: str, err: str) -> tuple[str, list[str]]:
    """The answer of the audit as a word and sentences (核查结论)."""
    try:
        packages = json.loads(out)["dependencies"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return "unreachable", [line for line in err.strip().splitlines() if line][-1:]
    known = [one for one in packages if "skip_reason" not in one]
    unknown = [one["name"] for one in packages if "skip_reason" in one]
    found = [f"{one['name']} {one['version']}: {fault['id']}" for one in known for fault in one["vulns"]]
    if not known:
        return "unreachable", [f"the service knows none of {len(packages)} packages"]
    if found:
        return "vulnerable", found
    if unknown:
        return "partly", [f"not known to the service: {', '.join(unknown)}"]
    return "clean", [f"{len(known)} packages"]


def write_sbom(to: Path = SBOM) -> int:
    """Write the bill of materials by CycloneDX (物料清单); the number of its components."""
    to.parent.mkdir(exist_ok=True)
    subprocess.run(
        [
            *(sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", str(ROOT / "pyproject.toml")),
            *("--output-reproducible", "--of", "JSON", "-o", str(to), sys.executable),
        ],
        check=True,
        capture_output=True,
    )
    return len(json.loads(to.read_text(encoding="utf-8"))["components"])


def audit() -> int:
    """Licences, advisories, bill of materials (核查供应链): 0 sound, 1 something is wrong, 3 not audited where that is required."""
    rows, wrong = licences()
    for fault in wrong:
        print(f"✗ 许可证 licence: {fault}")
    print(f"许可证 licences: {len(rows)} allowed, {len(wrong)} not")
    verdict, sentences = advisories()
    said = {
        "clean": "未发现已知漏洞 no known vulnerability",
        "partly": "未发现已知漏洞，但有的包未被核查 no known vulnerability, but some packages were NOT audited",
        "vulnerable": "✗ 已知漏洞 known vulnerabilities",
        "unreachable": "漏洞未核查：没有可达的漏洞信息服务 NOT AUDITED: no advisory service was reachable",
    }
    print(said[verdict], *sentences, sep="\n  ")
    print(f"物料清单 bill of materials: {SBOM.relative_to(ROOT)}, {write_sbom()} components")
    if wrong or verdict == "vulnerable":
        return 1
    return 3 if verdict in ("unreachable", "partly") and os.environ.get(REQUIRE) == "1" else 0


def runtime_lock() -> str:
    """The part of the lock that runs in production (运行时锁定清单), entry by entry as it stands there, for images."""
    ships = shipped()
    entries = re.split(r"\n(?=[A-Za-z0-9])", LOCK.read_text(encoding="utf-8").strip())
    return "\n".join(entry for entry in entries if canonical(re.split(r"[=\s]", entry)[0]) in ships) + "\n"


def write_page() -> int:
    """Write docs/licences.md and requirements-runtime.lock anew (生成许可证清单与运行时锁定清单)."""
    RUNTIME.write_text(runtime_lock(), encoding="utf-8")
    rows, wrong = licences()
    print("\n".join(wrong) or f"{len(rows)} packages")
    if not wrong:
        PAGE.write_text(page(rows), encoding="utf-8")
    return 1 if wrong else 0


def installed_version(name: str) -> str | None:
    """The version that is installed here, or None (已安装版本)."""
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(audit() if sys.argv[1:] == ["audit"] else write_page())
