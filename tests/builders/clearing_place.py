"""A small pool to settle (结算测试环境): two hospitals, policies, a budget, a price, cases put straight into the store."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import func, update

from builders.submission_place import Place, open_place
from builders.world import Client, World, new_key
from fenzhi.access.roles import Role
from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.store.repositories import registry
from fenzhi.store.session import new_id
from fenzhi.store.tables.fund import point_value
from fenzhi.store.tables.submission import case_supersession, inpatient_case

START = """
mutation($i: ClearingRunStartInput!) { clearingRunStart(input: $i) {
  run { id state jobId } alreadyRunning { id state } userErrors { code message } } }
"""
STEP = """
mutation($i: ClearingRunStepInput!) { %s(input: $i) { run { id state } userErrors { code message } } }
"""
RUN = """
query($id: ID!) { clearingRun(id: $id) {
  id state error kind period summary { poolFen drawsFen grossFen returnsFen unexplainedFen cases pendingCases points
    fundRatio pointValuePrinted costFen bookedFen accounts { name fen } pending { reason cases } laws { name unexplainedFen } }
  manifest { sha256 resultSha256 caseCount caseRoot deductions payments }
  statements(first: 50) { nodes {
    id hospitalCode caseCount pendingCases points grossFen printedFen remainderFen notPrepaidFen cashCutFen deductionsFen
    assessmentWithheldFen bandWithheldFen bonusFen clearedFen depositHeldBeforeFen depositTargetFen depositWithheldFen
    depositPostingFen payableFen priorPaidFen offsetFen transferFen steps { rule zh en document values { name value } }
    cases(first: 50) { nodes { caseId disposition groupCode band points shareFen } } } } } }
