"""Rules compute and do nothing else (ADR-0003): standard library only, no clock, no I/O, no float.

A finding names file and line. There is no way to be excused: what needs a clock or a file belongs to a service.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

RULES = Path(__file__).resolve().parents[2] / "platform" / "fenzhi" / "rules"

BANNED_MODULES = frozenset(
    """asyncio builtins concurrent ctypes fcntl glob http importlib io ipaddress locale logging mmap multiprocessing os
    pathlib pickle platform posix pwd queue random sched secrets select selectors shelve shutil signal socket sqlite3 ssl
    statistics subprocess sys tempfile threading time urllib uuid warnings weakref zoneinfo""".split()
)
BANNED_CALLS = frozenset(
    "float open print input eval exec compile __import__ globals locals breakpoint id hash complex".split()
)
BANNED_ATTRIBUTES = frozenset("now today utcnow from_float fromtimestamp utcfromtimestamp".split())


def faults(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Everything in a module that a rule may not do, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, f"imports {name.name}") for name in names if foreign(name.name))
            case ast.ImportFrom(module=module, level=level) if level == 0 and foreign(module or ""):
                yield node.lineno, f"imports {module}"
            case ast.Constant(value=float() | complex()):
                yield node.lineno, f"writes the float {node.value}"
            case ast.Name(id="float" | "complex"):
                yield node.lineno, f"names {node.id}"
            case ast.Call(func=ast.Name(id=name)) if name in BANNED_CALLS:
                yield node.lineno, f"calls {name}()"
            case ast.Attribute(attr=attribute) if attribute in BANNED_ATTRIBUTES:
                yield node.lineno, f"asks for .{attribute}"
            case ast.Assert():
                yield node.lineno, "asserts: an invariant is raised, since -O strips asserts"
            case ast.Global() | ast.Nonlocal():
                yield node.lineno, "keeps state between calls"
            case ast.AsyncFunctionDef() | ast.Await():
                yield node.lineno, "waits for something"


def foreign(module: str) -> bool:
    """Whether a rule may not import the module: not the standard library, not a rule, or impure."""
    top = module.partition(".")[0]
    if top == "fenzhi":
        return not (module == "fenzhi.rules" or module.startswith("fenzhi.rules."))
    return top in BANNED_MODULES or top not in sys.stdlib_module_names


@pytest.mark.parametrize("path", sorted(RULES.rglob("*.py")), ids=lambda path: str(path.relative_to(RULES)))
def test_a_rule_is_pure(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    assert [f"{path.name}:{line} {fault}" for line, fault in sorted(set(faults(tree)))] == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import os", "imports os"),
        ("from time import monotonic", "imports time"),
        ("import sqlalchemy", "imports sqlalchemy"),
        ("from fenzhi.store import session", "imports fenzhi.store"),
        ("import fenzhi", "imports fenzhi"),
        ("x = 0.5", "writes the float 0.5"),
        ("x = 1e3", "writes the float 1000.0"),
        ("x = float('1')", "calls float()"),
        ("def f(x: float) -> None: ...", "names float"),
        ("x = datetime.now()", "asks for .now"),
        ("x = date.today()", "asks for .today"),
        ("open('x')", "calls open()"),
        ("hash(x)", "calls hash()"),
        ("assert x", "asserts: an invariant is raised, since -O strips asserts"),
        ("async def f(): ...", "waits for something"),
    ],
)
def test_the_linter_sees_a_fault(source: str, fault: str) -> None:
    assert fault in [found for _line, found in faults(ast.parse(source))]


def test_the_linter_lets_arithmetic_pass() -> None:
    source = "from decimal import Decimal\nfrom fenzhi.rules.quantities import Fen\nx = Decimal('0.5') + Fen(1)\n"
    assert list(faults(ast.parse(source))) == []
