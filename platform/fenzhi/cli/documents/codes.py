"""Every code a user can meet, read from the source itself (错误代码扫描), with the sentences it is given with.

A code is a word in capitals with at least one underscore, wherever it stands in the packages, or the `code` of an error
class. So a code cannot be added without being seen here, however it is handed to whoever raises it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from fenzhi.settings import Settings

_CODE = re.compile(r"[A-Z][A-Z0-9]+(_[A-Z0-9]+)+")
_ONE_WORD = re.compile(r"[A-Z]{5,}")
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_ENGLISH = re.compile(r"[A-Za-z]{2,}.* ")
_PACKAGES = (
    ("platform", "fenzhi"),
    ("graphql", "fenzhi_graphql"),
    ("workers", "fenzhi_workers"),
    ("migrations", "fenzhi_migrations"),
)

NOT_CODES = frozenset(
    {
        "API_HOST", "APP_DATABASE_URL", "AUDIT_ANCHOR_FILE", "DEV_ISSUER", "HIGH_COST", "HISTORY", "LISTS", "JWT_AUDIENCE", "JWT_ISSUER", "JWT_PUBLIC_KEYS", "LC_ALL",
        "LOG_LEVEL",
        "MASTER_KEY", "MASTER_KEY_FILE", "OUT_OF_AREA", "PG_VERSION", "REDIS_URL", "WORKER_CONCURRENCY", "XDG_STATE_HOME",
    }
)  # fmt: skip
"""Words in capitals that name something else: variables of the environment, members of an enumeration, a file."""

GOOD_NEWS = frozenset({"API_PORT", "APPLICATION_ROLE", "STATE_DIR", "TOKEN_ISSUER", "NOT_LOOKED_AT"})
"""Findings of `fenzhi doctor` that say that all is well: nothing to mend."""


@dataclass(slots=True)
class CodeFound:
    """One code as the source gives it (一个代码): where, with which words."""

    code: str
    places: set[str] = field(default_factory=set)
    """Rooms that give it: `cli`, `graphql`, `services`, `rules`, …; looking for a code is not giving it."""
    says: list[tuple[str, str]] = field(default_factory=list)
    """Chinese and English, as handed over; {…} stands for what was seen."""
    mends: list[tuple[str, str]] = field(default_factory=list)
    http_status: int | None = None


@cache
def codes_of(root: Path) -> Mapping[str, CodeFound]:
    """All codes in the packages under `root`, the checkout (全部错误代码), sorted."""
    trees = dict(_trees(root))
    classes = _error_classes(trees)
    found: dict[str, CodeFound] = {}
    mentioned: dict[str, set[str]] = {}
    for place, tree in trees.items():
        parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
        for node in ast.walk(tree):
            for code, call in _uses(node, parents, classes):
                entry = found.setdefault(code, CodeFound(code))
                mentioned.setdefault(code, set()).add(place.split("/")[0])
                has_words = call is not None and _read_words(entry, call)
                if has_words or isinstance(node, ast.ClassDef):
                    entry.places.add(place.split("/")[0])
    for code, entry in found.items():
        entry.places = entry.places or mentioned[code]
    for code, status in classes.values():
        if code in found:
            found[code].http_status = status
    return {code: found[code] for code in sorted(found) if not _is_no_code(code)}


def _is_no_code(word: str) -> bool:
    """Names of other things; whatever begins with FENZHI_ is a variable of the environment, but for the base class's code."""
    is_setting = word.lower() in Settings.model_fields
    return is_setting or word in NOT_CODES | GOOD_NEWS or (word.startswith("FENZHI_") and word != "FENZHI_ERROR")


def _trees(root: Path) -> Iterator[tuple[str, ast.Module]]:
    for folder, package in _PACKAGES:
        for path in sorted((root / folder / package).rglob("*.py")):
            inside = path.relative_to(root / folder / package).as_posix()
            if inside.startswith("cli/documents/"):
                continue
            place = inside if package == "fenzhi" else f"{folder}/{inside}"
            yield place, ast.parse(path.read_text(encoding="utf-8"))


