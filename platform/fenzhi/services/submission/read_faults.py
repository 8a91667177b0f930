"""Every fault of form of one line, at once (逐字段找出全部格式差错).

The quick reader stops at the first fault. A line it cannot read comes here, where each field is read by itself: what is
sound becomes part of the list, so that the rules can still judge it; what is not is named with its path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from fenzhi.rules.refusals import Refusal
from fenzhi.rules.submission.settlement_list import SettlementList
from fenzhi.rules.submission.verdict_texts import refusal
from fenzhi.services.submission import wire

MAX_DEPTH = 16
"""Levels of nesting that are read (嵌套层数上限)."""
MAX_FAULTS = 200
"""Faults named for one line (单行列出的差错上限)."""

_ROWS: dict[str, type[msgspec.Struct]] = {
    "diseinfo": wire.WireDiagnosis,
    "oprninfo": wire.WireProcedure,
    "payinfo": wire.WireFundPayment,
    "iteminfo": wire.WireItem,
}
_PERSONAL = frozenset({"psn_name", "certno", "psn_no"})
_ENGLISH = {
    "文本": "text",
    "整数": "a whole number",
    "小数": "a number with a fraction",
    "布尔值": "true or false",
    "数组": "an array",
    "对象": "an object",
    "空值": "null",
}
_SURROGATE = re.compile("[\ud800-\udfff]")
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class _Number:
    """A JSON number in its own text (JSON 数的原文)."""

    text: str

    @property
    def whole(self) -> bool:
        return self.text.lstrip("-").isdigit()


@dataclass(frozen=True, slots=True)
class _NotFinite:
    """NaN or an infinity, which some programs write and JSON does not know (非有限数)."""

    text: str


class _Object(dict[str, Any]):
    """A JSON object that remembers which keys were repeated (记住重复键的对象)."""

    repeated: dict[str, int]


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    made.repeated = {}
    if len(made) < len(pairs):
        times: dict[str, int] = {}
        for name, _ in pairs:
            times[name] = times.get(name, 0) + 1
        made.repeated = {name: count for name, count in times.items() if count > 1}
    return made


def _fields(struct: type[msgspec.Struct]) -> dict[str, msgspec.inspect.Type]:
    described = msgspec.inspect.type_info(struct)
    if not isinstance(described, msgspec.inspect.StructType):
        raise TypeError(f"{struct} is no struct")
    return {item.encode_name: _stated(item.type) for item in described.fields}


def _stated(kind: msgspec.inspect.Type) -> msgspec.inspect.Type:
    """The type of a field apart from its absence (去掉可空后的类型)."""
    if isinstance(kind, msgspec.inspect.UnionType):
        (kind,) = (option for option in kind.types if not isinstance(option, msgspec.inspect.NoneType))
    return kind


LIST_FIELDS = _fields(wire.WireList)
ROW_FIELDS = {node: _fields(struct) for node, struct in _ROWS.items()}
ROW_CARRIED = {node: wire.CARRIED_IN_ROWS if node == "oprninfo" else frozenset[str]() for node in _ROWS}


@dataclass(slots=True)
class LineReading:
    """What a line holds, and what is wrong with it (一行的读取结果)."""

    faults: list[Refusal] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    given: SettlementList | None = None

    def fault(self, code: str, where: str, saw: str, /, **slots: str) -> None:
        """Name a fault, up to the number a line may have (记录差错)."""
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(refusal(code, where, saw, **slots))


def read_line(line: bytes, *, offset: int, ended: bool) -> LineReading:
    """Read one line field by field (逐字段读取一行).

    `offset`: place of the line in its part. `ended`: whether a line break followed; a line without one that breaks off is
    an upload cut short.
    """
    reading = LineReading()
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        if not ended and error.reason == "unexpected end of data":
            reading.fault("TRUNCATED_LINE", "", "", column=str(error.start + 1))
        else:
            at = str(offset + error.start)
            saw = line[error.start : error.start + 8].hex(" ")
            reading.fault("ENCODING_NOT_UTF8", f"byte {at}", saw, offset=at, guess=encoding_guess(line))
        return reading
    if _depth(line) > MAX_DEPTH:
        reading.fault("NESTING_TOO_DEEP", "", text[:40], limit=str(MAX_DEPTH))
        return reading
    try:
        message = json.loads(
            text, object_pairs_hook=_object, parse_int=_Number, parse_float=_Number, parse_constant=_NotFinite
        )
    except json.JSONDecodeError as error:
        body = text.rstrip()
        broken_off = error.pos >= len(body) or error.msg.startswith("Unterminated") or not body.endswith("}")
        if broken_off and not ended:
            reading.fault("TRUNCATED_LINE", "", _excerpt(body[-40:]), column=str(len(line)))
        else:
            saw = _excerpt(text[max(0, error.pos - 10) : error.pos + 30])
            reading.fault("NOT_JSON", f"character {error.pos + 1}", saw, column=str(error.pos + 1))
        return reading
    if not isinstance(message, _Object):
        kind = _kind(message)
        reading.fault("NOT_AN_OBJECT", "", kind, kind=kind, kind_en=_ENGLISH[kind])
        return reading
    clean = _read_object(reading, message, LIST_FIELDS, wire.CARRIED, "")
    reading.given = wire.settlement_list(msgspec.convert(clean, wire.WireList))._replace(
        unread=frozenset(reading.unread)
    )
    return reading


def encoding_guess(line: bytes) -> str:
    """What encoding bytes that are not UTF-8 seem to have (编码推测)."""
    if line[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in line[:4]:
        return "UTF-16"
    try:
        line.decode("gb18030")
    except UnicodeDecodeError:
        return "binary"
    return "GB18030"


def _excerpt(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text).replace("\0", "\\0")


def _depth(line: bytes) -> int:
    """Deepest nesting of brackets outside text (嵌套层数), in one pass."""
    deepest = level = 0
    quoted = False
    skip = -1
    for mark in re.finditer(rb'["\\{}\[\]]', line):
        at, sign = mark.start(), mark[0]
        if at == skip:
            continue
        if sign == b"\\":
            skip = at + 1
        elif sign == b'"':
            quoted = not quoted
        elif not quoted:
            level += 1 if sign in b"{[" else -1
            deepest = max(deepest, level)
    return deepest


def _kind(value: object) -> str:
    match value:
        case str():
            return "文本"
        case bool():
            return "布尔值"
        case _Number():
            return "整数" if value.whole else "小数"
        case _NotFinite():
            return "小数"
        case list():
            return "数组"
        case dict():
            return "对象"
        case _:
            return "空值"


def _read_object(
    reading: LineReading,
    message: _Object,
    fields: dict[str, msgspec.inspect.Type],
    carried: frozenset[str],
    prefix: str,
) -> dict[str, Any]:
    """The sound fields of an object (对象中可读的字段); the rest is named and marked unread."""
    clean: dict[str, Any] = {}
    for name, times in message.repeated.items():
        path = prefix + _excerpt(name)
        reading.fault("DUPLICATE_KEY", path[:200], str(times), field=path[:200], times=str(times))
    for name, value in message.items():
        path = prefix + name
        if name in fields:
            read = _ABSENT if name in message.repeated else _read_value(reading, value, fields[name], path, name)
            if read is _ABSENT:
                reading.unread.add(path)
            else:
                clean[name] = read
            continue
        if name not in carried:
            path = prefix + _excerpt(name)[:100]
            reading.fault("UNKNOWN_FIELD", path, "", field=path)
        _read_carried(reading, value, path[:200])
    return clean


def _read_carried(reading: LineReading, value: object, path: str) -> None:
    """Text and keys of fields that are only kept (仅保留字段的文本与键检查)."""
    match value:
        case str():
            _readable(reading, value, path)
        case _NotFinite():
            reading.fault("NUMBER_NOT_FINITE", path, value.text, field=path, saw=value.text)
        case _Object():
            for name, times in value.repeated.items():
                inner = f"{path}.{_excerpt(name)}"[:200]
                reading.fault("DUPLICATE_KEY", inner, str(times), field=inner, times=str(times))
            for name, inner_value in value.items():
                _read_carried(reading, inner_value, f"{path}.{_excerpt(name)}"[:200])
        case list():
            for place, inner_value in enumerate(value):
                _read_carried(reading, inner_value, f"{path}[{place}]"[:200])


def _readable(reading: LineReading, text: str, path: str) -> bool:
    """Whether text can be stored (文本是否可存储): no NUL, no half character."""
    if "\0" in text:
        reading.fault("NUL_CHARACTER", path, _excerpt(text))
        return False
    half = _SURROGATE.search(text)
    if half:
        reading.fault("LONE_SURROGATE", path, _excerpt(text), escape=f"\\u{ord(half[0]):04x}")
        return False
    return True


def _read_value(reading: LineReading, value: object, kind: msgspec.inspect.Type, path: str, name: str) -> object:
    """One field's value, or _ABSENT once its fault is named (读取一个字段)."""
    if value is None:
        return None
    if isinstance(value, _NotFinite):
        reading.fault("NUMBER_NOT_FINITE", path, value.text, field=path, saw=value.text)
        return _ABSENT
    form = "text"
    if isinstance(kind, msgspec.inspect.Metadata):
        form = str((kind.extra or {}).get("kind"))
        kind = kind.type
    if isinstance(kind, msgspec.inspect.ListType):
        return _read_rows(reading, value, kind, name)
    if isinstance(kind, msgspec.inspect.AnyType):
        before = len(reading.faults)
        _read_carried(reading, value, path)
        if len(reading.faults) > before:
            return _ABSENT
        return int(value.text) if isinstance(value, _Number) and value.text.isdigit() else value
    if isinstance(kind, msgspec.inspect.IntType):
        return _read_whole(reading, value, kind, path)
    if form == "amount" and isinstance(value, _Number):
        reading.fault("AMOUNT_NOT_TEXT", path, value.text, field=path, saw=value.text[:40])
        return _ABSENT
    if not isinstance(value, str):
        return _wrong_type(reading, value, "文本", path)
    if not _readable(reading, value, path):
        return _ABSENT
    if form != "text":
        return _read_form(reading, value, form, path)
    limit = kind.max_length if isinstance(kind, msgspec.inspect.StrType) else None
    if limit is not None and len(value) > limit:
        saw = "***" if name in _PERSONAL else value
        reading.fault("TEXT_TOO_LONG", path, saw, field=path, length=str(len(value)), limit=str(limit))
        return _ABSENT
    return value


