"""The values in force for one area on one date (生效策略): layered, explained, pinned.

A run resolves its policy once, keeps the canonical text in its manifest and reads every number from it. Two runs with
the same fingerprint were computed from the same numbers by the same documents.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256

from fenzhi.rules.policy.fields import (
    Layer,
    PolicyContent,
    PolicyDocument,
    PolicyField,
    PolicyValue,
    Standing,
    Unit,
    plain_content,
    read_content,
)
from fenzhi.rules.quantities import exact_decimal, fen_from_yuan
from fenzhi.rules.refusals import Conflict, InvariantBroken


class PolicyNotEntered(Conflict):
    """A parameter without a national default that nobody entered (策略参数未录入). The run refuses, it does not guess."""

    code = "POLICY_NOT_ENTERED"

    def __init__(self, field: PolicyField, on_date: date) -> None:
        day = on_date.isoformat()
        super().__init__(
            f"策略参数“{field.zh}”（{field.key}）在 {day} 没有生效值，国家文件未规定默认值。",
            f"Policy parameter {field.key} ({field.en}) has no value in force on {day} and no national default.",
            hint=f"请由{field.entered_by.zh}录入并附文件依据。 It must be entered by {field.entered_by.en}, with its document.",
            key=field.key,
            name=field.zh,
            entered_by=field.entered_by.value,
            date=day,
        )
        self.field = field


@dataclass(frozen=True, slots=True)
class ResolvedPolicy:
    """Every parameter as in force for one area and insurance on one date (生效策略值).

    Built by `resolve` or `from_canonical`. Reading a key that no definition knows is our own mistake (KeyError);
    reading one that nobody entered raises PolicyNotEntered.
    """

    on_date: date
    insurance: str
    fields: Mapping[str, PolicyField]
    values: Mapping[str, PolicyValue]

    def has(self, key: str) -> bool:
        """Whether the parameter has a value (是否已有值)."""
        return self.fields[key].key in self.values

    def text(self, key: str) -> str:
        """A value as its exact text (原文)."""
        return self._content(key).scalar

    def method(self, key: str) -> str:
        """The named method chosen (所选方法)."""
        return self._content(key, Unit.METHOD).scalar

    def flag(self, key: str) -> bool:
        """A yes or no (是否)."""
        return self._content(key, Unit.FLAG).scalar == "true"

    def decimal(self, key: str) -> Decimal:
        """An exact decimal (精确小数). Units: those of the field."""
        return exact_decimal(self._content(key, Unit.RATIO).scalar)

    def fraction(self, key: str) -> Fraction:
        """An exact decimal as a fraction (精确分数)."""
        return Fraction(self.decimal(key))

    def optional_fraction(self, key: str) -> Fraction | None:
        """As `fraction`, None where an optional parameter is absent (可缺省的比例)."""
        return self.fraction(key) if self.has(key) else None

    def integer(self, key: str) -> int:
        """A count, a number of days or of places (整数)."""
        return int(self._content(key, Unit.COUNT, Unit.DAYS, Unit.PLACES).scalar)

    def fen(self, key: str) -> int:
        """An amount, in fen (金额，分)."""
        return fen_from_yuan(self._content(key, Unit.YUAN).scalar)

    def optional_fen(self, key: str) -> int | None:
        """As `fen`, None where an optional parameter is absent (可缺省的金额)."""
        return self.fen(key) if self.has(key) else None

    def list(self, key: str) -> tuple[str, ...]:
        """An ordered list (有序列表)."""
        return self._content(key, Unit.LIST, Unit.WEIGHTS).items

    def weights(self, key: str) -> tuple[Fraction, ...]:
        """Weights, oldest year first (权重，由远及近)."""
        return tuple(Fraction(exact_decimal(item)) for item in self._content(key, Unit.WEIGHTS).items)

    def map(self, key: str) -> dict[str, str]:
        """A map from code to text (对照表)."""
        return dict(self._content(key, Unit.MAP).pairs)

    def table(self, key: str) -> tuple[dict[str, str], ...]:
        """The rows of a small table (小表)."""
        return tuple(dict(row) for row in self._content(key, Unit.TABLE).rows)

    def document(self, key: str) -> PolicyDocument:
        """The document the value rests on (文件依据)."""
        return self._value(key).document

    def layer(self, key: str) -> Layer:
        """Which layer spoke (生效层级)."""
        return self._value(key).layer

    def not_entered(self) -> tuple[PolicyField, ...]:
        """The parameters somebody still has to enter, in key order (尚未录入的参数)."""
        return tuple(
            field for key, field in sorted(self.fields.items()) if key not in self.values and not field.optional
        )

    def canonical(self) -> str:
        """The resolved content as one text, the same for the same content (规范文本), to be kept in a run's manifest."""
        entries = {
            key: {
                "value": plain_content(self.fields[key], self._content(key)),
                "layer": value.layer.value,
                "insurance": value.insurance,
                "effective_from": value.effective_from.isoformat(),
                "document": {
                    "title": value.document.title,
                    "part": value.document.part,
                    "issued_on": value.document.issued_on.isoformat() if value.document.issued_on else "",
                    "standing": value.document.standing.value,
                },
            }
            for key, value in self.values.items()
        }
        whole = {"on_date": self.on_date.isoformat(), "insurance": self.insurance, "values": entries}
        return json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    def fingerprint(self) -> str:
        """sha256 of the resolved values and documents (策略指纹), blind to order and to the date of asking.

        Two dates between which nothing changed have the same fingerprint.
        """
        entries = json.loads(self.canonical())["values"]
        text = json.dumps(entries, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return sha256(text.encode()).hexdigest()

    def __iter__(self) -> Iterator[PolicyValue]:
        return iter(self.values[key] for key in sorted(self.values))

    def _value(self, key: str) -> PolicyValue:
        field = self.fields[key]
        value = self.values.get(key)
        if value is None:
            raise PolicyNotEntered(field, self.on_date)
        return value

    def _content(self, key: str, *units: Unit) -> PolicyContent:
        value = self._value(key)
        if units and self.fields[key].unit not in units:
            raise TypeError(f"{key} is a {self.fields[key].unit.value}, not a {units[0].value}")
        if value.content is None:
            raise InvariantBroken("a resolved policy value is never a withdrawal", detail=key)
        return value.content


def resolve(
    fields: Iterable[PolicyField], values: Iterable[PolicyValue], on_date: date, *, insurance: str = ""
) -> ResolvedPolicy:
    """The value of every parameter in force on a date (分层取值): area over province over nation, field by field.

    Within a layer the value for the insurance wins over the general one, then the latest `effective_from` not after
    `on_date`, then the latest publication (`sequence`). A withdrawn value lets the layer above speak. The order of
    `values` does not matter. Raises: Conflict POLICY_AMBIGUOUS when two values stand on exactly the same place;
    KeyError for a value whose key no field defines.
    """
    defined = {field.key: field for field in fields}
    newest: dict[tuple[str, Layer, str], PolicyValue] = {}
    for value in values:
        if value.key not in defined:
            raise KeyError(value.key)
        if value.effective_from > on_date or value.insurance not in ("", insurance):
            continue
        place = (value.key, value.layer, value.insurance)
        held = newest.get(place)
        order = (value.effective_from, value.sequence)
        if held is None or order > (held.effective_from, held.sequence):
            newest[place] = value
        elif order == (held.effective_from, held.sequence) and held != value:
            raise Conflict(
                f"策略参数 {value.key} 在同一层级、同一施行日期有两个值。",
                f"Policy parameter {value.key} has two values for the same layer and day.",
                code="POLICY_AMBIGUOUS",
                key=value.key,
            )
    in_force: dict[str, PolicyValue] = {}
    for value in sorted(newest.values(), key=lambda value: (value.layer.rank, value.insurance != "")):
        if value.content is not None:
            in_force[value.key] = value
    return ResolvedPolicy(on_date, insurance, defined, in_force)


def from_canonical(fields: Iterable[PolicyField], text: str) -> ResolvedPolicy:
    """The resolved policy a run kept (由规范文本还原): the same values, layers and documents, excerpts left out.

    Raises: InvariantBroken when a kept value no longer reads under its field, because a run must replay as it ran.
    """
    defined = {field.key: field for field in fields}
    whole = json.loads(text)
    values: dict[str, PolicyValue] = {}
    for key, entry in whole["values"].items():
        content, faults = read_content(defined[key], entry["value"])
        if faults:
            raise InvariantBroken("a kept policy value reads as it was written", detail=f"{key}: {faults[0].en}")
        document = entry["document"]
        values[key] = PolicyValue(
            key,
            Layer(entry["layer"]),
            date.fromisoformat(entry["effective_from"]),
            content,
            PolicyDocument(
                document["title"],
                date.fromisoformat(document["issued_on"]) if document["issued_on"] else None,
                document["part"],
                standing=Standing(document["standing"]),
            ),
            entry["insurance"],
        )
    return ResolvedPolicy(date.fromisoformat(whole["on_date"]), whole["insurance"], defined, values)
