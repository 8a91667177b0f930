"""What a policy parameter is and which values it may take (策略参数的定义与取值校验).

All values travel as text, lists of text, maps and small tables of text: a number from a document is written as the
document writes it, and no float ever stands between the document and the rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from fenzhi.rules.quantities import exact_decimal, fen_from_yuan
from fenzhi.rules.refusals import Refusal


class Layer(StrEnum):
    """Who speaks (层级): a lower layer overrides a higher one, field by field."""

    NATION = "nation"
    PROVINCE = "province"
    AREA = "area"

    @property
    def rank(self) -> int:
        return (Layer.NATION, Layer.PROVINCE, Layer.AREA).index(self)

    @property
    def zh(self) -> str:
        return {Layer.NATION: "国家", Layer.PROVINCE: "省级", Layer.AREA: "统筹区"}[self]

    @property
    def en(self) -> str:
        return {Layer.NATION: "the nation", Layer.PROVINCE: "the province", Layer.AREA: "the pooling area"}[self]


class Unit(StrEnum):
    """The named units a value may carry (计量单位)."""

    RATIO = "ratio"  # 比例或倍数, an exact decimal
    COUNT = "count"  # 个数
    DAYS = "days"  # 天数
    PLACES = "places"  # 小数位数
    YUAN = "yuan"  # 元, at most two decimals
    FLAG = "flag"  # 是否: "true" or "false"
    METHOD = "method"  # 方法: one of the named methods
    TEXT = "text"  # 文本
    LIST = "list"  # 有序列表
    WEIGHTS = "weights"  # 权重, decimals from oldest to newest
    MAP = "map"  # 对照表, code to text
    TABLE = "table"  # 小表, rows with the named columns


class Standing(StrEnum):
    """How a document stands (文件效力), shown wherever the value is shown."""

    IN_FORCE = "in_force"  # 现行文件
    DRAFT = "draft"  # 征求意见稿
    SECONDARY = "secondary"  # 转引，未见原文
    PRODUCT = "product"  # 平台默认规则，无国家文本
    CONSTRUCTED = "constructed"  # 演示构造


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """The document a value rests on (文件依据)."""

    title: str
    issued_on: date | None = None
    part: str = ""
    excerpt: str = ""
    """The sentence of the document, quoted (原文摘录)."""
    gist: str = ""
    """What the document says, in our words, where its text could not be quoted (要旨)."""
    standing: Standing = Standing.IN_FORCE

    def __str__(self) -> str:
        return f"{self.title} {self.part}".strip()


@dataclass(frozen=True, slots=True)
class PolicyContent:
    """The value itself, as exact text (参数值): one of the four shapes, told by the unit of its field."""

    scalar: str = ""
    items: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    rows: tuple[tuple[tuple[str, str], ...], ...] = ()


PlainContent = str | list[str] | dict[str, str] | list[dict[str, str]]
"""The shape in which a value enters and leaves: JSON or YAML with text leaves only."""


@dataclass(frozen=True, slots=True)
class PolicyField:
    """The definition of one parameter (参数定义).

    `allowed`: methods of a METHOD, items of a LIST, right-hand values of a MAP; empty means any. `minimum` and
    `maximum` are inclusive and carry the article that sets them in `limit_document`. `optional`: its absence means
    something (`meaning` says what) and is not refused.
    """

    key: str
    unit: Unit
    zh: str
    en: str
    meaning: str = ""
    entered_by: Layer = Layer.AREA
    layers: tuple[Layer, ...] = (Layer.NATION, Layer.PROVINCE, Layer.AREA)
    allowed: tuple[str, ...] = ()
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    limit_document: str = ""
    last_item: str = ""
    """The item a LIST must end with, blank for any."""
    columns: tuple[str, ...] = ()
    optional: bool = False
    national_default: bool = False


@dataclass(frozen=True, slots=True)
class PolicyValue:
    """One value of one layer from one day on (一条策略值).

    `content` None withdraws the layer's own value from that day: the layer above speaks again. `insurance` blank means
    every insurance; a value for one insurance wins over the general one of the same layer. `sequence` orders editions
    of the same day: the later publication wins.
    """

    key: str
    layer: Layer
    effective_from: date
    content: PolicyContent | None
    document: PolicyDocument
    insurance: str = ""
    sequence: int = 0


_NUMERIC = (Unit.RATIO, Unit.COUNT, Unit.DAYS, Unit.PLACES, Unit.YUAN)
_WHOLE = re.compile(r"\d{1,9}", re.ASCII)


def plain_content(field: PolicyField, content: PolicyContent) -> PlainContent:
    """A value in the shape in which it leaves (参数值外部形式)."""
    match field.unit:
        case Unit.LIST | Unit.WEIGHTS:
            return list(content.items)
        case Unit.MAP:
            return dict(content.pairs)
        case Unit.TABLE:
            return [dict(row) for row in content.rows]
        case _:
            return content.scalar


def read_content(field: PolicyField, plain: object, where: str = "") -> tuple[PolicyContent, tuple[Refusal, ...]]:
    """A value as entered, with every fault found in it (读取并校验参数值).

    Refuses: POLICY_VALUE_SHAPE for a wrong shape or a number where text is due, POLICY_VALUE_UNIT for text that the
    unit does not allow, POLICY_VALUE_RANGE outside the limits, POLICY_METHOD_UNKNOWN for a method or item that does
    not exist. The content is meaningful only when no refusal is returned.
    """
    faults = _Faults(field, where or field.key)
    content = PolicyContent()
    match field.unit:
        case Unit.LIST | Unit.WEIGHTS:
            content = _read_items(field, plain, faults)
        case Unit.MAP:
            content = _read_pairs(field, plain, faults)
        case Unit.TABLE:
            content = _read_rows(field, plain, faults)
        case _:
            if isinstance(plain, str):
                content = PolicyContent(scalar=plain)
                _check_scalar(field, plain, faults)
            else:
                faults.shape(plain, "文本（数字也要加引号）", "text, numbers included")
    return content, tuple(faults.found)


class _Faults:
    """Collects the refusals of one value."""

    def __init__(self, field: PolicyField, where: str) -> None:
        self.field = field
        self.where = where
        self.found: list[Refusal] = []

    def add(self, code: str, saw: object, zh: str, en: str, remedy_zh: str, remedy_en: str) -> None:
        self.found.append(
            Refusal(
                code, self.where, str(saw), f"{self.field.zh}：{zh}", f"{self.field.en}: {en}", remedy_zh, remedy_en
            )
        )

    def shape(self, saw: object, zh: str, en: str) -> None:
        self.add(
            "POLICY_VALUE_SHAPE",
            saw,
            f"应为{zh}。",
            f"must be {en}.",
            "请按参数定义的形式填写。",
            "Use the shape of the field.",
        )

    def unit(self, saw: object, zh: str, en: str) -> None:
        self.add("POLICY_VALUE_UNIT", saw, f"应为{zh}。", f"must be {en}.", "请核对文件原文。", "Check the document.")

    def range(self, saw: object) -> None:
        low, high, by = self.field.minimum, self.field.maximum, self.field.limit_document
        zh = f"应在 {'-∞' if low is None else low} 至 {'+∞' if high is None else high} 之间（含两端）{'，依据 ' + by if by else ''}。"
        en = f"must lie between {'-∞' if low is None else low} and {'+∞' if high is None else high}, both inclusive"
        en += f" ({by})." if by else "."
        self.add("POLICY_VALUE_RANGE", saw, zh, en, "请填写限值以内的数值。", "Enter a value within the limits.")

    def method(self, saw: object) -> None:
        names = ", ".join(self.field.allowed)
        self.add(
            "POLICY_METHOD_UNKNOWN", saw, "没有这个方法。", "no such method.", f"可选：{names}", f"One of: {names}"
        )


def _check_scalar(field: PolicyField, text: str, faults: _Faults) -> None:
    number: Decimal | None = None
    try:
        match field.unit:
            case Unit.RATIO:
                number = exact_decimal(text)
            case Unit.YUAN:
                number = Decimal(fen_from_yuan(text)) / 100
            case Unit.COUNT | Unit.DAYS | Unit.PLACES:
                if not _WHOLE.fullmatch(text):
                    raise ValueError(text)
                number = Decimal(text)
            case Unit.FLAG:
                if text not in ("true", "false"):
                    faults.unit(text, "true 或 false", "true or false")
            case Unit.METHOD:
                if text not in field.allowed:
                    faults.method(text)
            case _:
                if not text:
                    faults.unit(text, "非空文本", "text that is not blank")
    except ValueError:
        zh, en = {
            Unit.RATIO: ("十进制小数", "a plain decimal"),
            Unit.YUAN: ("至多两位小数的元金额", "an amount in yuan with at most two decimals"),
        }.get(field.unit, ("非负整数", "a whole number, not negative"))
        faults.unit(text, zh, en)
    if number is not None and _outside(field, number):
        faults.range(text)


def _outside(field: PolicyField, number: Decimal) -> bool:
    below = field.minimum is not None and number < field.minimum
    return below or (field.maximum is not None and number > field.maximum)


def _read_items(field: PolicyField, plain: object, faults: _Faults) -> PolicyContent:
    if not isinstance(plain, list | tuple) or not plain or not all(isinstance(item, str) for item in plain):
        faults.shape(plain, "非空的文本列表", "a list of texts that is not empty")
        return PolicyContent()
    items = tuple(str(item) for item in plain)
    if field.unit is Unit.WEIGHTS:
        total = Decimal(0)
        for item in items:
            try:
                weight = exact_decimal(item)
                if weight < 0:
                    raise ValueError(item)
                total += weight
            except ValueError:
                faults.unit(item, "非负十进制权重", "a decimal weight, not negative")
        if not faults.found and total == 0:
            faults.unit(",".join(items), "合计大于 0 的权重", "weights that add up to more than 0")
        return PolicyContent(items=items)
    for item in items:
        if field.allowed and item not in field.allowed:
            faults.method(item)
    if len(set(items)) != len(items):
        faults.unit(",".join(items), "不重复的列表", "a list without repetition")
    if field.last_item and items[-1] != field.last_item:
        faults.unit(items[-1], f"以 {field.last_item} 结尾的列表", f"a list that ends with {field.last_item}")
    return PolicyContent(items=items)


def _read_pairs(field: PolicyField, plain: object, faults: _Faults) -> PolicyContent:
    if (
        not isinstance(plain, Mapping)
        or not plain
        or not all(isinstance(code, str) and isinstance(text, str) for code, text in plain.items())
    ):
        faults.shape(plain, "非空的文本对照表", "a map from text to text that is not empty")
        return PolicyContent()
    for code, text in plain.items():
        if field.allowed and text not in field.allowed:
            faults.method(f"{code}: {text}")
    return PolicyContent(pairs=tuple(sorted((str(code), str(text)) for code, text in plain.items())))


def _read_rows(field: PolicyField, plain: object, faults: _Faults) -> PolicyContent:
    rows: list[tuple[tuple[str, str], ...]] = []
    for row in plain if isinstance(plain, list | tuple) and plain else [None]:
        if not isinstance(row, Mapping) or set(row) != set(field.columns):
            faults.shape(
                row, f"含列 {'、'.join(field.columns)} 的行", f"rows with the columns {', '.join(field.columns)}"
            )
        elif not all(isinstance(cell, str) for cell in row.values()):
            faults.shape(row, "文本单元格（数字也要加引号）", "text cells, numbers included")
        else:
            rows.append(tuple((column, str(row[column])) for column in field.columns))
    return PolicyContent(rows=tuple(rows))
