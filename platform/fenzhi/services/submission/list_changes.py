"""What one version of a list changed of another (版本差异): field by field, row by row, personal values never shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from fenzhi.services.submission.national.message import MASK, PERSONAL


@dataclass(frozen=True, slots=True)
class Change:
    """One changed place (变化项). Blank text stands for what is not there."""

    path: str
    before: str
    after: str


def changes(before: bytes, after: bytes) -> tuple[Change, ...]:
    """The places at which two canonical lists differ, in order of place (比较两版清单). The version itself does not count.

    >>> [(c.path, c.before, c.after) for c in changes(b'{"age":7,"psn_name":"a"}', b'{"age":8,"psn_name":"b"}')]
    [('age', '7', '8'), ('psn_name', '***', '***')]
    """
    old, new = (dict(_leaves(msgspec.json.decode(line), "")) for line in (before, after))
    places = [place for place in dict.fromkeys([*old, *new]) if place != "version"]
    return tuple(
        _change(place, old.get(place, ""), new.get(place, ""))
        for place in sorted(places)
        if old.get(place) != new.get(place)
    )


def _change(place: str, before: str, after: str) -> Change:
    if place.rpartition(".")[2] in PERSONAL:
        return Change(place, MASK if before else "", MASK if after else "")
    return Change(place, before, after)


def _leaves(value: Any, place: str) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [leaf for name, item in value.items() for leaf in _leaves(item, f"{place}.{name}" if place else name)]
    if isinstance(value, list):
        return [leaf for number, item in enumerate(value) for leaf in _leaves(item, f"{place}[{number}]")]
    return [(place, value if isinstance(value, str) else msgspec.json.encode(value).decode())]
