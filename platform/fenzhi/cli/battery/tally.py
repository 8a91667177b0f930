"""What a section tried and what held (测试计数)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Skipped(Exception):
    """This machine lacks what the section needs (本机不具备条件); says what."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh, self.en = zh, en


@dataclass
class Tally:
    """Counts by target, every failure named, and figures measured on the way (计数与结论)."""

    tried: dict[str, int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def saw(self, target: str, holds: bool, detail: str) -> None:
        """Count one try against a target; a failure is kept with its detail."""
        self.tried[target] = self.tried.get(target, 0) + 1
        self.held[target] = self.held.get(target, 0) + holds
        if not holds:
            self.failures.append(f"{target}: {detail}"[:500])

    def report(self, section: str, seed: int) -> Mapping[str, Any]:
        """The section's report as JSON values."""
        return {
            "section": section,
            "seed": seed,
            "tried": sum(self.tried.values()),
            "held": sum(self.held.values()),
            "targets": {name: {"tried": self.tried[name], "held": self.held[name]} for name in sorted(self.tried)},
            "failures": self.failures[:100],
            "figures": self.figures,
        }
