"""What a demonstration came to (演示结果), as numbers that must add up and as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fenzhi.cli.flow.submission import Intake


@dataclass
class Outcome:
    """The numbers of one demonstration (演示汇总)."""

    intake: Intake = field(default_factory=Intake)
    history: Intake = field(default_factory=Intake)
    runs: list[dict[str, Any]] = field(default_factory=list)
    statements: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Run id → statements."""
    books: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Annual run id → the books of its pool once everything is paid."""
    later_cases: int = 0
    """Cases whose settlement month lies after the last cleared quarter."""
    scorecards: list[dict[str, Any]] = field(default_factory=list)
    catalog: dict[str, Any] = field(default_factory=dict)
    explained: dict[str, Any] = field(default_factory=dict)
    wall_s: float = 0.0

    def last_quarters(self) -> list[dict[str, Any]]:
        """The latest quarter run of each pool."""
        return self._latest(("QUARTER",))

    def last_runs(self) -> list[dict[str, Any]]:
        """The annual run of each pool, or its latest quarter where the year is not cleared."""
        return self._latest(("QUARTER", "YEAR"))

    def _latest(self, kinds: tuple[str, ...]) -> list[dict[str, Any]]:
        latest: dict[tuple[str, str], dict[str, Any]] = {}
        for run in self.runs:
            if run["kind"] in kinds:
                latest[run["areaCode"], run["insurance"]] = run
        return list(latest.values())

    def rows(self) -> dict[str, Any]:
        """What became of every row (逐行去向)."""
        final = self.last_runs()
        return {
            "in": self.intake.rows,
            "cleared": sum(run["summary"]["cases"] for run in final),
            "pending": sum(run["summary"]["pendingCases"] for run in final) + self.later_cases,
            "refused": dict(sorted(self.intake.refused_by_code.items())),
            "superseded": self.intake.superseding,
            "history_used": self.history.accepted,
            "history_set_aside": dict(sorted(self.history.refused_by_code.items())),
        }

    def faults(self) -> list[str]:
        """Everything that does not add up (不平之处); empty when all is well."""
        rows = self.rows()
        refused = sum(rows["refused"].values())
        found = []
        if rows["in"] != rows["cleared"] + rows["pending"] + refused + rows["superseded"]:
            found.append(f"rows: in {rows['in']} ≠ cleared + pending + refused + superseded ({rows})")
        if self.history.rows != rows["history_used"] + sum(rows["history_set_aside"].values()):
            found.append("history: rows ≠ used + set aside")
        for run in self.runs:
            if run["summary"]["unexplainedFen"] != "0":
                found.append(
                    f"{run['areaCode']} {run['insurance']} {run['kind']}: unexplained {run['summary']['unexplainedFen']}"
                )
        for run_id, balances in self.books.items():
            total = sum(int(row["balanceFen"]) for row in balances)
            owed = sum(int(row["balanceFen"]) for row in balances if row["account"] == "payable")
            if total or owed:
                found.append(
                    f"books of {run_id}: they sum to {total}, {owed} is still payable after everything was paid"
                )
        return found

    def pools(self) -> list[dict[str, Any]]:
        """One entry per run (资金池)."""
        entries = []
        for run in self.runs:
            lines = self.statements[run["id"]]
            summary = run["summary"]
            entries.append(
                {
                    "area": run["areaCode"],
                    "insurance": run["insurance"].lower(),
                    "kind": run["poolScope"].lower(),
                    "run": run["kind"].lower(),
                    "period": run["period"],
                    "pool_fen": int(summary["poolFen"]),
                    "payable_fen": sum(int(line["payableFen"]) for line in lines),
                    "deposit_fen": sum(int(line["depositWithheldFen"]) for line in lines),
                    "prior_paid_fen": sum(int(line["priorPaidFen"]) for line in lines),
                    "accounts": {a["name"]: int(a["fen"]) for a in summary["accounts"]},
                    **({"final_fen": sum(int(line["finalFen"]) for line in lines)} if run["kind"] == "YEAR" else {}),
                    "unexplained_fen": int(summary["unexplainedFen"]),
                }
            )
        return entries

    def hospitals(self) -> list[dict[str, Any]]:
        """One entry per hospital over its pools of the year, or of the latest quarter (医院汇总)."""
        lights = {card["hospitalCode"]: card["light"] for card in self.scorecards}
        sums: dict[str, dict[str, Any]] = {}
        for run in self.last_runs():
            for line in self.statements[run["id"]]:
                one = sums.setdefault(
                    line["hospitalCode"],
                    {
                        "hospital": line["hospitalCode"],
                        "name": line["hospitalName"],
                        "area": run["areaCode"],
                        "cases": 0,
                        "points": "0",
                        "gross_fen": 0,
                        "payable_fen": 0,
                        "deposit_fen": 0,
                        "prior_paid_fen": 0,
                        "transfer_fen": 0,
                        "final_fen": 0,
                    },
                )
                one["cases"] += line["caseCount"]
                one["points"] = _sum(one["points"], line["points"])
                for name, source in (
                    ("gross_fen", "grossFen"),
                    ("payable_fen", "payableFen"),
                    ("deposit_fen", "depositWithheldFen"),
                    ("prior_paid_fen", "priorPaidFen"),
                    ("transfer_fen", "transferFen"),
                    ("final_fen", "finalFen"),
                ):
                    one[name] += int(line.get(source, 0))
        for code, one in sums.items():
            one["light"] = lights.get(code, "NONE").lower()
        return [sums[code] for code in sorted(sums)]

    def as_json(self) -> dict[str, Any]:
        """The whole outcome (结果 JSON)."""
        return {
            "rows": self.rows(),
            "pools": self.pools(),
            "hospitals": self.hospitals(),
            "catalog": self.catalog,
            "wall_s": round(self.wall_s, 1),
        }


def _sum(first: str, second: str) -> str:
    return format(Decimal(first) + Decimal(second), "f")
