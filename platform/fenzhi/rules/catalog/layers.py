"""How many groups an edition has, layer by layer (目录分层计数). Counts are read from the edition, never written into code."""

from __future__ import annotations

from collections.abc import Mapping


def layer_counts(ranges: Mapping[str, tuple[int, int]]) -> Mapping[str, int]:
    """Groups of each layer from its first and last sequence number (各层病种数).

    Raises: ValueError for a range that ends before it begins, or that overlaps another.

    >>> layer_counts({"priority": (1, 19), "merged": (20, 1744)})
    {'priority': 19, 'merged': 1725}
    """
    reached = 0
    for name, (first, last) in sorted(ranges.items(), key=lambda item: item[1]):
        if first <= reached or last < first:
            raise ValueError(f"the sequence of {name} overlaps another or ends before it begins")
        reached = last
    return {name: last - first + 1 for name, (first, last) in ranges.items()}


def disagreement(stated: int, parts: Mapping[str, int]) -> int:
    """Stated total minus the sum of its parts (标示总数与分项之和的差): 0 where a document agrees with itself."""
    return stated - sum(parts.values())
