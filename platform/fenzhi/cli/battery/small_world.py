"""A small province for the faults (小型测试世界): one city, five hospitals, January judged and computed once undisturbed."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any

from rich.console import Console
from rich.progress import Progress

from fenzhi.access.roles import Role
from fenzhi.cli.battery.history import History, NotAcknowledged
from fenzhi.cli.demo.sources import DemoSource
from fenzhi.cli.demo.steps import ASSESSED, Demonstration
from fenzhi.cli.flow import clearing
from fenzhi.cli.flow import year as annual
from fenzhi.cli.flow.client import Actor, Cast
from fenzhi.cli.synthetic import lists as synthetic_lists
from fenzhi.cli.synthetic.plan import ProvincePlan
from fenzhi.cli.synthetic.province import synthetic_province

HISTORY_CASES = 400
JANUARY_CASES = 200
ROWS_PER_PART = 12
_BATCH = "batch { id uploadPath }"
_SEALED = "batch { id job { id } }"


@dataclass
class Sent:
    """One batch as its sender knows it (已报批次)."""

    label: str
    hospital: str
    lists: list[str]
    """Ids of the lists in it, all sound."""
    parts: int
    batch: str = ""
    job: str = ""
    state: str = ""
    """How its judging ended, as the sender saw it; empty when the sender went away."""
    kept: dict[int, str] = field(default_factory=dict)
    """Parts acknowledged: number → SHA-256."""

    @property
    def is_sealed(self) -> bool:
        """Whether the seal was acknowledged."""
        return bool(self.job)


@dataclass
class SmallWorld:
    """The prepared province and what is done in it (测试世界)."""

    cast: Cast
    plan: ProvincePlan
    undisturbed: str = ""
    """Digest of January's result when nothing disturbed it."""
    edition: dict[str, Any] = field(default_factory=dict)
    _sound: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def city(self) -> str:
        """The code of the city."""
        return self.plan.cities[0].code

    @property
    def year(self) -> int:
        """The settlement year."""
        return self.plan.settlement_year

    @property
    def clerk(self) -> Actor:
        """The city's settlement clerk."""
        return self.cast.actor(self.city, Role.CITY_SETTLEMENT_CLERK)

    def hospitals(self) -> list[str]:
        """Codes of the hospitals that have agreements for both insurances."""
        return [hospital.code for hospital in self.plan.hospitals[:-1]]

    def fresh_part(self, hospital: str, rows: int = ROWS_PER_PART) -> tuple[list[str], bytes]:
        """Sound lists of February that nobody has sent yet: their ids, and the part."""
        if not self._sound:
            made = synthetic_lists.labelled_lists(self.plan, 600, date(self.year, 2, 1), date(self.year, 2, 20))
            for line in made:
                if not line.fault:
                    self._sound.setdefault(line.hospital_code, []).append(json.loads(line.line))
        number = next(self._numbers)
        found = self._sound[hospital]
        ids, lines = [], []
        for place in range(rows):
            message = found[(number * rows + place) % len(found)]
            ids.append(f"F{number:06d}N{place:04d}")
            renamed = message | {"setl_id": ids[-1], "mdtrt_id": f"M{ids[-1]}", "medcasno": f"C{ids[-1]}"}
            lines.append(json.dumps(renamed, ensure_ascii=False, separators=(",", ":")).encode())
        return ids, b"\n".join(lines) + b"\n"

    async def submit(
        self,
        history: History,
        hospital: str,
        label: str,
        *,
        parts: int = 2,
        goes_away: float = 0.0,
        into: list[Sent] | None = None,
    ) -> Sent:
        """Create a batch, send its parts, seal it, wait for its verdict; every step repeated until acknowledged.

        `goes_away`: the chance that the sender leaves at a step that brought no answer. `into` gets it before the first request goes out.
        """
        chance = random.Random(label)
        actor = self.cast.actor(hospital, Role.HOSPITAL_SUBMITTER)
        sent = Sent(label, hospital, [], parts)
        if into is not None:
            into.append(sent)
        leaves = [chance.random() < goes_away for _ in range(parts + 2)]
        try:
            order = {"purpose": "LISTS", "mode": "PARTIAL", "label": label}
            made = await history.act(actor, "batchCreate", order, _BATCH, gives_up=leaves[0])
            sent.batch = made["batch"]["id"]
            for number in range(1, parts + 1):
                ids, body = self.fresh_part(hospital)
                sent.lists += ids
                asked = await history.put_part(
                    actor, made["batch"]["uploadPath"], number, body, gives_up=leaves[number]
                )
                sent.kept[number] = asked.order["sha256"].hex()
            seal = {"batch": sent.batch, "parts": parts}
            sealed = await history.act(actor, "batchSeal", seal, _SEALED, gives_up=leaves[-1])
            sent.job = sealed["batch"]["job"]["id"]
            sent.state = await history.wait(actor, sent.job)
        except NotAcknowledged:
            pass
        return sent

    async def start(self, history: History, kind: str, period: int = 1) -> dict[str, Any]:
        """Start a run of the employee pool; the payload's run."""
        order = {
            "kind": kind,
            "insurance": "EMPLOYEE",
            "poolScope": "LOCAL",
            "year": self.year,
            "period": period,
        }
        started = await history.act(self.clerk, "clearingRunStart", order, "run { id jobId }")
        return dict(started["run"])

    async def compute(self, history: History, kind: str, period: int = 1) -> dict[str, Any]:
        """Start a month, quarter or year and wait: the run as the clerk sees it at the end."""
        run = await self.start(history, kind, period)
        await history.wait(self.clerk, run["jobId"])
        return dict((await history.ask(self.clerk, clearing.RUN, {"id": run["id"]}))["clearingRun"])

    async def compute_month(self, history: History, period: int = 1) -> dict[str, Any]:
        """As `compute`, a month."""
        return await self.compute(history, "MONTH", period)

    async def assess(self) -> None:
        """Enter what an annual run reads of every hospital (录入考核结果), and what may pay bonuses."""
        coefficients = {code: ASSESSED[place % len(ASSESSED)] for place, code in enumerate(self.hospitals())}
        coefficients |= {h.code: "1" for h in self.plan.hospitals if h.code not in coefficients}
        document = "演练考核结果"
        await annual.assess(self.cast, self.city, "employee", self.year, coefficients, document)
        await annual.open_account(self.cast, self.city, "employee", self.year, "adjustment", 1_000_000, document)

    async def void(self, history: History, run_id: str) -> None:
        """Void a computed run, so that its period is free."""
        await history.act(
            self.clerk, "clearingRunVoid", {"run": run_id}, "run { state }", input_type="ClearingRunStepInput"
        )

    async def publish_edition(self, history: History, number: int) -> dict[str, Any]:
        """Draft, build and publish one more edition, for a later year; its id, code and number of groups."""
        editor = self.cast.actor(self.plan.code, Role.PROVINCE_CATALOG_EDITOR)
        approver = self.cast.actor(self.plan.code, Role.PROVINCE_CATALOG_APPROVER)
        order = {
            "code": f"DIP-F{number:04d}",
            "title": "演练目录",
            "effectiveFrom": date(self.year + 2 + number // 28, 1, 1 + number % 28).isoformat(),
            "scale": 1000,
            "scoreDecimals": 4,
            "diagnosisTable": self.plan.codes_version,
            "procedureTable": self.plan.codes_version,
            "document": "演练文件",
            "isConstructed": True,
        }
        fields = "edition { id code state groupCount }"
        draft = (await history.act(editor, "catalogEditionDraft", order, fields))["edition"]
        edition: dict[str, Any] = {"edition": draft["id"]}
        years = {"years": list(self.plan.history_years)}
        built = await history.act(editor, "catalogEditionBuild", edition | years, "job { id }")
        await history.wait(editor, built["job"]["id"])
        await history.act(editor, "catalogEditionSubmit", edition, fields)
        return dict((await history.act(approver, "catalogEditionPublish", edition, fields))["edition"])


async def small_world(cast: Cast, seed: int = 7) -> SmallWorld:
    """Prepare the province and compute January once, undisturbed, and void it again (准备)."""
    plan = synthetic_province(seed, cities=1, counties=1, hospitals=5)
    year = plan.settlement_year
    source = DemoSource(
        plan=plan,
        history=lambda: synthetic_lists.history(plan, HISTORY_CASES),
        lists=lambda: synthetic_lists.settlement_lists(plan, JANUARY_CASES, date(year, 1, 1), date(year, 1, 20)),
        months=(),
        quarters=(),
        fund_share_of_last_year=Fraction(1),
        curve=("0.25", "0.5", "0.75", "1"),
    )
    with Progress(console=Console(quiet=True), disable=True) as progress:
        demonstration = Demonstration(cast, source, progress)
        await demonstration.prepare()
    world = SmallWorld(cast, plan, edition=demonstration.outcome.catalog)
    history = History()
    run = await world.compute_month(history)
    world.undisturbed = run["manifest"]["resultSha256"]
    await world.void(history, run["id"])
    return world
