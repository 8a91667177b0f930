"""Answers held against the audit (查阅核对): whom each answer showed, read from the answer itself, must be whom the audit names for it."""

from __future__ import annotations

import base64
import binascii
import json
import random
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from fenzhi.access.roles import KIND_OF_ROLE, Role, TenantKind
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.database_roles import replace_dsn
from fenzhi.cli.flow.client import Actor, fresh_key
from fenzhi.cli.probes.judge import not_admitted
from fenzhi.cli.probes.stage import probed_world
from fenzhi.cli.probes.world import ProbedWorld, patient_canary, personal_canary
from fenzhi.cli.servers import ServerAddresses
from fenzhi.cli.trial_servers import sibling_database
from fenzhi.services.acts import Platform
from fenzhi.services.audit.sight import row_subject
from fenzhi.services.jobs.execution import jobs_waiting

_CASE = "id setlId supersededBy totalFen diagnoses"
_PAGE = f"query($n: Int!, $f: CaseFilter) {{ cases(first: $n, filter: $f) {{ nodes {{ {_CASE} }} pageInfo {{ endCursor }} }} }}"
_ONE = f"query($id: ID!) {{ inpatientCase(id: $id) {{ {_CASE} }} }}"
_NODES = "query($a: ID!, $b: ID!) { a: node(id: $a) { ...c } b: node(id: $b) { ...c } } "
_NODES += f"fragment c on Node {{ id ... on InpatientCase {{ {_CASE} }} }}"
_EXPLAIN = "query($id: ID!) { caseExplain(id: $id) { case disposition points } }"
_STATEMENT = """query($id: ID!, $n: Int!) { node(id: $id) { ... on HospitalStatement {
  hospitalCode cases(first: $n) { nodes { caseId shareFen } } } } }"""
_BATCH = "query($id: ID!, $n: Int!) { batch(id: $id) { id verdicts(first: $n) { nodes { row setlId code saw price { points } } } } }"
_REVEAL = """mutation($i: PersonalFieldsRevealInput!) { personalFieldsReveal(input: $i) {
  personalFields { case personName certificateNo } userErrors { code } } }"""
_EVENTS = """query($n: Int!) { auditEvents(first: $n) { nodes { id kind objectType objectId
  subjects(first: 20) { nodes { caseId } } } } }"""
_NOBODY = "{ jobs(first: 5) { nodes { id kind } } batches(first: 5) { nodes { id counts { rows } } } }"
_TOKEN = re.compile(r"(?:patient|personal)-(H\w+?)-([A-Za-z0-9]{8})")


async def try_sights(addresses: ServerAddresses, tally: Tally, seed: int, answers: int) -> None:
    """That many random questions by all roles; each answer's patients must be the audited ones (随机查阅核对)."""
    with sibling_database(addresses, "sights") as own:
        async with probed_world(own, seed) as world:
            superuser = await asyncpg.connect(replace_dsn(own.superuser_dsn, database=own.app_dsn.rsplit("/", 1)[1]))
            try:
                await _Scrutiny(world, superuser, tally, random.Random(seed)).try_all(answers)
            finally:
                await superuser.close()


