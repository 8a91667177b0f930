"""Recomputing a run from outside (外部复算): what the API shows must add up without believing any of its sums.

Every sum is made again from the statements and their cases, by GraphQL alone: gross from the cases' shares, the pool from the grosses, each
statement's lines from each other. The shares themselves are made again from points, by largest remainder.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fenzhi.access.roles import Role
from fenzhi.cli.flow.clearing import statement_cases, statements
from fenzhi.cli.flow.client import Cast
from fenzhi.cli.flow.year import ANNUAL
from fenzhi.rules.clearing.apportionment import apportion

_FIELDS = {
    "deposit": "depositWithheldFen",
    "deductions": "deductionsFen",
    "assessment": "assessmentWithheldFen",
    "not_prepaid": "notPrepaidFen",
    "cash_cut": "cashCutFen",
}
_YEAR_FIELDS = (
    ("bands", "bandWithheldFen"),
    ("bonuses", "bonusFen"),
    ("deposit_released", "depositReleasedFen"),
    ("deposit_forfeited", "depositForfeitedFen"),
    ("advance", "advanceFen"),
    ("final", "finalFen"),
)
_RETURNS_AND_DRAWS = ("drawsFen", "returnsFen")


async def annual_statements(cast: Cast, city: str, run_id: str) -> list[dict[str, Any]]:
    """Every statement of an annual run, as the city sees them (年度结算单)."""
    clerk = cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
    return await clerk.all_nodes(ANNUAL, "clearingRun.statements", {"id": run_id})


async def recompute(cast: Cast, city: str, run: dict[str, Any], *, with_cases: bool = True) -> list[str]:
    """Everything that does not add up in a published run (复算差异); empty when all is well."""
    is_year = run["kind"] == "YEAR"
    lines = await (annual_statements if is_year else statements)(cast, city, run["id"])
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
    if kind in ("QUARTER", "YEAR") and transfer != _fen(line, "transferFen"):
        found.append(f"{who}: transfer {line['transferFen']} ≠ payable − paid − offsets {transfer}")
    if kind == "YEAR":
        found += _year_faults(who, line)
    return found


def _year_faults(who: str, line: dict[str, Any]) -> list[str]:
    """What a year adds: the deposit returns or is forfeited, and the last transfer stands on what was paid."""
    found = []
    if _fen(line, "depositWithheldFen") != _fen(line, "depositReleasedFen", "depositForfeitedFen"):
        found.append(f"{who}: deposit {line['depositWithheldFen']} ≠ released + forfeited")
    taken = _fen(line, "priorPaidFen", "offsetFen", "advanceFen", "depositForfeitedFen")
    final = _fen(line, "clearedFen") - taken
    if final != _fen(line, "finalFen"):
        found.append(f"{who}: final {line['finalFen']} ≠ cleared − paid − offsets − advance − forfeited {final}")
    if line["changes"] is not None:
        moved = sum(int(one["fen"]) for one in line["changes"]["causes"])
        if moved != int(line["changes"]["afterFen"]) - int(line["changes"]["beforeFen"]):
            found.append(f"{who}: the causes do not add up to the change")
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
    fields = _YEAR_FIELDS if run["kind"] == "YEAR" else ()
    for name in ("deposit", "deductions", "assessment", "not_prepaid", "cash_cut", *dict(fields)):
        account = next((int(a["fen"]) for a in summary["accounts"] if a["name"] == name), None)
        field = (_FIELDS | dict(fields))[name]
        total = sum(_fen(line, field) for line in lines)
        if account is not None and abs(account) != abs(total):
            found.append(f"account {name} {account} ≠ Σ statements {total}")
    if run["kind"] == "YEAR":
        drawn = sum(int(a["fen"]) for a in summary["accounts"] if a["name"].startswith("drawn_from_"))
        bonuses = sum(_fen(line, "bonusFen") for line in lines)
        if drawn != bonuses:
            found.append(f"bonuses {bonuses} ≠ what their sources gave {drawn}")
    if run["kind"] in ("QUARTER", "YEAR"):
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
