"""The year as its users clear it (年度清算流程): assessed, computed, sent out, answered by every hospital, approved, posted, paid, locked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from fenzhi.access.roles import Role
from fenzhi.cli.flow.clearing import RUN
from fenzhi.cli.flow.client import Actor, Cast, StepRefused

ANNUAL = """
query($id: ID!, $after: String) { clearingRun(id: $id) { statements(first: 100, after: $after) {
  nodes { id hospitalCode hospitalName caseCount pendingCases points costFen bookedFen patientFen grossFen notPrepaidFen cashCutFen
          deductionsFen assessmentWithheldFen bandWithheldFen bonusFen clearedFen depositWithheldFen depositPostingFen
          payableFen priorPaidFen offsetFen transferFen remainderFen depositReleasedFen depositForfeitedFen advanceFen finalFen
          changes { beforeFen afterFen causes { cause fen } } }
  pageInfo { hasNextPage endCursor } } } }
"""
BOOKS = """
query($insurance: Insurance!, $year: Int!) { fundBooks(insurance: $insurance, poolScope: LOCAL, year: $year) {
  hospitalCode account balanceFen } }
"""
_ROWS = 100
_AT_ONCE = 8


async def assess(
    cast: Cast, city: str, insurance: str, year: int, coefficients: Mapping[str, str], document: str
) -> None:
    """Enter and approve the assessment of every hospital (录入并审批考核结果)."""
    clerk = cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
    approver = cast.actor(city, Role.CITY_SETTLEMENT_APPROVER)
    codes = sorted(coefficients)
    for start in range(0, len(codes), _ROWS):
        rows = [{"hospital": code, "coefficient": coefficients[code]} for code in codes[start : start + _ROWS]]
        order = {
            "insurance": insurance.upper(),
            "poolScope": "LOCAL",
            "year": year,
            "rows": rows,
            "document": document,
            "reason": "年度考核 / assessment of the year",
        }
        entered = await clerk.do("assessmentsEnter", "AssessmentsEnterInput", order, "assessments { id }")
        ids = {"ids": [one["id"] for one in entered["assessments"]]}
        await approver.do("assessmentsApprove", "YearEntriesDecideInput", ids, "assessments { state }")


async def open_account(
    cast: Cast, city: str, insurance: str, year: int, account: str, amount_fen: int, document: str
) -> None:
    """Enter and approve what an account holds when the year begins (录入并审批期初余额)."""
    clerk = cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
    approver = cast.actor(city, Role.CITY_SETTLEMENT_APPROVER)
    order = {
        "insurance": insurance.upper(),
        "poolScope": "LOCAL",
        "year": year,
        "account": account.upper(),
        "amountFen": str(amount_fen),
        "document": document,
        "reason": "期初余额 / opening balance",
    }
    entered = await clerk.do("accountOpeningEnter", "AccountOpeningEnterInput", order, "openings { id }")
    ids = {"ids": [one["id"] for one in entered["openings"]]}
    await approver.do("accountOpeningsApprove", "YearEntriesDecideInput", ids, "openings { state }")


async def clear_year(cast: Cast, city: str, insurance: str, year: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Start, compute, send out, have every hospital confirm, approve by a second person, post; the run and its statements.

    Raises: StepRefused with the law and account named when the run stopped.
    """
    clerk = cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
    approver = cast.actor(city, Role.CITY_SETTLEMENT_APPROVER)
    order = {"kind": "YEAR", "insurance": insurance.upper(), "poolScope": "LOCAL", "year": year, "period": 1}
    run = (await clerk.do("clearingRunStart", "ClearingRunStartInput", order, "run { id jobId }"))["run"]
    await clerk.wait(run["jobId"])
    await clerk.do("clearingRunIssue", "ClearingRunIssueInput", {"run": run["id"]}, "run { state }")
    lines = await clerk.all_nodes(ANNUAL, "clearingRun.statements", {"id": run["id"]})
    await confirm_all(cast, lines)
    await approver.do("clearingRunApprove", "ClearingRunStepInput", {"run": run["id"]}, "run { state }")
    await approver.do("clearingRunPublish", "ClearingRunStepInput", {"run": run["id"]}, "run { state }")
    found: dict[str, Any] = (await clerk.ask(RUN, {"id": run["id"]}))["clearingRun"]
    if found["state"] != "PUBLISHED":
        raise StepRefused(f"年度清算未公布：{found['state']}", f"The annual run is {found['state']}: {found['error']}")
    return found, lines


async def confirm_all(cast: Cast, lines: Sequence[dict[str, Any]]) -> None:
    """Every hospital confirms its statement (各机构确认)."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(line: dict[str, Any]) -> None:
        async with slots:
            hospital = cast.actor(line["hospitalCode"], Role.HOSPITAL_SUBMITTER)
            await _act(hospital, "statementConfirm", line["id"])

    await asyncio.gather(*(one(line) for line in lines))


async def settle_year(
    cast: Cast, city: str, run: dict[str, Any], lines: Sequence[dict[str, Any]], paid_on: date
) -> int:
    """Pay every positive final and lock every statement (拨付并锁定); what was paid, in fen."""
    clerk = cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
    approver = cast.actor(city, Role.CITY_SETTLEMENT_APPROVER)
    total = 0
    for line in lines:
        amount = int(line["finalFen"])
        if amount > 0:
            order = {
                "run": run["id"],
                "hospital": line["hospitalCode"],
                "voucher": f"Y{run['year']}-{run['insurance']}-{line['hospitalCode']}",
                "paidOn": paid_on.isoformat(),
                "amountFen": str(amount),
            }
            await clerk.do("paymentRecord", "PaymentRecordInput", order, "payment { id }")
            total += amount
        await _act(approver, "statementLock", line["id"])
    return total


async def _act(actor: Actor, name: str, statement: str, reason: str = "") -> None:
    await actor.do(name, "StatementActInput", {"statement": statement, "reason": reason}, "statement { id }")


async def books(cast: Cast, city: str, insurance: str, year: int) -> list[dict[str, Any]]:
    """The books of a pool's year (总账余额)."""
    clerk = cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
    found: list[dict[str, Any]] = (await clerk.ask(BOOKS, {"insurance": insurance.upper(), "year": year}))["fundBooks"]
    return found
