"""Golden case files as exact text (黄金用例文件): YAML whose every scalar stays what stands in the file.

A float would make 0.1 something else than one tenth before the rule ever saw it; numbers are therefore read as their
text, quoted or not. Each value knows its line, so that a fault names the place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import yaml

from fenzhi.rules.quantities import exact_decimal, fen_from_yuan

Tree = str | list["Tree"] | dict[str, "Tree"]


class GoldenFileBroken(Exception):
    """A golden file that does not read (黄金用例文件有误), with its place."""

    def __init__(self, file: str, line: int, says: str) -> None:
        super().__init__(f"{file}:{line}: {says}")
        self.file = file
        self.line = line
        self.says = says


class Names:
    """The named values of a case (给定值), read by name and unit.

    A name that the rule asks for and does not find, or that nobody asked for, is a fault of the file: a misspelt name
    must not pass for an absent one.
    """

    def __init__(self, values: dict[str, Tree], what: str) -> None:
        self._values = values
        self._what = what
        self._read: set[str] = set()

    def has(self, name: str) -> bool:
        """Whether the file gives the value (是否给出)."""
        self._read.add(name)
        return name in self._values

    def names(self) -> list[str]:
        """The names the file gives, in its order (给出的名称)."""
        return list(self._values)

    def text(self, name: str, otherwise: str | None = None) -> str:
        """A text (文本)."""
        value = self._get(name, otherwise)
        if not isinstance(value, str):
            raise ValueError(f"{self._what}.{name} must be a single value")
        return value

    def number(self, name: str, otherwise: str | None = None) -> Fraction:
        """A decimal, exact (小数)."""
        return number(self.text(name, otherwise), f"{self._what}.{name}")

    def integer(self, name: str, otherwise: str | None = None) -> int:
        """A whole number (整数)."""
        value = self.number(name, otherwise)
        if value.denominator != 1:
            raise ValueError(f"{self._what}.{name} must be a whole number")
        return value.numerator

    def flag(self, name: str, otherwise: str | None = None) -> bool:
        """true or false (是否)."""
        text = self.text(name, otherwise)
        if text not in ("true", "false"):
            raise ValueError(f"{self._what}.{name} must be true or false")
        return text == "true"

    def fen(self, name: str, otherwise: str | None = None) -> int:
        """An amount in yuan with at most two decimals, in fen (金额)."""
        return amount(self.text(name, otherwise), f"{self._what}.{name}")

    def numbers(self, name: str, otherwise: list[Tree] | None = None) -> list[Fraction]:
        """A list of decimals (小数列表)."""
        return [number(text, f"{self._what}.{name}") for text in self.texts(name, otherwise)]

    def texts(self, name: str, otherwise: list[Tree] | None = None) -> list[str]:
        """A list of texts (文本列表)."""
        value = self._get(name, otherwise)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError(f"{self._what}.{name} must be a list of values")
        return [str(item) for item in value]

    def number_map(self, name: str) -> dict[str, Fraction]:
        """Decimals by name (按名称的小数)."""
        return {key: number(text, f"{self._what}.{name}.{key}") for key, text in self._map(name).items()}

    def fen_map(self, name: str) -> dict[str, int]:
        """Amounts by name, in fen (按名称的金额)."""
        return {key: amount(text, f"{self._what}.{name}.{key}") for key, text in self._map(name).items()}

    def groups(self, name: str) -> dict[str, Names]:
        """Named values by name (按名称的分组)."""
        value = self._get(name, None)
        if not isinstance(value, dict):
            raise ValueError(f"{self._what}.{name} must be a mapping")
        return {key: _names(part, f"{self._what}.{name}.{key}") for key, part in value.items()}

    def rows(self, name: str) -> list[Names]:
        """A list of named values (分组列表)."""
        value = self._get(name, None)
        if not isinstance(value, list):
            raise ValueError(f"{self._what}.{name} must be a list")
        return [_names(part, f"{self._what}.{name}[{place}]") for place, part in enumerate(value)]

    def finish(self) -> None:
        """Raises ValueError for a value that the rule did not ask for (未被使用的值)."""
        unread = sorted(set(self._values) - self._read)
        if unread:
            known = ", ".join(sorted(self._read)) or "nothing"
            raise ValueError(f"{self._what} has values this rule does not know: {', '.join(unread)}; it knows {known}")

    def _get(self, name: str, otherwise: Tree | None) -> Tree:
        self._read.add(name)
        value = self._values.get(name, otherwise)
        if value is None:
            raise ValueError(f"{self._what}.{name} is missing")
        return value

    def _map(self, name: str) -> dict[str, str]:
        value = self._get(name, None)
        if not isinstance(value, dict) or not all(isinstance(part, str) for part in value.values()):
            raise ValueError(f"{self._what}.{name} must be a mapping to single values")
        return {key: str(part) for key, part in value.items()}


def number(text: str, where: str) -> Fraction:
    """A decimal, exact (小数). Raises: ValueError naming the place."""
    try:
        return Fraction(exact_decimal(text))
    except ValueError:
        raise ValueError(f"{where} must be a plain decimal, not {text!r}") from None


def amount(text: str, where: str) -> int:
    """An amount in fen (金额). Raises: ValueError naming the place."""
    try:
        return fen_from_yuan(text)
    except ValueError:
        raise ValueError(f"{where} must be an amount in yuan with at most two decimals, not {text!r}") from None


def _names(part: Tree, what: str) -> Names:
    if not isinstance(part, dict):
        raise ValueError(f"{what} must be a mapping")
    return Names(part, what)


@dataclass(frozen=True, slots=True)
class GoldenCase:
    """One golden case (黄金用例)."""

    name: str
    line: int
    given: dict[str, Tree]
    policy: dict[str, Tree]
    expect: dict[str, Tree]
    places: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GoldenFile:
    """One file of golden cases of one rule (黄金用例文件)."""

    file: str
    rule: str
    source: Tree
    cases: tuple[GoldenCase, ...]


def read_golden_file(file: str, text: str) -> GoldenFile:
    """The cases of a file (读取黄金用例). Raises: GoldenFileBroken with the place of the first fault."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise GoldenFileBroken(file, line, f"not YAML: {error.problem}") from error
    if root is None:
        raise GoldenFileBroken(file, 1, "the file is empty")
    parts = _parts(file, root, required=("rule", "source", "cases"), optional=("policy", "places", "note"))
    policy = _mapping(file, parts["policy"]) if "policy" in parts else {}
    places = _places(file, parts["places"]) if "places" in parts else {}
    source = _tree(file, parts["source"])
    if not source:
        raise GoldenFileBroken(file, _line(parts["source"]), "the source is empty")
    cases_node = parts["cases"]
    if not isinstance(cases_node, yaml.SequenceNode) or not cases_node.value:
        raise GoldenFileBroken(file, _line(cases_node), "cases must be a list that is not empty")
    rule = _tree(file, parts["rule"])
    if not isinstance(rule, str):
        raise GoldenFileBroken(file, _line(parts["rule"]), "rule must be a name")
    cases = tuple(_case(file, node, policy, places) for node in cases_node.value)
    names = [case.name for case in cases]
    for case in cases:
        if names.count(case.name) > 1:
            raise GoldenFileBroken(file, case.line, f"two cases are named {case.name!r}")
    return GoldenFile(file, rule, source, cases)