_FORMS: dict[str, tuple[Callable[[str], object], str, dict[str, str]]] = {
    "amount": (wire.fen, "AMOUNT_MALFORMED", {}),
    "day": (wire.day, "DATE_MALFORMED", {}),
    "flag": (wire.flag, "FLAG_UNKNOWN", {"allowed": "1、0"}),
}


def _read_form(reading: LineReading, value: str, form: str, path: str) -> object:
    reader, code, slots = _FORMS[form]
    try:
        reader(value)
    except ValueError:
        reading.fault(code, path, value, field=path, saw=value[:40], **slots)
        return _ABSENT
    return value


def _read_whole(reading: LineReading, value: object, kind: msgspec.inspect.IntType, path: str) -> object:
    if not (isinstance(value, _Number) and value.whole):
        return _wrong_type(reading, value, "整数", path)
    low, high = kind.ge or 0, kind.le or 0
    # Text of more digits than the bound is out of range without being converted.
    if len(value.text.lstrip("-")) > len(str(high)) or not low <= int(value.text) <= high:
        saw = value.text[:40]
        reading.fault("NUMBER_OUT_OF_RANGE", path, saw, field=path, saw=saw, low=str(low), high=str(high))
        return _ABSENT
    return int(value.text)


def _read_rows(reading: LineReading, value: object, kind: msgspec.inspect.ListType, node: str) -> object:
    """The rows of a node (多行节点); a row that is no object keeps its place, so that paths stay true."""
    if not isinstance(value, list):
        return _wrong_type(reading, value, "数组", node)
    limit = kind.max_length or len(value)
    if len(value) > limit:
        length = str(len(value))
        reading.fault("TOO_MANY_ENTRIES", node, length, field=node, length=length, limit=str(limit))
        return _ABSENT
    rows: list[dict[str, Any]] = []
    for place, row in enumerate(value):
        path = f"{node}[{place}]"
        if isinstance(row, _Object):
            rows.append(_read_object(reading, row, ROW_FIELDS[node], ROW_CARRIED[node], path + "."))
        else:
            _wrong_type(reading, row, "对象", path)
            reading.unread.update(f"{path}.{name}" for name in ROW_FIELDS[node])
            rows.append({})
    return rows


def _wrong_type(reading: LineReading, value: object, expected: str, path: str) -> object:
    found = _kind(value)
    saw = value.text[:40] if isinstance(value, _Number) else str(value) if isinstance(value, bool) else found
    reading.fault(
        "WRONG_TYPE",
        path,
        saw,
        field=path,
        expected=expected,
        expected_en=_ENGLISH[expected],
        found=found,
        found_en=_ENGLISH[found],
    )
    return _ABSENT


def known_names() -> Iterator[tuple[str, frozenset[str]]]:
    """Every name the interface knows, node by node, the list itself as "" (接口已知字段)."""
    yield "", frozenset(LIST_FIELDS) | wire.CARRIED
    for node in wire.ROW_NODES:
        yield node, frozenset(ROW_FIELDS[node]) | ROW_CARRIED[node]