"""
CURVE = ["0.25", "0.5", "0.75", "1"]
AREA_POLICY = {
    "deposit.rate": "0.05",
    "presettlement.prepay_ratio": "0.9",
    "presettlement.ratio_stands_for_deposit": "false",
    "clearing.printed_decimals": "4",
}


@dataclass
class Pool:
    """The first city's local employee pool of 2025."""

    world: World
    place: Place
    scope: Scope
    numbers: dict[str, tuple[int, int | None]]

    async def clerk(self) -> Client:
        return await self.world.client(self.place.city, Role.CITY_SETTLEMENT_CLERK)

    async def approver(self) -> Client:
        return await self.world.client(self.place.city, Role.CITY_SETTLEMENT_APPROVER)

    async def start(self, kind: str, period: int, **changes: Any) -> dict[str, Any]:
        order = {
            "idempotencyKey": new_key(),
            "kind": kind,
            "insurance": "EMPLOYEE",
            "poolScope": "LOCAL",
            "year": 2025,
            "period": period,
        } | changes
        return (await (await self.clerk()).gql(START, {"i": order}))["clearingRunStart"]  # type: ignore[no-any-return]

    async def step(self, name: str, run: str, client: Client | None = None) -> dict[str, Any]:
        who = client or await self.approver()
        order = {"idempotencyKey": new_key(), "run": run}
        return (await who.gql(STEP % name, {"i": order}))[name]  # type: ignore[no-any-return]

    async def look(self, run: str, client: Client | None = None) -> dict[str, Any]:
        return (await (client or await self.clerk()).gql(RUN, {"id": run}))["clearingRun"]  # type: ignore[no-any-return]

    async def computed(self, kind: str, period: int, **changes: Any) -> str:
        """Start and compute a run; its id."""
        started = await self.start(kind, period, **changes)
        assert started["userErrors"] == [], started
        await self.world.work_off()
        return started["run"]["id"]  # type: ignore[no-any-return]

    async def published(self, kind: str, period: int, **changes: Any) -> dict[str, Any]:
        """Start, compute, approve, publish; the run as the clerk sees it."""
        run = await self.computed(kind, period, **changes)
        for name in ("clearingRunApprove", "clearingRunPublish"):
            assert (await self.step(name, run))["userErrors"] == []
        return await self.look(run)

    async def pay(
        self,
        run: str,
        hospital: str,
        amount_fen: int,
        *,
        returned_fen: int = 0,
        voucher: str = "",
        client: Client | None = None,
    ) -> dict[str, Any]:
        order = {
            "idempotencyKey": new_key(),
            "run": run,
            "hospital": hospital,
            "voucher": voucher or new_key(),
            "paidOn": "2025-06-30",
            "amountFen": str(amount_fen),
            "returnedFen": str(returned_fen),
        }
        answer = await (client or await self.clerk()).gql(
            "mutation($i: PaymentRecordInput!) { paymentRecord(input: $i) { payment { amountFen } userErrors { code } } }",
            {"i": order},
        )
        return answer["paymentRecord"]  # type: ignore[no-any-return]

    async def budget(self, annual_fen: int, **changes: Any) -> dict[str, Any]:
        """Propose and approve a budget of the year."""
        order: dict[str, Any] = {
            "idempotencyKey": new_key(),
            "insurance": "EMPLOYEE",
            "poolScope": "LOCAL",
            "year": 2025,
            "annualFen": str(annual_fen),
            "curve": CURVE,
            "document": "测试预算〔2025〕1号",
            "reason": "年初预算",
            "changeGround": "INCOME",
        } | changes
        proposed = await (await self.clerk()).gql(
            "mutation($i: FundBudgetProposeInput!) { fundBudgetPropose(input: $i) { budget { id version } userErrors { code } } }",
            {"i": order},
        )
        assert proposed["fundBudgetPropose"]["userErrors"] == [], proposed
        budget = proposed["fundBudgetPropose"]["budget"]
        approved = await (await self.approver()).gql(
            "mutation($i: FundBudgetDecideInput!) { fundBudgetApprove(input: $i) { budget { state } userErrors { code } } }",
            {"i": {"idempotencyKey": new_key(), "budget": budget["id"]}},
        )
        assert approved["fundBudgetApprove"]["userErrors"] == [], approved
        return budget  # type: ignore[no-any-return]

    async def deduct(self, hospital: str, month: int, amount_fen: int) -> None:
        """Enter and approve an audit deduction."""
        order = {
            "idempotencyKey": new_key(),
            "hospital": hospital,
            "insurance": "EMPLOYEE",
            "poolScope": "LOCAL",
            "year": 2025,
            "month": month,
            "amountFen": str(amount_fen),
            "reason": "分解住院",
            "document": "审核〔2025〕1号",
        }
        entered = await (await self.clerk()).gql(
            "mutation($i: AuditDeductionEnterInput!) { auditDeductionEnter(input: $i) { deduction { id } userErrors { code } } }",
            {"i": order},
        )
        deduction = entered["auditDeductionEnter"]["deduction"]["id"]
        approved = await (await self.approver()).gql(
            "mutation($i: AuditDeductionDecideInput!) { auditDeductionApprove(input: $i) { deduction { state } userErrors { code } } }",
            {"i": {"idempotencyKey": new_key(), "deduction": deduction}},
        )
        assert approved["auditDeductionApprove"]["deduction"] == {"state": "APPROVED"}, approved

    async def price(self, yuan_per_point: int, *, last_year: tuple[int, int]) -> None:
        """An approved budget point value, put straight into the store; `last_year` is (booked, cost)."""
        value = yuan_per_point * 10_000_000
        row = {
            "point_value_id": new_id(),
            "area_id": self.scope.area,
            "insurance": "employee",
            "pool_scope": "local",
            "year": 2025,
            "kind": "budget",
            "basis": "total_cost",
            "fund_fen": value,
            "cost_fen": value,
            "booked_fen": value,
            "points": 1_000_000_000,
            "points_decimals": 4,
            "edition_id": self.place.edition_id,
            "state": "draft",
            "working": {"last_year": {"booked_fen": str(last_year[0]), "cost_fen": str(last_year[1])}},
            "proposed_by_person": new_id(),
        }
        async with self.world.platform.database.unit_of_work(self.scope) as uow:
            await uow.insert(point_value, [row])
            async with uow.as_role(DatabaseRole.AREA):
                await uow.execute(
                    update(point_value)
                    .where(point_value.c.point_value_id == row["point_value_id"])
                    .values(state="approved", approved_by_person=new_id(), approved_at=func.now())
                )

    async def put(
        self,
        hospital: str,
        month: int,
        diagnosis: str = "I63.900",
        procedures: tuple[str, ...] = (),
        *,
        total_fen: int = 1_000_000,
        fund_fen: int = 700_000,
        discharge: date | None = None,
        replaces: uuid.UUID | None = None,
        submitted: datetime | None = None,
        **columns: Any,
    ) -> uuid.UUID:
        """A case in the store, as intake leaves it."""
        number, county = self.numbers[hospital]
        case_id = new_id()
        row = {
            "area_id": self.scope.area,
            "county_id": county,
            "hospital_id": number,
            "case_id": case_id,
            "batch_id": new_id(),
            "row_no": 1,
            "setl_id": case_id.hex,
            "version": 1,
            "insurance": "employee",
            "pool_scope": "local",
            "insured_area": self.place.city,
            "admission_date": (discharge or date(2025, month, 9)) - timedelta(days=7),
            "discharge_date": discharge or date(2025, month, 9),
            "settlement_date": date(2025, month, 10),
            "settlement_month": 202500 + month,
            "sex": 1,
            "age_days": 27_000,
            "los_days": 7,
            "total_fen": total_fen,
            "basic_fund_fen": fund_fen,
            "other_funds_fen": 0,
            "account_fen": 0,
            "cash_fen": total_fen - fund_fen,
            "diagnoses": [diagnosis],
            "procedures": list(procedures),
            "digest": uuid.uuid5(uuid.NAMESPACE_OID, case_id.hex).bytes * 2,
            "submitted_at": submitted or datetime(2025, month, 11, tzinfo=UTC),
        } | columns
        async with self.world.platform.database.unit_of_work(self.scope) as uow:
            await uow.insert(inpatient_case, [row])
            if replaces is not None:
                place = {"area_id": self.scope.area, "county_id": county, "hospital_id": number}
                await uow.insert(case_supersession, [place | {"old_case_id": replaces, "new_case_id": case_id}])
        return case_id


