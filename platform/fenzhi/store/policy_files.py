"""National policy values from the YAML files of the package (国家层级策略文件).

Every scalar is read as the text that stands in the file: nothing is parsed into a float on the way, and a number
without quotation marks is a fault with its file and place. All faults of all files are found before any is reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import yaml

from fenzhi.rules.policy.fields import (
    Layer,
    PolicyDocument,
    PolicyField,
    PolicyValue,
    Standing,
    Unit,
    read_content,
)
from fenzhi.rules.quantities import exact_decimal

_WORD = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_TEXT_TAG = "tag:yaml.org,2002:str"
_DATE_TAG = "tag:yaml.org,2002:timestamp"
_UNITS = frozenset(unit.value for unit in Unit)
_LAYERS = frozenset(layer.value for layer in Layer)
_STANDINGS = frozenset(standing.value for standing in Standing)


@dataclass(frozen=True, slots=True)
class FileFault:
    """One fault of a file (文件差错), with its place."""

    file: str
    line: int
    column: int
    zh: str
    en: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.zh} {self.en}"


class PolicyFilesBroken(Exception):
    """Policy files that do not read (策略文件有误): every fault, with file and place."""

    def __init__(self, faults: Iterable[FileFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


@dataclass(frozen=True, slots=True)
class NationalPolicy:
    """The definitions of all parameters and the national values (国家层级策略)."""

    fields: tuple[PolicyField, ...]
    values: tuple[PolicyValue, ...]

    def field(self, key: str) -> PolicyField:
        """The definition of a key (参数定义). Raises: KeyError for an unknown key."""
        return {field.key: field for field in self.fields}[key]


@cache
def national_policy() -> NationalPolicy:
    """The policy files carried by the package (随包发布的国家策略). Raises: PolicyFilesBroken."""
    root = files("fenzhi") / "policies" / "national"
    return read_policy_files(sorted(_yaml_files(root, ""), key=lambda pair: pair[0]))


def _yaml_files(folder: Traversable, prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            found.extend(_yaml_files(entry, f"{name}/"))
        elif entry.name.endswith((".yaml", ".yml")):
            found.append((name, entry.read_text(encoding="utf-8")))
    return found


def read_policy_files(texts: Iterable[tuple[str, str]]) -> NationalPolicy:
    """Definitions and national values of named file texts (读取策略文件).

    Shape: pairs of file name and text. Raises: PolicyFilesBroken with every fault of every file.
    """
    faults: list[FileFault] = []
    fields: dict[str, PolicyField] = {}
    values: list[PolicyValue] = []
    for name, text in texts:
        reader = _FileReader(name, faults)
        reader.read(text)
        for field in reader.fields.values():
            if field.key in fields:
                faults.append(FileFault(name, 1, 1, f"{field.key} 重复定义。", f"{field.key} is defined twice."))
            fields[field.key] = field
        values.extend(reader.values)
    if faults:
        raise PolicyFilesBroken(faults)
    return NationalPolicy(tuple(fields[key] for key in sorted(fields)), tuple(values))


class _FileReader:
    """Reads one file, collecting faults instead of stopping at the first."""

    def __init__(self, file: str, faults: list[FileFault]) -> None:
        self.file = file
        self.faults = faults
        self.fields: dict[str, PolicyField] = {}
        self.values: list[PolicyValue] = []

    def read(self, text: str) -> None:
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            self.faults.append(FileFault(self.file, *place, "YAML 无法解析。", f"not YAML: {error.problem}."))
            return
        whole = self._mapping(
            root, required=("name", "title", "zh", "prefix", "fields", "values"), allowed=("name", "title", "zh")
        )
        if not whole:
            return
        prefix = self._text(whole["prefix"])
        if not _WORD.fullmatch(prefix):
            self._fault(whole["prefix"], "前缀应为小写单词。", "the prefix must be a word in lower case.")
        for name, node in self._entries(whole["fields"]):
            self._field(f"{prefix}.{name}", node)
        for node in self._sequence(whole["values"]):
            self._value(prefix, node)
        if any(fault.file == self.file for fault in self.faults):
            return  # a value that did not read would only be reported twice
        given = {value.key for value in self.values}
        for key, field in self.fields.items():
            if field.national_default != (key in given):
                self._fault(
                    whole["fields"],
                    f"{key} 声明的 national_default 与取值不符。",
                    f"{key} says national_default {str(field.national_default).lower()}, its values say otherwise.",
                )

    def _field(self, key: str, node: yaml.Node) -> None:
        texts = ("unit", "zh", "en", "meaning", "entered_by", "limit_document", "last_item", "minimum", "maximum")
        flags = ("national_default", "optional")
        parts = self._mapping(
            node,
            required=("unit", "zh", "en", "national_default"),
            allowed=(*texts, *flags, "layers", "allowed", "columns"),
        )
        if not parts:
            return
        text = {name: self._text(part) for name, part in parts.items() if name in texts}
        flag = {name: self._flag(part) for name, part in parts.items() if name in flags}
        lists = {name: self._texts(parts[name]) for name in ("layers", "allowed", "columns") if name in parts}
        if text["unit"] not in _UNITS:
            known = ", ".join(Unit)
            self._fault(parts["unit"], f"未知单位；可用：{known}。", f"unknown unit {text['unit']}; one of {known}.")
            return
        limits = {name: self._decimal(parts[name]) for name in ("minimum", "maximum") if name in parts}
        unit = Unit(text["unit"])
        if unit is Unit.METHOD and not lists.get("allowed"):
            self._fault(node, "方法类参数必须列出 allowed。", "a method must list what is allowed.")
        if unit is Unit.TABLE and not lists.get("columns"):
            self._fault(node, "表类参数必须列出 columns。", "a table must list its columns.")
        layers = lists.get("layers", tuple(Layer))
        entered_by = text.get("entered_by", Layer.AREA.value)
        for layer in (*layers, entered_by):
            if layer not in _LAYERS:
                self._fault(node, f"未知层级 {layer}。", f"unknown layer {layer}.")
                return
        self.fields[key] = PolicyField(
            key,
            unit,
            text["zh"],
            text["en"],
            text.get("meaning", ""),
            Layer(entered_by),
            tuple(Layer(layer) for layer in layers),
            lists.get("allowed", ()),
            limits.get("minimum"),
            limits.get("maximum"),
            text.get("limit_document", ""),
            text.get("last_item", ""),
            lists.get("columns", ()),
            flag.get("optional", False),
            flag["national_default"],
        )

    def _value(self, prefix: str, node: yaml.Node) -> None:
        parts = self._mapping(
            node, required=("effective_from", "set", "source"), allowed=("insurance", "excerpt", "gist")
        )
        if not parts:
            return
        source = self._mapping(
            parts["source"], required=("document", "standing"), allowed=("part", "issued_on", "read_in")
        )
        if not source:
            return
        standing = self._text(source["standing"])
        if standing not in _STANDINGS:
            known = ", ".join(Standing)
            self._fault(source["standing"], f"未知文件效力；可用：{known}。", f"unknown standing; one of {known}.")
            return
        effective_from = self._date(parts["effective_from"])
        issued_on = self._date(source["issued_on"]) if "issued_on" in source else None
        document = PolicyDocument(
            self._text(source["document"]),
            issued_on,
            self._text(source["part"]) if "part" in source else "",
            self._text(parts["excerpt"]) if "excerpt" in parts else "",
            self._text(parts["gist"]) if "gist" in parts else "",
            Standing(standing),
        )
        if Standing(standing) is Standing.IN_FORCE and issued_on is None:
            self._fault(parts["source"], "现行文件须有发文日期 issued_on。", "a document in force needs issued_on.")
        if not document.excerpt and not document.gist:
            self._fault(node, "缺少原文 excerpt 或要旨 gist。", "an excerpt or a gist is missing.")
        for name, content_node in self._entries(parts["set"]):
            field = self.fields.get(f"{prefix}.{name}")
            if field is None:
                self._fault(content_node, f"未定义的参数 {prefix}.{name}。", f"{prefix}.{name} is not defined.")
                continue
            before = len(self.faults)
            plain = self._plain(content_node)
            content, refusals = read_content(field, plain, field.key)
            if len(self.faults) == before:
                for refusal in refusals:
                    self._fault(content_node, refusal.zh, f"{refusal.en} Saw {refusal.saw}.")
            if effective_from is not None:
                insurance = self._text(parts["insurance"]) if "insurance" in parts else ""
                self.values.append(PolicyValue(field.key, Layer.NATION, effective_from, content, document, insurance))

    # Nodes: what stands in the file, with its place.

    def _fault(self, node: yaml.Node | None, zh: str, en: str) -> None:
        line, column = (node.start_mark.line + 1, node.start_mark.column + 1) if node is not None else (1, 1)
        self.faults.append(FileFault(self.file, line, column, zh, en))

    def _entries(self, node: yaml.Node) -> list[tuple[str, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            self._fault(node, "应为对照（键: 值）。", "must be a mapping.")
            return []
        entries: list[tuple[str, yaml.Node]] = []
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else ""
            if not key or key in seen:
                self._fault(key_node, f"键缺失或重复：{key}。", f"a key is missing or stands twice: {key}.")
                continue
            seen.add(key)
            entries.append((key, value_node))
        return entries

    def _mapping(
        self, node: yaml.Node | None, *, required: tuple[str, ...], allowed: tuple[str, ...]
    ) -> dict[str, yaml.Node]:
        """The parts of a mapping, empty when one is missing; an unknown one is a fault."""
        if node is None:
            self._fault(node, "文件为空。", "the file is empty.")
            return {}
        parts = dict(self._entries(node))
        for name, part in parts.items():
            if name not in required and name not in allowed:
                self._fault(part, f"未知字段 {name}。", f"unknown field {name}.")
        missing = [name for name in required if name not in parts]
        if missing and isinstance(node, yaml.MappingNode):
            self._fault(node, f"缺少字段 {'、'.join(missing)}。", f"missing: {', '.join(missing)}.")
        return {} if missing else parts

    def _sequence(self, node: yaml.Node) -> list[yaml.Node]:
        if isinstance(node, yaml.SequenceNode):
            return list(node.value)
        self._fault(node, "应为列表。", "must be a list.")
        return []

    def _text(self, node: yaml.Node) -> str:
        if isinstance(node, yaml.ScalarNode) and node.tag == _TEXT_TAG:
            return str(node.value)
        saw = node.value if isinstance(node, yaml.ScalarNode) else "…"
        self._fault(node, f"应为文本，数字须加引号：{saw}。", f"must be text; put numbers in quotation marks: {saw}.")
        return ""

    def _texts(self, node: yaml.Node) -> tuple[str, ...]:
        return tuple(self._text(item) for item in self._sequence(node))

    def _flag(self, node: yaml.Node) -> bool:
        if isinstance(node, yaml.ScalarNode) and node.value in ("true", "false"):
            return bool(node.value == "true")
        self._fault(node, "应为 true 或 false。", "must be true or false.")
        return False

    def _decimal(self, node: yaml.Node) -> Decimal:
        text = self._text(node)
        try:
            return exact_decimal(text)
        except ValueError:
            self._fault(node, f"应为十进制小数：{text}。", f"must be a plain decimal: {text}.")
            return Decimal(0)

    def _date(self, node: yaml.Node) -> date | None:
        if isinstance(node, yaml.ScalarNode) and node.tag in (_DATE_TAG, _TEXT_TAG):
            try:
                return date.fromisoformat(str(node.value))
            except ValueError:
                pass
        self._fault(node, "应为日期 YYYY-MM-DD。", "must be a date YYYY-MM-DD.")
        return None

    def _plain(self, node: yaml.Node) -> object:
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item) for item in node.value]
        if isinstance(node, yaml.MappingNode):
            return {key: self._plain(value) for key, value in self._entries(node)}
        return self._text(node)