def _error_classes(trees: dict[str, ast.Module]) -> dict[str, tuple[str, int]]:
    """Code and HTTP status of every error class by its name, inherited where it says none."""
    known: dict[str, tuple[str, int]] = {"FenzhiError": ("FENZHI_ERROR", 409)}
    bodies = {node.name: node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    for _ in range(5):
        for name, node in bodies.items():
            bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
            inherited = next((known[base] for base in bases if base in known), None)
            if inherited is None:
                continue
            own = {
                target.id: statement.value.value
                for statement in node.body
                if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
                for target in statement.targets
                if isinstance(target, ast.Name)
            }
            known[name] = (str(own.get("code", inherited[0])), int(str(own.get("http_status", inherited[1]))))
    return known


def _uses(
    node: ast.AST, parents: dict[ast.AST, ast.AST], classes: dict[str, tuple[str, int]]
) -> Iterator[tuple[str, ast.Call | ast.Tuple | None]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and _CODE.fullmatch(node.value):
        yield node.value, _call_around(node, parents)
    if isinstance(node, ast.Tuple) and node.elts and _is_word(node.elts[0]) and any(map(_CHINESE.search, _texts(node))):
        yield str(node.elts[0].value), node  # type: ignore[attr-defined]
    if isinstance(node, ast.ClassDef) and node.name in classes and node.name != "FenzhiError":
        yield classes[node.name][0], None
        for inner in ast.walk(node):
            if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute) and inner.func.attr == "__init__":
                yield classes[node.name][0], inner
    if isinstance(node, ast.Call):
        named = next((keyword.value for keyword in node.keywords if keyword.arg == "code"), None)
        if isinstance(node.func, ast.Name) and node.func.id in classes and named is None:
            yield classes[node.func.id][0], node
        for given in (named, node.args[1] if len(node.args) > 3 else None):
            if (
                given is not None
                and _is_word(given)
                and any(_CHINESE.search(text) for arg in node.args for text in _texts(arg))
            ):
                yield str(given.value), node  # type: ignore[attr-defined]


def _is_word(node: ast.expr) -> bool:
    """Whether a constant is a code of one word, such as CONFLICT, which nothing but its company tells from other words."""
    return (
        isinstance(node, ast.Constant) and isinstance(node.value, str) and _ONE_WORD.fullmatch(node.value) is not None
    )


def _call_around(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> ast.Call | ast.Tuple | None:
    """The nearest call the constant is an argument of, or the row of a table it heads."""
    while node in parents:
        node = parents[node]
        if isinstance(node, ast.Call):
            return node
        if isinstance(node, ast.Tuple) and any(_CHINESE.search(text) for text in _texts(node)):
            return node
        if isinstance(node, ast.stmt):
            return None
    return None


def _texts(node: ast.AST) -> Iterator[str]:
    """The sentences among the arguments of a call, in their order; values that are computed become {…}."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(part.value if isinstance(part, ast.Constant) else _slot(part) for part in parts)  # type: ignore[misc]
        case ast.Tuple(elts=elements):
            for element in elements:
                yield from _texts(element)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            yield "".join((*_texts(left), *_texts(right)))
        case ast.IfExp(body=body):
            yield from _texts(body)
        case ast.keyword(value=value):
            yield from _texts(value)


def _slot(part: ast.expr) -> str:
    """A computed value by its last name, as `{cases}`."""
    names = [n for n in ast.walk(part) if isinstance(n, ast.Name | ast.Attribute)]
    name = names[0] if names else None
    word = name.attr if isinstance(name, ast.Attribute) else name.id if isinstance(name, ast.Name) else "…"
    return "{" + word + "}"


def _read_words(entry: CodeFound, given: ast.Call | ast.Tuple) -> bool:
    """Whether the code is given here with words of its own, and not merely looked for."""
    keywords = given.keywords if isinstance(given, ast.Call) else []
    hints = [text for keyword in keywords if keyword.arg == "hint" for text in _texts(keyword)]
    others = [text for arg in (given.args if isinstance(given, ast.Call) else given.elts) for text in _texts(arg)]
    others += [text for keyword in keywords if keyword.arg not in ("hint", "code") for text in _texts(keyword)]
    chinese = [text for text in others if _CHINESE.search(text)]
    english = [text for text in others if not _CHINESE.search(text) and _ENGLISH.search(text + " ")]
    english = [text for text in english if " " in text.strip()]
    if chinese and english and (said := (chinese[0], english[0])) not in entry.says:
        entry.says.append(said)
    if len(chinese) > 1 and len(english) > 1 and (mend := (chinese[1], english[1])) not in entry.mends:
        entry.mends.append(mend)
    for hint in hints:
        zh, _, en = hint.partition(" / ")
        if en and (zh, en) not in entry.mends:
            entry.mends.append((zh, en))
    return bool(chinese)