@dataclass
class _Scrutiny:
    world: ProbedWorld
    superuser: Any
    tally: Tally
    rng: random.Random
    became: dict[uuid.UUID, uuid.UUID] = field(default_factory=dict)
    """Row → the case that it became."""
    words: dict[uuid.UUID, set[str]] = field(default_factory=dict)
    """Case or refused row → the words that its list carries."""

    @property
    def platform(self) -> Platform:
        """The platform of the world."""
        if self.world.platform is None:
            raise LookupError("this world has no platform")
        return self.world.platform

    async def try_all(self, answers: int) -> None:
        """Ask, read whom the answer shows, and compare."""
        for tenant in self.world.tenants.values():
            if tenant.kind is TenantKind.HOSPITAL and self.rng.random() < 0.5:
                await leave_a_table(self.world, tenant.code, self.rng.randint(1, 6))
        await self._learn()
        subjects = self._readers()
        shown_in_all, with_patients = 0, 0
        for _ in range(answers):
            tenant_, role = self.rng.choice(subjects)
            actor = self.world.cast.actor(tenant_, role)
            target, response, batch = await self._ask(actor)
            shown = {self.became.get(one, one) for one in _shown(response, batch)}
            events = await self.superuser.fetch(
                "select kind, subjects from audit_event where request_id = $1 and kind <> 'act'",
                response.headers["x-request-id"],
            )
            audited = {one for event in events for one in event["subjects"] or ()}
            words = set().union(*(self.words.get(one, set()) for one in audited))
            stray = sorted(_words(_text(response)) - words)
            held = shown == audited and bool(events) == bool(shown) and not stray
            held = held and not not_admitted(_text(response))
            label = f"{target} as {role.value}@{tenant_} ({response.status_code})"
            self.tally.saw(
                f"answers: {target}",
                held,
                f"{label}: shown {len(shown)}, audited {len(audited)}, missing {sorted(map(str, shown - audited))[:3]}, "
                f"too many {sorted(map(str, audited - shown))[:3]}, words of nobody audited {stray[:3]}",
            )
            with_patients += bool(shown)
            shown_in_all += len(shown)
        self.tally.saw("answers that show patients", with_patients * 3 > answers, f"only {with_patients} of {answers}")
        self.tally.figures |= {"answers": answers, "with_patients": with_patients, "patients_shown": shown_in_all}

    def _readers(self) -> list[tuple[str, Role]]:
        return [
            (tenant.code, role)
            for tenant in self.world.tenants.values()
            for role, kind in KIND_OF_ROLE.items()
            if kind is tenant.kind and kind is not TenantKind.OPERATOR and self.world.has_role(tenant.code, role)
        ]

    def _any(self, actor: Actor, node_type: str) -> str:
        """An object of a type, mostly one that the actor may see."""
        owned = self.world.objects.get(node_type, {})
        kin = {actor.tenant, *self.world.descendants(actor.tenant)}
        near = [i for owner, ids in owned.items() if owner in kin for i in ids]
        far = [i for ids in owned.values() for i in ids]
        return self.rng.choice(near if near and self.rng.random() < 0.85 else far)

    async def _ask(self, actor: Actor) -> tuple[str, Any, str]:
        """One random question: its name, the answer, and the batch that it is about, if it is about one."""
        rng = self.rng
        n = rng.choice((1, 3, 20, 100))
        case, batch = self._any(actor, "InpatientCase"), self._any(actor, "Batch")
        reveal = {"idempotencyKey": fresh_key(), "case": case, "purpose": "INSPECTION", "reason": "抽查2026"}
        asks: dict[str, Callable[[], tuple[str, dict[str, Any]]]] = {
            "cases": lambda: (_PAGE, {"n": n, "f": {"settlementMonth": rng.choice((202501, 202502, None))}}),
            "case": lambda: (_ONE, {"id": case}),
            "nodes": lambda: (_NODES, {"a": case, "b": self._any(actor, rng.choice(("InpatientCase", "Job")))}),
            "explain": lambda: (_EXPLAIN, {"id": case}),
            "statement": lambda: (_STATEMENT, {"id": self._any(actor, "HospitalStatement"), "n": n}),
            "verdicts": lambda: (_BATCH, {"id": batch, "n": n}),
            "reveal": lambda: (_REVEAL, {"i": reveal}),
            "audit": lambda: (_EVENTS, {"n": rng.choice((1, 5))}),
            "nobody": lambda: (_NOBODY, {}),
        }
        is_auditor = actor.role.value.endswith("_audit_administrator")
        names = ["audit", "audit", "cases"] if is_auditor else [*asks, "verdicts.ndjson", "annotated.xlsx"]
        name = rng.choice(names)
        if name == "verdicts.ndjson":
            return name, await actor.send("GET", f"/v1/batches/{batch}/{name}"), batch
        if name == "annotated.xlsx":
            table = self._any(actor, "Table")
            return name, await actor.send("GET", f"/v1/batches/{table}/{name}"), table
        document, variables = asks[name]()
        response = await actor.send("POST", "/graphql", json={"query": document, "variables": variables})
        return name, response, batch

    async def _learn(self) -> None:
        """What became of every row, and which words belong to whom, read past the walls."""
        for r in await self.superuser.fetch("select batch_id, row_no, case_id, setl_id from intake_row"):
            row = row_subject(r["batch_id"], r["row_no"])
            if r["case_id"] is not None:
                self.became[row] = r["case_id"]
            mine = self.words.setdefault(r["case_id"] or row, set())
            # A table's rows carry the same number in both words.
            mine |= _words(r["setl_id"]) | _words(r["setl_id"].replace("patient-", "personal-"))
        for r in await self.superuser.fetch("select case_id, area_id, key_id, sealed_fields from case_personal"):
            case_id = r["case_id"]
            said = self.platform.keyring.unseal(r["area_id"], r["key_id"], r["sealed_fields"], case_id.bytes)
            self.words.setdefault(case_id, set()).update(_words(said.decode()))


