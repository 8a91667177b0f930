"""Where a demonstration's province, history and lists come from (演示数据来源): invented by seed, or a folder of public claims."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

from fenzhi.cli import claims
from fenzhi.cli.synthetic import lists as synthetic_lists
from fenzhi.cli.synthetic.plan import ProvincePlan
from fenzhi.cli.synthetic.province import synthetic_province


@dataclass(frozen=True)
class DemoSource:
    """A province with its history and its lists (演示数据)."""

    plan: ProvincePlan
    history: Callable[[], Iterator[dict[str, Any]]]
    lists: Callable[[], Iterator[tuple[str, bytes]]]
    months: tuple[int, ...]
    """Months to pre-settle."""
    quarters: tuple[int, ...]
    """Quarters to clear, cumulative."""
    fund_share_of_last_year: Fraction
    """The annual budget as a share of last year's booked fund; stated and constructed."""
    curve: tuple[str, ...]
    """The quarterly curve c1…c4 of the budget."""
    clears_year: bool = False
    """Whether the annual clearing follows the quarters."""

    def lists_by_hospital(self) -> dict[str, list[bytes]]:
        """Hospital code → its lists, one wire line each, in the order of the source (按机构归集清单)."""
        found: dict[str, list[bytes]] = defaultdict(list)
        for code, line in self.lists():
            found[code].append(line)
        return found


def synthetic(cases: int, seed: int) -> DemoSource:
    """An invented province with `cases` lists in its first quarter (合成数据)."""
    plan = synthetic_province(seed)
    year = plan.settlement_year
    return DemoSource(
        plan=plan,
        history=lambda: synthetic_lists.history(plan, cases),
        lists=lambda: synthetic_lists.settlement_lists(plan, cases, date(year, 1, 1), date(year, 3, 31)),
        months=(1, 2),
        quarters=(1,),
        fund_share_of_last_year=Fraction(4),
        curve=("0.25", "0.5", "0.75", "1"),
    )


def claimed(folder: Path) -> DemoSource:
    """The public claims of a folder, its last year submitted as lists, all four quarters cleared (公开数据)."""
    plan = claims.claims_province(folder)
    return DemoSource(
        plan=plan,
        history=lambda: claims.history(folder),
        lists=lambda: claims.settlement_lists(folder, plan),
        months=(1, 2),
        quarters=(1, 2, 3, 4),
        fund_share_of_last_year=Fraction(11, 20),
        curve=("0.3", "0.6", "0.85", "1"),
        clears_year=True,
    )
