"""The steps of the main job in order (全流程步骤), each named for the person who watches."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from rich.progress import Progress, TaskID

from fenzhi.access.roles import Role
from fenzhi.cli.demo.outcome import Outcome
from fenzhi.cli.demo.sources import DemoSource
from fenzhi.cli.flow import catalog, clearing, fund, onboarding, scorecards, submission
from fenzhi.cli.flow import year as annual
from fenzhi.cli.flow.client import Cast

AT_ONCE = 4
"""Hospitals that send at the same time."""
INSURANCES = ("employee", "resident")
ASSESSED = ("1", "0.99", "0.98")
"""Assessment coefficients of a demonstration, in turn over its hospitals."""
ADJUSTMENT_FEN = 5_000_000
"""What the adjustment fund of a demonstration's pool holds when the year begins."""
_CASES = """
query($after: String, $month: Int!) { cases(first: 100, after: $after, filter: {settlementMonth: $month}) {
  nodes { id supersededBy } pageInfo { hasNextPage endCursor } } }
"""


@dataclass
class Demonstration:
    """One demonstration on its way (演示过程)."""

    cast: Cast
    source: DemoSource
    progress: Progress
    is_sandbox: bool = False
    outcome: Outcome = field(default_factory=Outcome)
    _booked: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    """(city, insurance) → booked fund of last year, in fen, as the history says."""

    async def run(self) -> Outcome:
        """The whole flow (全流程)."""
        await self.prepare()
        await self.settle()
        return self.outcome

    async def prepare(self) -> None:
        """Everything up to the judged lists (准备): tenants, policies, catalog, budgets, submission."""
        await self.furnish()
        await self._send_lists()

    async def furnish(self) -> None:
        """Everything a hospital finds before its first list (上报前的准备): tenants, policies, catalog, budgets."""
        plan = self.source.plan
        with self._step("开通租户、登记医院 tenants and hospitals"):
            await onboarding.open_tenants(self.cast, plan, is_sandbox=self.is_sandbox)
            await onboarding.register_hospitals(self.cast, plan, "演示省定点医疗机构等级与系数目录（构造文件）")
        with self._step("录入政策参数 policies"):
            await onboarding.enter_policies(self.cast, plan)
        with self._step("编码表 code tables"):
            await catalog.import_code_tables(self.cast, plan)
        await self._send_history()
        with self._step("编制并发布目录 catalog"):
            self.outcome.catalog = await catalog.publish_catalog(self.cast, plan)
        with self._step("上年次均费用参照 reference costs"):
            for city in plan.cities:
                await catalog.compute_references(
                    self.cast, city.code, self.outcome.catalog["edition"], plan.settlement_year - 1
                )
        with self._step("预算与预算点值 budget and budget point value"):
            await self._budgets()

    async def settle(self) -> None:
        """Pre-settle the months, clear the quarters, publish the scorecards (结算与评价)."""
        plan = self.source.plan
        for month in self.source.months:
            await self._clear("MONTH", month)
        for quarter in self.source.quarters:
            await self._clear("QUARTER", quarter)
        if self.source.clears_year:
            await self._clear_year()
        await self._count_later_cases()
        with self._step("考核评价 scorecards"):
            for city in plan.cities:
                self.outcome.scorecards += await scorecards.publish_scorecards(
                    self.cast, city.code, plan.settlement_year, self.source.quarters[-1]
                )
        await self._explain_one()

    @contextmanager
    def _step(self, title: str, total: float | None = None) -> Iterator[Callable[[float], None]]:
        task: TaskID = self.progress.add_task(title, total=total)
        yield lambda amount: self.progress.advance(task, amount)
        finished = total if total is not None else 1
        self.progress.update(task, total=finished, completed=finished)

    async def _send_history(self) -> None:
        """Each city's clerk imports the history of its hospitals."""
        plan = self.source.plan
        city_of = {h.code: h.city_code for h in plan.hospitals}
        by_city: dict[str, list[bytes]] = {city.code: [] for city in plan.cities}
        last_year = plan.settlement_year - 1
        for row in self.source.history():
            city = city_of[row["fixmedins_code"]]
            by_city[city].append(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode())
            if row["year"] == last_year and int(row.get("seg_no") or 1) == 1:
                insurance = "employee" if row["insutype"] == "310" else "resident"
                self._booked[city, insurance] += max(0, _fen(row["fund_amt"]))
        total = sum(map(len, by_city.values()))
        with self._step(f"导入历史病例 history {total:,}", total) as advance:

            async def one(city: str) -> None:
                clerk = self.cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
                batch = await submission.send_batch(clerk, "HISTORY", f"{city} 三年历史病例", by_city[city])
                self.outcome.history.add(await submission.judged(clerk, batch))
                advance(len(by_city[city]))

            await asyncio.gather(*(one(city) for city in by_city))

    async def _budgets(self) -> None:
        plan, source = self.source.plan, self.source
        for city in plan.cities:
            for insurance in INSURANCES:
                annual = int(self._booked[city.code, insurance] * source.fund_share_of_last_year)
                document = f"{city.name}{plan.settlement_year}年度医保基金支出预算（构造文件）"
                await fund.approve_budget(
                    self.cast, city.code, insurance, plan.settlement_year, annual, source.curve, document
                )
                await fund.approve_point_value(
                    self.cast, city.code, insurance, plan.settlement_year, self.outcome.catalog["edition"]
                )

    async def _send_lists(self) -> None:
        """Each hospital submits its lists: a batch, streamed in parts, sealed, judged."""
        by_hospital = self.source.lists_by_hospital()
        total = sum(map(len, by_hospital.values()))
        slots = asyncio.Semaphore(AT_ONCE)
        with self._step(f"上报结算清单 lists {total:,}", total) as advance:

            async def one(code: str, lines: list[bytes]) -> None:
                async with slots:
                    actor = submission.hospital(self.cast, code)
                    batch = await submission.send_batch(actor, "LISTS", f"{code} 结算清单", lines)
                    self.outcome.intake.add(await submission.judged(actor, batch))
                    advance(len(lines))

            await asyncio.gather(*(one(code, lines) for code, lines in sorted(by_hospital.items())))

    async def _clear(self, kind: str, period: int) -> None:
        plan = self.source.plan
        name = f"{period} 月预结算 month {period}" if kind == "MONTH" else f"第 {period} 季度清算 quarter {period}"
        last_month = period if kind == "MONTH" else period * 3
        after_month = date(plan.settlement_year + last_month // 12, last_month % 12 + 1, 1)
        with self._step(name):
            for city in plan.cities:
                for insurance in INSURANCES:
                    run = await clearing.run_to_publication(
                        self.cast, city.code, kind, insurance, plan.settlement_year, period
                    )
                    lines = await clearing.statements(self.cast, city.code, run["id"])
                    self.outcome.runs.append(run)
                    self.outcome.statements[run["id"]] = lines
                    await clearing.pay(self.cast, city.code, run, lines, after_month + timedelta(days=24))

    async def _clear_year(self) -> None:
        """The annual clearing of every pool, from the assessment to the locked statement."""
        plan = self.source.plan
        year = plan.settlement_year
        with self._step("年度清算 the year"):
            for city in plan.cities:
                codes = sorted(h.code for h in plan.hospitals if h.city_code == city.code)
                coefficients = {code: ASSESSED[place % len(ASSESSED)] for place, code in enumerate(codes)}
                document = f"{city.name}{year}年度考核结果（构造文件）"
                for insurance in INSURANCES:
                    await annual.assess(self.cast, city.code, insurance, year, coefficients, document)
                    await annual.open_account(
                        self.cast,
                        city.code,
                        insurance,
                        year,
                        "adjustment",
                        ADJUSTMENT_FEN,
                        f"{city.name}区域调节金（构造文件）",
                    )
                    run, lines = await annual.clear_year(self.cast, city.code, insurance, year)
                    self.outcome.runs.append(run)
                    self.outcome.statements[run["id"]] = lines
                    await annual.settle_year(self.cast, city.code, run, lines, date(year + 1, 3, 31))
                    self.outcome.books[run["id"]] = await annual.books(self.cast, city.code, insurance, year)

    async def _count_later_cases(self) -> None:
        """Cases settled after the last cleared quarter wait for the next one."""
        plan = self.source.plan
        first_later = self.source.quarters[-1] * 3 + 1
        for city in plan.cities:
            clerk = self.cast.actor(city.code, Role.CITY_SETTLEMENT_CLERK)
            for month in range(first_later, 13):
                found = await clerk.all_nodes(_CASES, "cases", {"month": plan.settlement_year * 100 + month})
                self.outcome.later_cases += sum(case["supersededBy"] is None for case in found)

    async def _explain_one(self) -> None:
        """One case with an unusual cost, explained step by step."""
        for run in self.outcome.last_quarters():
            for line in self.outcome.statements[run["id"]]:
                if not line["caseCount"]:
                    continue
                cases = await clearing.statement_cases(self.cast, run["areaCode"], line["id"])
                chosen = next((c for c in cases if c["band"] in ("high", "low")), None) or next(iter(cases), None)
                if chosen is not None:
                    self.outcome.explained = await explain(self.cast, run["areaCode"], chosen["caseId"])
                    return


EXPLAIN = """
query($id: ID!) { caseExplain(id: $id) { case editionCode groupCode groupName score coefficient band outlierFactor points reasonZh
  steps { rule zh en document values { name value } } } }
"""


async def explain(cast: Cast, city: str, case_id: str) -> dict[str, Any]:
    """A case's grouping and scoring, step by step (病例说明)."""
    clerk = cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
    found: dict[str, Any] = (await clerk.ask(EXPLAIN, {"id": case_id}))["caseExplain"]
    return found


def _fen(yuan: str) -> int:
    whole, _, cents = yuan.partition(".")
    sign = -1 if whole.startswith("-") else 1
    return sign * (abs(int(whole)) * 100 + int((cents + "00")[:2]))