def _case(file: str, node: yaml.Node, policy: dict[str, Tree], places: dict[str, int]) -> GoldenCase:
    parts = _parts(file, node, required=("name", "given", "expect"), optional=("policy", "places", "source", "note"))
    name = _tree(file, parts["name"])
    if not isinstance(name, str) or not name:
        raise GoldenFileBroken(file, _line(parts["name"]), "name must be a text")
    expect = _mapping(file, parts["expect"])
    if not expect:
        raise GoldenFileBroken(file, _line(parts["expect"]), "a case must expect something")
    own = _mapping(file, parts["policy"]) if "policy" in parts else {}
    own_places = _places(file, parts["places"]) if "places" in parts else {}
    return GoldenCase(
        name, _line(node), _mapping(file, parts["given"]), {**policy, **own}, expect, {**places, **own_places}
    )


def _parts(file: str, node: yaml.Node, *, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        raise GoldenFileBroken(file, _line(node), f"must be a mapping with {', '.join(required)}")
    parts = dict(_entries(file, node))
    for name, part in parts.items():
        if name not in required and name not in optional:
            raise GoldenFileBroken(file, _line(part), f"unknown field {name!r}")
    for name in required:
        if name not in parts:
            raise GoldenFileBroken(file, _line(node), f"{name!r} is missing")
    return parts


def _entries(file: str, node: yaml.MappingNode) -> list[tuple[str, yaml.Node]]:
    entries: list[tuple[str, yaml.Node]] = []
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise GoldenFileBroken(file, _line(key), "a key must be a single value")
        if key.value in dict(entries):
            raise GoldenFileBroken(file, _line(key), f"{key.value!r} stands twice")
        entries.append((str(key.value), value))
    return entries


def _places(file: str, node: yaml.Node) -> dict[str, int]:
    places: dict[str, int] = {}
    for name, text in _mapping(file, node).items():
        if not isinstance(text, str) or not text.isascii() or not text.isdecimal() or int(text) > 12:
            raise GoldenFileBroken(file, _line(node), f"places of {name!r} must be 0 to 12")
        places[name] = int(text)
    return places


def _mapping(file: str, node: yaml.Node) -> dict[str, Tree]:
    if not isinstance(node, yaml.MappingNode):
        raise GoldenFileBroken(file, _line(node), "must be a mapping")
    return {name: _tree(file, part) for name, part in _entries(file, node)}


def _tree(file: str, node: yaml.Node) -> Tree:
    if isinstance(node, yaml.MappingNode):
        return _mapping(file, node)
    if isinstance(node, yaml.SequenceNode):
        return [_tree(file, item) for item in node.value]
    return str(node.value)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
