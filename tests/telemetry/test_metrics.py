"""Metrics: exact numbers under names of ours, and nothing of what a caller wrote."""

from __future__ import annotations

import asyncio
import json
import socket
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from graphql import parse
from prometheus_client import generate_latest
from sqlalchemy import text, update

from builders.world import World, new_key, open_world
from fenzhi.access.roles import Role
from fenzhi.access.scope import DOORBELL_SCOPE
from fenzhi.cli.servers import ServerAddresses
from fenzhi.outbox import jobs
from fenzhi.rules.refusals import Conflict, InvariantBroken
from fenzhi.services.audit import chain
from fenzhi.services.jobs.execution import outcome_of
from fenzhi.services.jobs.observation import look_at_chain, look_at_queue, watch_connections
from fenzhi.store.session import Unavailable
from fenzhi.store.tables.jobs import job
from fenzhi.telemetry import exposition, metrics
from fenzhi.telemetry.exposition import metrics_at
from fenzhi_graphql.observed import operation_label
from fenzhi_graphql.persisted import Operations, sha256_of
from fenzhi_graphql.rate import Budgets, RateLimited, Rates
from fenzhi_graphql.schema import build_schema
from fenzhi_workers.jobs import HANDLERS
from fenzhi_workers.worker import NightShift

CANARY = "CanaryQ7x张三41010519491231002X"
KINDS = frozenset(HANDLERS)


def value(name: str, **labels: str) -> float:
    """The sample of this moment; 0 where there is none."""
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


class Change:
    """How far samples move between two moments."""

    def __init__(self, *names: tuple[str, dict[str, str]]) -> None:
        self._names = names
        self._before = self._now()

    def _now(self) -> list[float]:
        return [value(name, **labels) for name, labels in self._names]

    def seen(self) -> list[float]:
        return [now - before for now, before in zip(self._now(), self._before, strict=True)]


@pytest.fixture
def place(new_database: Callable[..., ServerAddresses]) -> ServerAddresses:
    return new_database(migrated=True)


async def test_operations_count_under_names_of_the_schema(place: ServerAddresses) -> None:
    async with open_world(place.app_dsn, place.redis_url) as world:
        operator = await world.client("operator", Role.OPERATOR_ADMIN)
        change = Change(
            ("fenzhi_graphql_operations_total", {"operation": "hospitals", "outcome": "ok"}),
            ("fenzhi_graphql_operations_total", {"operation": "tenantOpen", "outcome": "ok"}),
            ("fenzhi_graphql_operations_total", {"operation": "tenantOpen", "outcome": "refused"}),
            ("fenzhi_graphql_operations_total", {"operation": "other", "outcome": "refused"}),
            ("fenzhi_graphql_operation_seconds_count", {"operation": "hospitals"}),
            ("fenzhi_http_requests_total", {"route": "/graphql", "method": "POST", "status": "200"}),
            ("fenzhi_http_request_seconds_count", {"route": "/graphql"}),
            ("fenzhi_http_requests_total", {"route": "other", "method": "other", "status": "404"}),
            ("fenzhi_http_requests_in_flight", {}),
            ("fenzhi_faults_total", {"part": "graphql"}),
        )
        for _ in range(3):
            await operator.gql(f"query {CANARY[:6]} {{ hospitals(first: 1) {{ edges {{ node {{ code }} }} }} }}")
        plan = [("province", "410000", "")]
        await world.open_tenants(plan)
        with pytest.raises(AssertionError):
            await world.open_tenants(plan)
        await operator.raw("{ " + CANARY[:6] + " }")
        await operator.http.request("BREW", f"/v1/{CANARY}", headers={"x-request-id": "canary-Q7x-12345"})
        assert change.seen() == [3, 1, 1, 1, 3, 6, 6, 1, 0, 0]


async def test_no_label_repeats_what_a_caller_wrote(place: ServerAddresses) -> None:
    async with open_world(place.app_dsn, place.redis_url) as world:
        operator = await world.client("operator", Role.OPERATOR_ADMIN)
        await world.open_tenants([("province", "990000", "")])
        for document in (
            "query Canary7 { hospitals(first: 1) { edges { node { code } } } }",
            "{ Canary7 }",
            "{ Canary7",
        ):
            await operator.http.post("/graphql", json={"query": document, "operationName": "Canary7"})
        await operator.http.get(f"/v1/batches/{CANARY}/verdicts.ndjson")
        await operator.http.put(f"/v1/code-tables/Canary7/{CANARY}", content=b"Canary7")
        shown = generate_latest(metrics.REGISTRY).decode()
        assert "fenzhi_http_requests_total" in shown
        assert "anary" not in shown
        assert "990000" not in shown
        assert "张三" not in shown