def _words(text: str) -> set[str]:
    return {match[0] for match in _TOKEN.finditer(text)}


async def leave_a_table(world: ProbedWorld, hospital: str, rows: int) -> None:
    """A judged batch that came as a table, so that there is one to be given back with its findings (留下表格批次)."""
    actor = world.cast.actor(hospital, Role.HOSPITAL_SUBMITTER)
    order = {"purpose": "LISTS", "mode": "PARTIAL", "label": "table"}
    batch = (await actor.do("batchCreate", "BatchCreateInput", order, "batch { id uploadPath }"))["batch"]
    lines = "".join(f"{patient_canary(hospital)}{n:08d},1,{personal_canary(hospital)}{n:08d}\n" for n in range(rows))
    content = f"结算号 setl_id,版本 version,姓名 psn_name\n{lines}".encode()
    await actor.send("PUT", batch["uploadPath"] + "1", content=content, headers={"content-type": "text/csv"})
    await actor.do("batchSeal", "BatchSealInput", {"batch": batch["id"], "parts": 1}, "batch { id }")
    if world.platform is not None:
        await work_off(world.platform)
    world.objects.setdefault("Table", {}).setdefault(hospital, []).append(batch["id"])


async def work_off(platform: Platform, *, may_fail: bool = False) -> None:
    """Carry out every waiting job here, as a worker would (处理待办作业)."""
    from fenzhi_workers.worker import NightShift

    shift = NightShift(platform, 1)
    while waiting := await jobs_waiting(platform):
        for job_id, *_ in waiting:
            await shift.carry_out(job_id)
        if may_fail:
            return


def _text(response: Any) -> str:
    if "spreadsheet" in response.headers.get("content-type", ""):
        return " ".join(str(value) for line in _cells(response.content) for value in line)
    return str(response.text)


def _cells(content: bytes) -> Iterator[tuple[Any, ...]]:
    from io import BytesIO

    from openpyxl import load_workbook

    for sheet in load_workbook(BytesIO(content), read_only=True).worksheets:
        yield from sheet.iter_rows(values_only=True)


def _shown(response: Any, batch: str) -> set[uuid.UUID]:
    """Whom an answer shows, by the answer alone."""
    kind = response.headers.get("content-type", "")
    if response.status_code != 200:
        return set()
    batch_id = _key(batch, "Batch")
    if "ndjson" in kind and batch_id is not None:
        return {row_subject(batch_id, json.loads(line)["row"]) for line in response.text.splitlines()}
    if "spreadsheet" in kind and batch_id is not None:
        lists = [line for line in list(_cells(response.content)) if line and _TOKEN.search(str(line[0]))]
        return {row_subject(batch_id, 2 + n) for n in range(len(lists))}
    return set(_cases_in(response.json().get("data")))


def _cases_in(value: Any, batch_id: uuid.UUID | None = None) -> Iterator[uuid.UUID]:
    if isinstance(value, list):
        for one in value:
            yield from _cases_in(one, batch_id)
    elif isinstance(value, dict):
        batch_id = _key(str(value.get("id", "")), "Batch") or batch_id
        if "row" in value and batch_id is not None:
            yield row_subject(batch_id, value["row"])
        if value.get("objectType") == "InpatientCase":
            yield uuid.UUID(value["objectId"])
        for one in value.values():
            yield from _cases_in(one, batch_id)
    elif isinstance(value, str) and (found := _key(value, "InpatientCase")) is not None:
        yield found


def _key(text: str, node_type: str) -> uuid.UUID | None:
    try:
        name, _, key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(":")
        return uuid.UUID(key) if name == node_type else None
    except (ValueError, binascii.Error, UnicodeError):
        return None
