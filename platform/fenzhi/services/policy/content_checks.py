"""What a value must be beyond its unit (取值的专门校验): asked when it is proposed, so that nobody approves what no run can read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fenzhi.rules.refusals import Refusal
from fenzhi.rules.scorecard.quality_league import weight_faults
from fenzhi.rules.submission.optional_checks import unknown_checks, unreadable_bands, unreadable_ranges

_CHECKS: Mapping[str, Callable[[Any], list[Refusal]]] = {
    "submission.optional_checks": unknown_checks,
    "submission.age_limited_diagnoses": unreadable_ranges,
    "submission.diagnosis_cost_bands": unreadable_bands,
    "scorecard.quality_weights": weight_faults,
}
"""Key → every fault of a value that has the right shape."""


def content_faults(key: str, content: object, where: str) -> list[Refusal]:
    """Every fault of a proposed value that its unit does not show (专门校验差错), all at once, at its place in the proposal."""
    check = _CHECKS.get(key)
    return [replace(fault, where=where) for fault in check(content)] if check is not None else []