def test_an_operation_is_called_after_its_one_field_or_the_kept_document() -> None:
    build_schema()
    several = parse("{ hospitals(first: 1) { edges { cursor } } me: __typename }")
    assert operation_label(parse("{ x: hospitals(first: 1) { edges { cursor } } }"), None) == "hospitals"
    assert operation_label(several, None) == "other"
    assert operation_label(parse("{ nothingOfOurs }"), None) == "other"
    assert operation_label(parse("{ ... on Query { hospitals(first: 1) { edges { cursor } } } }"), None) == "other"
    two = parse("query A { hospitals(first: 1) { edges { cursor } } } query B { jobs(first: 1) { edges { cursor } } }")
    assert operation_label(two, None) == "other"
    assert operation_label(two, "B") == "jobs"
    assert operation_label(None, None) == "other"
    assert operation_label(several, None, kept="NotListed") == "other"
    metrics.OPERATION_NAMES.add(["MonthlyReport"])
    assert operation_label(several, None, kept="MonthlyReport") == "MonthlyReport"


def test_kept_operations_are_known_by_hash_not_by_the_name_a_caller_gives(tmp_path: Path) -> None:
    kept = "query MonthlyReport { jobs(first: 1) { edges { cursor } } }"
    (tmp_path / "kept.json").write_text(json.dumps({sha256_of(kept): kept}), encoding="utf-8")
    operations = Operations.read(tmp_path / "kept.json")
    assert operations.name_of(kept) == "MonthlyReport"
    assert operations.name_of(kept.replace("jobs", "hospitals")) == ""
    assert Operations().name_of(kept) == ""


def test_rate_refusals_count_by_reason() -> None:
    change = Change(
        ("fenzhi_rate_refusals_total", {"reason": "at_once"}), ("fenzhi_rate_refusals_total", {"reason": "units"})
    )
    budgets = Budgets(Rates(units_per_s=1, burst=25, at_once=1), clock=lambda: 0.0)
    leave = budgets.enter(("t", "c"))
    with pytest.raises(RateLimited):
        budgets.enter(("t", "c"))
    leave()
    budgets.enter(("t", "c"))()
    for _ in range(2):
        with pytest.raises(RateLimited):
            budgets.enter(("t", "c"))
    assert change.seen() == [1, 2]


async def test_transactions_count_by_role_and_outcome(place: ServerAddresses) -> None:
    role = {"role": "fenzhi_worker"}
    change = Change(
        ("fenzhi_transactions_total", {**role, "outcome": "committed"}),
        ("fenzhi_transactions_total", {**role, "outcome": "rolled_back"}),
        ("fenzhi_transactions_total", {**role, "outcome": "unavailable"}),
        ("fenzhi_transaction_seconds_count", role),
    )
    async with open_world(place.app_dsn, place.redis_url) as world:
        database = world.platform.database
        async with database.unit_of_work(DOORBELL_SCOPE) as uow:
            await uow.scalar(text("select 1"))
        with pytest.raises(RuntimeError, match="mistake"):
            async with database.unit_of_work(DOORBELL_SCOPE):
                raise RuntimeError("mistake")
        with pytest.raises(Conflict):
            async with database.unit_of_work(DOORBELL_SCOPE) as uow:
                await uow.scalar(text("select '9'::numeric(1,1)"))
        with pytest.raises(Unavailable):
            async with database.unit_of_work(DOORBELL_SCOPE) as uow:
                await uow.execute(text("reset role"))
                await uow.scalar(text("select pg_terminate_backend(pg_backend_pid())"))
    assert change.seen() == [1, 2, 1, 4]


async def test_the_pool_is_read_when_it_is_asked_for(place: ServerAddresses) -> None:
    async with open_world(place.app_dsn, place.redis_url) as world:
        watch_connections(world.platform)

        def shown() -> list[float]:
            return [value("fenzhi_database_connections", state=state) for state in ("busy", "idle", "most")]

        async with world.platform.database.unit_of_work(DOORBELL_SCOPE):
            assert shown()[0] == 1
        assert shown()[0] == 0
        assert shown()[1] >= 1
        assert shown()[2] == 20


