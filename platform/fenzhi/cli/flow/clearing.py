"""Running a pool's month or quarter to publication (结算流程), recording payments, and reading what came out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from fenzhi.access.roles import Role
from fenzhi.cli.flow.client import Cast, StepRefused

RUN = """
query($id: ID!) { clearingRun(id: $id) {
  id areaCode kind insurance poolScope year period state jobId error
  summary { poolFen drawsFen grossFen returnsFen unexplainedFen cases pendingCases pending { reason cases }
            points costFen bookedFen fundRatio pointValuePrinted
            accounts { name zh en fen } laws { name unexplainedFen } }
  manifest { sha256 resultSha256 caseCount caseRoot policyFingerprint rulesVersion } } }
"""
STATEMENTS = """
query($id: ID!, $after: String) { clearingRun(id: $id) { statements(first: 100, after: $after) {
  nodes { id hospitalCode hospitalName caseCount pendingCases points costFen bookedFen grossFen notPrepaidFen cashCutFen
          deductionsFen assessmentWithheldFen bandWithheldFen bonusFen clearedFen depositWithheldFen depositPostingFen
          payableFen priorPaidFen offsetFen transferFen remainderFen }
  pageInfo { hasNextPage endCursor } } } }
"""
STATEMENT_CASES = """
query($id: ID!, $after: String) { hospitalStatement(id: $id) { cases(first: 100, after: $after) {
  nodes { caseId disposition groupCode band points shareFen totalFen } pageInfo { hasNextPage endCursor } } } }
"""
Progress = Callable[[int, int], None]


async def run_to_publication(
    cast: Cast,
    city: str,
    kind: str,
    insurance: str,
    year: int,
    period: int,
    on_progress: Progress | None = None,
    *,
    pool_scope: str = "LOCAL",
) -> dict[str, Any]:
    """Start, compute, approve by a second person, publish (发起、计算、审批、公布); the published run.

    Raises: StepRefused with the law and account named when the run stopped.
    """
    clerk = cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
    approver = cast.actor(city, Role.CITY_SETTLEMENT_APPROVER)
    order = {"kind": kind, "insurance": insurance.upper(), "poolScope": pool_scope, "year": year, "period": period}
    started = await clerk.do("clearingRunStart", "ClearingRunStartInput", order, "run { id jobId }")
    run = started["run"]
    await clerk.wait(run["jobId"], on_progress)
    await approver.do("clearingRunApprove", "ClearingRunStepInput", {"run": run["id"]}, "run { state }")
    await approver.do("clearingRunPublish", "ClearingRunStepInput", {"run": run["id"]}, "run { state }")
    found: dict[str, Any] = (await clerk.ask(RUN, {"id": run["id"]}))["clearingRun"]
    if found["state"] != "PUBLISHED":
        raise StepRefused(f"结算未公布：{found['state']}", f"The run is {found['state']}: {found['error']}")
    return found


async def statements(cast: Cast, city: str, run_id: str) -> list[dict[str, Any]]:
    """Every statement of a run, as the city sees them (结算单)."""
    clerk = cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
    return await clerk.all_nodes(STATEMENTS, "clearingRun.statements", {"id": run_id})


async def statement_cases(cast: Cast, city: str, statement_id: str) -> list[dict[str, Any]]:
    """Every case of a statement with its share (病例明细)."""
    clerk = cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
    return await clerk.all_nodes(STATEMENT_CASES, "hospitalStatement.cases", {"id": statement_id})


async def pay(cast: Cast, city: str, run: dict[str, Any], lines: list[dict[str, Any]], paid_on: date) -> int:
    """Record the payment of every positive transfer of a published run (登记拨付); the sum in fen.

    One after the other: two provinces that do the same have their payments in the same order.
    """
    clerk = cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
    due = [line for line in lines if int(line["transferFen"]) > 0]
    for line in due:
        order = {
            "run": run["id"],
            "hospital": line["hospitalCode"],
            "voucher": f"{run['kind'][0]}{run['year']}-{run['period']:02d}-{run['insurance']}-{line['hospitalCode']}",
            "paidOn": paid_on.isoformat(),
            "amountFen": line["transferFen"],
        }
        await clerk.do("paymentRecord", "PaymentRecordInput", order, "payment { id }")
    return sum(int(line["transferFen"]) for line in due)
