"""The steps that explain a number (计算过程), returned with it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a working (计算步骤): rule id, what it says in both languages, the numbers in and out as exact text."""

    rule: str
    zh: str
    en: str
    values: tuple[tuple[str, str], ...] = ()
    """Name and exact value, in the order of use."""
    document: str = ""
    """The policy document the step rests on (政策依据), blank where none applies."""


Working = tuple[Step, ...]
