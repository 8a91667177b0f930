"""Recomputing a run from outside (外部复算): what the API shows must add up without believing any of its sums.

Every sum is made again from the statements and their cases, by GraphQL alone: gross from the cases' shares, the pool from the grosses, each
statement's lines from each other. The shares themselves are made again from points, by largest remainder.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fenzhi.cli.flow.clearing import statement_cases, statements
from fenzhi.cli.flow.client import Cast
from fenzhi.rules.clearing.apportionment import apportion

_RETURNS_AND_DRAWS = ("drawsFen", "returnsFen")


async def recompute(cast: Cast, city: str, run: dict[str, Any], *, with_cases: bool = True) -> list[str]:
    """Everything that does not add up in a published run (复算差异); empty when all is well."""
    lines = await statements(cast, city, run["id"])
    found = [fault for line in lines for fault in _statement_faults(run["kind"], line)]
    found += _pool_faults(run, lines)
    if with_cases:
        for line in lines:
            found += _case_faults(line, await statement_cases(cast, city, line["id"]))
    return [f"{run['areaCode']} {run['insurance']} {run['kind']} {run['period']}: {fault}" for fault in found]


def _fen(line: dict[str, Any], *names: str) -> int:
    return sum(int(line[name]) for name in names)


def _statement_faults(kind: str, line: dict[str, Any]) -> list[str]:
    found = []
    who = line["hospitalCode"]
    withheld = _fen(
        line,
        "depositWithheldFen",
        "deductionsFen",
        "assessmentWithheldFen",
        "bandWithheldFen",
        "notPrepaidFen",
        "cashCutFen",
    )
    explained = _fen(line, "payableFen") + withheld - _fen(line, "bonusFen")
    if explained != _fen(line, "grossFen"):
        found.append(f"{who}: gross {line['grossFen']} ≠ its parts {explained}")
    transfer = _fen(line, "payableFen") - _fen(line, "priorPaidFen") - _fen(line, "offsetFen")
    if kind == "QUARTER" and transfer != _fen(line, "transferFen"):
        found.append(f"{who}: transfer {line['transferFen']} ≠ payable − paid − offsets {transfer}")
    return found


def _pool_faults(run: dict[str, Any], lines: list[dict[str, Any]]) -> list[str]:
    summary = run["summary"]
    found = []
    gross = sum(_fen(line, "grossFen") for line in lines)
    if gross != int(summary["grossFen"]):
        found.append(f"Σ gross {gross} ≠ summary {summary['grossFen']}")
    draws, returns = (int(summary[name]) for name in _RETURNS_AND_DRAWS)
    if int(summary["poolFen"]) + draws != gross + returns:
        found.append(f"pool {summary['poolFen']} + draws {draws} ≠ Σ gross {gross} + returns {returns}")
    for name in ("deposit", "deductions", "assessment", "not_prepaid", "cash_cut"):
        account = next((int(a["fen"]) for a in summary["accounts"] if a["name"].startswith(name)), None)
        field = {
            "deposit": "depositWithheldFen",
            "deductions": "deductionsFen",
            "assessment": "assessmentWithheldFen",
            "not_prepaid": "notPrepaidFen",
            "cash_cut": "cashCutFen",
        }[name]
        total = sum(_fen(line, field) for line in lines)
        if account is not None and abs(account) != abs(total):
            found.append(f"account {name} {account} ≠ Σ statements {total}")
    if run["kind"] == "QUARTER":
        scale = Decimal(10) ** 12
        weights = {
            line["hospitalCode"]: int(Decimal(line["points"]) * scale) for line in lines if Decimal(line["points"])
        }
        if weights and returns == draws == 0:
            shares = apportion(int(summary["poolFen"]), weights)
            wrong = [
                line["hospitalCode"] for line in lines if shares.get(line["hospitalCode"], 0) != int(line["grossFen"])
            ]
            if wrong:
                found.append(f"gross is not the largest-remainder share of the pool for {wrong[:5]}")
    return found


def _case_faults(line: dict[str, Any], cases: list[dict[str, Any]]) -> list[str]:
    found = []
    who = line["hospitalCode"]
    cleared = [case for case in cases if case["disposition"] == "cleared"]
    if len({case["caseId"] for case in cases}) != len(cases):
        found.append(f"{who}: a case stands twice")
    if len(cleared) != line["caseCount"] or len(cases) - len(cleared) != line["pendingCases"]:
        found.append(
            f"{who}: {len(cleared)} cleared and {len(cases) - len(cleared)} pending cases, the statement says otherwise"
        )
    if sum(int(case["shareFen"]) for case in cleared) != int(line["grossFen"]):
        found.append(f"{who}: Σ case shares ≠ gross {line['grossFen']}")
    if sum(Decimal(case["points"]) for case in cleared) != Decimal(line["points"]):
        found.append(f"{who}: Σ case points ≠ points {line['points']}")
    if sum(int(case["totalFen"]) for case in cleared) != int(line["costFen"]):
        found.append(f"{who}: Σ case costs ≠ cost {line['costFen']}")
    return found