async def _queued(world: World, kind: str, **columns: object) -> uuid.UUID:
    async with world.platform.database.unit_of_work(DOORBELL_SCOPE) as uow:
        made = await jobs.enqueue(uow, world.platform.doorbell, kind, {})
        if columns:
            await uow.execute(update(job).where(job.c.job_id == made).values(**columns))
    return made


async def test_the_queue_by_kind_and_state(place: ServerAddresses) -> None:
    clearing, judging = "clearing.compute", "submission.judge_batch"
    assert {clearing, judging} <= KINDS
    ago = "clock_timestamp() - interval '{} seconds'".format
    async with open_world(place.app_dsn, place.redis_url) as world:
        await _queued(world, clearing)
        await _queued(world, clearing, not_before=text("clock_timestamp() + interval '1 hour'"))
        running = {"state": "running", "attempt": 1}
        held = text("clock_timestamp() + interval '1 hour'")
        await _queued(
            world, clearing, **running, started_at=text(ago(500)), lease_until=held, progress_done=3, progress_total=4
        )
        await _queued(world, clearing, **running, started_at=text(ago(90)), lease_until=text(ago(40)), progress_total=4)
        await _queued(world, judging, state="done", finished_at=text(ago(1)))
        await _queued(world, judging, state="dead", finished_at=text(ago(1)))
        await _queued(world, f"made.up.{CANARY[:6]}")
        await look_at_queue(world.platform, KINDS)

        def numbers(kind: str) -> dict[str, float]:
            states = ("queued", "running", "lapsed", "done", "refused", "dead")
            return {state: value("fenzhi_jobs", kind=kind, state=state) for state in states}

        nothing = dict.fromkeys(("queued", "running", "lapsed", "done", "refused", "dead"), 0.0)
        assert numbers(clearing) == nothing | {"queued": 2, "running": 1, "lapsed": 1}
        assert numbers(judging) == nothing | {"done": 1, "dead": 1}
        assert numbers("other") == nothing | {"queued": 1}
        assert numbers("catalog.build") == nothing
        assert value("fenzhi_job_steps", kind=clearing, which="done") == 3
        assert value("fenzhi_job_steps", kind=clearing, which="all") == 8
        assert 40 <= value("fenzhi_queue_age_seconds", kind=clearing) < 300
        assert 40 <= value("fenzhi_job_lease_lapsed_seconds", kind=clearing) < 300
        assert 500 <= value("fenzhi_job_running_seconds", kind=clearing) < 800
        assert value("fenzhi_job_lease_lapsed_seconds", kind=judging) == 0
        assert value("fenzhi_queue_age_seconds", kind=judging) == 0
        async with world.platform.database.unit_of_work(DOORBELL_SCOPE) as uow:
            await uow.execute(update(job).where(job.c.kind == clearing).values(state="done", lease_until=None))
            assert len(await jobs.by_kind(uow, timedelta(0))) == 1, "what ended before the span is not read"
        await look_at_queue(world.platform, KINDS)
        assert numbers(clearing) == nothing | {"done": 4}
        assert value("fenzhi_queue_age_seconds", kind=clearing) == 0
        async with world.platform.database.unit_of_work(DOORBELL_SCOPE) as uow:
            assert value("fenzhi_queue_seen_timestamp_seconds") == pytest.approx((await uow.now()).timestamp(), abs=60)