async def open_pool(world: World, stem: str, *, other_kind: str = "city", **policy: Any) -> Pool:
    """Open a pool whose tenants begin with `stem`, which no other test uses; `policy` with "__" for the dot of a key."""
    return await _pool(world, await open_place(world, stem, other_kind=other_kind), policy)


async def open_other(pool: Pool, **policy: Any) -> Pool:
    """The pool of the other city of the same province, with its one hospital."""
    other = pool.place.other_hospital
    place = replace(pool.place, city=pool.place.other_city, hospital=other, county_hospital=other)
    return await _pool(pool.world, place, policy)


async def _pool(world: World, place: Place, policy: dict[str, Any]) -> Pool:
    database = world.platform.database
    async with database.unit_of_work(Scope(role=DatabaseRole.OPERATOR, tenant="operator")) as uow:
        area = await registry.area_by_code(uow, place.city)
        assert area is not None
        numbers = {}
        for code in (place.hospital, place.county_hospital):
            row = await registry.hospital_by_code(uow, code)
            assert row is not None
            numbers[code] = (row.hospital_id, row.county_id)
    changes = {key.replace("__", "."): value for key, value in policy.items()}
    await enter_area_policy(world, place.city, AREA_POLICY | changes)
    scope = Scope(role=DatabaseRole.WORKER, tenant=place.city, province_id=area.province_id, area_id=area.area_id)
    return Pool(world, place, scope, numbers)


async def enter_area_policy(
    world: World, city: str, values: dict[str, Any], *, effective_from: str = "2021-01-01"
) -> None:
    """Propose and approve values of an area."""
    clerk = await world.client(city, Role.CITY_SETTLEMENT_CLERK)
    proposed = await clerk.gql(
        "mutation($i: PolicyProposeInput!) { policyPropose(input: $i) { entries { id } userErrors { code path } } }",
        {
            "i": {
                "idempotencyKey": new_key(),
                "values": [
                    {"key": k, "value": v if isinstance(v, str) else json.dumps(v), "effectiveFrom": effective_from}
                    for k, v in values.items()
                ],
                "document": "测试结算办法〔2021〕1号",
                "issuedOn": "2020-12-01",
            }
        },
    )
    assert proposed["policyPropose"]["userErrors"] == [], proposed
    ids = [entry["id"] for entry in proposed["policyPropose"]["entries"]]
    approver = await world.client(city, Role.CITY_SETTLEMENT_APPROVER)
    approved = await approver.gql(
        "mutation($i: PolicyApproveInput!) { policyApprove(input: $i) { userErrors { code } } }",
        {"i": {"idempotencyKey": new_key(), "ids": ids}},
    )
    assert approved["policyApprove"]["userErrors"] == [], approved


def line(run: dict[str, Any], hospital: str, *names: str) -> dict[str, int]:
    """Amounts of one hospital's statement, in fen."""
    node = next(n for n in run["statements"]["nodes"] if n["hospitalCode"] == hospital)
    return {name: int(node[name]) for name in names}
