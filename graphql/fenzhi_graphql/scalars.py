"""Scalars of the API (标量): exact values travel as text, never as a float."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition, scalar

from fenzhi.rules.quantities import exact_decimal

Fen = NewType("Fen", int)
ExactDecimal = NewType("ExactDecimal", Decimal)


def exact_points(points: int, places: int) -> ExactDecimal:
    """Stored points as an exact decimal."""
    return ExactDecimal(Decimal(points).scaleb(-places))


_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)


def _parse_fen(value: Any) -> int:
    if not isinstance(value, str) or not _WHOLE.fullmatch(value):
        raise ValueError('Fen is a whole number of fen as a string, such as "2706800"')
    return int(value)


def _parse_decimal(value: Any) -> Decimal:
    if not isinstance(value, str):
        raise ValueError('Decimal is a string, such as "0.95": a JSON number would have been a float')
    return exact_decimal(value)


def _plain(value: Any) -> str:
    return format(Decimal(value), "f")


SCALARS: dict[object, ScalarDefinition] = {
    Fen: scalar(
        name="Fen",
        description="An amount in fen (分, one hundredth of a yuan), a whole number as a string.",
        serialize=str,
        parse_value=_parse_fen,
    ),
    ExactDecimal: scalar(
        name="Decimal",
        description="An exact decimal number as a string (精确小数). JSON numbers are refused.",
        serialize=_plain,
        parse_value=_parse_decimal,
    ),
}
"""For `StrawberryConfig(scalar_map=…)`."""

ID = strawberry.ID