async def test_the_worker_counts_how_jobs_end(place: ServerAddresses, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = "clearing.compute"
    ends = {"fault": ValueError("x"), "broken": InvariantBroken("law"), "refused": Conflict("中", "en")}
    change = Change(
        *[("fenzhi_jobs_ended_total", {"kind": kind, "outcome": outcome}) for outcome in ("done", *ends)],
        ("fenzhi_job_seconds_count", {"kind": kind}),
        ("fenzhi_jobs_ended_total", {"kind": "other", "outcome": "fault"}),
        ("fenzhi_faults_total", {"part": "job"}),
    )
    async with open_world(place.app_dsn, place.redis_url) as world:
        shift = NightShift(world.platform, 1)
        for end in (None, *ends.values()):

            async def handler(_platform: object, _job: object, end: Exception | None = end) -> None:
                if end is not None:
                    raise end

            monkeypatch.setitem(HANDLERS, kind, handler)
            await shift.carry_out(await _queued(world, kind))
        await shift.carry_out(await _queued(world, "unheard.of"))
    assert change.seen() == [1, 1, 1, 1, 4, 1, 2]


def test_the_outcomes_of_attempts() -> None:
    assert outcome_of(jobs.Fenced("x")) == "fenced"
    assert outcome_of(Unavailable("中", "en")) == "unavailable"


def test_findings_count_by_rule_and_severity() -> None:
    change = Change(
        ("fenzhi_verdicts_total", {"rule": "Q08", "severity": "error"}),
        ("fenzhi_verdicts_total", {"rule": "Q08", "severity": "warning"}),
        ("fenzhi_rows_judged_total", {"outcome": "accepted"}),
        ("fenzhi_rows_judged_total", {"outcome": "refused"}),
    )
    metrics.count_verdicts({("Q08", "error"): 3, ("Q08", "warning"): 5}, accepted=7, refused=2)
    assert change.seen() == [3, 5, 7, 2]


def test_the_internal_port_shows_the_metrics_and_nothing_else() -> None:
    with (
        metrics_at("api", "127.0.0.1", 0) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        answer = http.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain")
        assert 'fenzhi_build_info{part="api",version="0.1.0"} 1.0' in answer.text
        assert "process_resident_memory_bytes" in answer.text
        assert http.get("/").status_code == 404
        assert http.post("/metrics").status_code == 501
    with metrics_at("api", "127.0.0.1", None) as port:
        assert port is None


def test_idle_readers_of_the_internal_port_take_no_more_than_its_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition._Handler, "timeout", 2.0)
    with metrics_at("api", "127.0.0.1", 0) as port:
        assert port is not None
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(exposition.READERS_MOST)]
        turned_away = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
        with ThreadPoolExecutor(13) as threads:
            ends = list(threads.map(lambda one: one.recv(1), idle + turned_away))
        assert ends == [b""] * 13, "the idle after their patience, the others at once"
        for one in idle + turned_away:
            one.close()
        assert httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).status_code == 200


def test_the_key_of_a_request_is_no_label() -> None:
    """Every label name is one whose values our source bounds."""
    allowed = {
        *("route", "method", "status", "operation", "outcome", "part", "reason", "role", "state", "kind", "which"),
        *("rule", "severity", "le", "version", "part", "generation", "implementation", "major", "minor", "patchlevel"),
    }
    found = {label for metric in metrics.REGISTRY.collect() for sample in metric.samples for label in sample.labels}
    assert found <= allowed
    assert new_key() not in generate_latest(metrics.REGISTRY).decode()


def test_rare_events_start_from_nothing() -> None:
    """A series that begins at 1 has no increase, and the first fault would raise no alert."""
    with metrics_at("worker", "127.0.0.1", None), metrics_at("api", "127.0.0.1", None):
        shown = generate_latest(metrics.REGISTRY).decode()
    for series in (
        'fenzhi_faults_total{part="job"}',
        'fenzhi_faults_total{part="graphql"}',
        'fenzhi_jobs_ended_total{kind="clearing.compute",outcome="broken"}',
        'fenzhi_transactions_total{outcome="unavailable",role="fenzhi_hospital"}',
        'fenzhi_rate_refusals_total{reason="at_once"}',
        'fenzhi_http_connections_closed_total{reason="head"}',
    ):
        assert f"{series} " in shown


def test_a_loop_that_does_not_turn_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    with metrics_at("worker", "127.0.0.1", 0) as port:
        exposition._pulse.beat()
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 200
        monkeypatch.setattr(exposition, "LOOP_STUCK_S", 0.0)
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 503


async def test_a_loop_that_turns_is_alive() -> None:
    before = exposition._pulse._beat
    task = asyncio.create_task(exposition.keep_pulse())
    await asyncio.sleep(0.05)
    task.cancel()
    assert exposition._pulse._beat > before


async def test_the_audit_chain_by_what_it_lacks(place: ServerAddresses) -> None:
    async with open_world(place.app_dsn, place.redis_url) as world:
        await world.open_tenants([("province", "410000", ""), ("city", "410100", "410000")])
        await look_at_chain(world.platform)
        assert value("fenzhi_audit_events_waiting") == 2
        assert 0 < value("fenzhi_audit_chain_lag_seconds") < 600
        assert value("fenzhi_audit_anchored_timestamp_seconds") == 0
        while await chain.chain_waiting(world.platform):
            pass
        made = await chain.anchor(world.platform)
        assert made is not None
        await look_at_chain(world.platform)
        assert value("fenzhi_audit_events_waiting") == 0
        assert value("fenzhi_audit_chain_lag_seconds") == 0
        assert value("fenzhi_audit_anchored_timestamp_seconds") > 1.7e9
