"""Traces: one for each request and job, with its operation and transactions inside, and nothing of anybody's data."""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text

from builders.world import open_world
from fenzhi.access.roles import Role
from fenzhi.access.scope import DOORBELL_SCOPE
from fenzhi.cli.servers import ServerAddresses
from fenzhi.logs import configure_logging
from fenzhi.outbox import jobs
from fenzhi.rules.refusals import Conflict
from fenzhi.settings import Settings
from fenzhi.telemetry.traces import ATTRIBUTES, span, trace_id, tracing, tracing_to
from fenzhi_workers.jobs import HANDLERS
from fenzhi_workers.worker import NightShift

CANARIES = ("Canary7", "张三", "41010519491231002X", "410199", "province-of-a-canary")


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    with tracing_to(SimpleSpanProcessor(exporter), "fenzhi-test"):
        yield exporter


@pytest.fixture
def place(new_database: Callable[..., ServerAddresses]) -> ServerAddresses:
    return new_database(migrated=True)


def told(found: ReadableSpan) -> dict[str, object]:
    return dict(found.attributes or {})


async def test_a_request_is_a_span_with_its_operation_and_transactions_inside(
    place: ServerAddresses, spans: InMemorySpanExporter
) -> None:
    async with open_world(place.app_dsn, place.redis_url) as world:
        operator = await world.client("operator", Role.OPERATOR_ADMIN)
        spans.clear()
        await operator.gql("query Canary7 { hospitals(first: 1) { edges { node { code } } } }")
        found = spans.get_finished_spans()
    (request,) = [one for one in found if one.parent is None]
    (operation,) = [one for one in found if one.name == "graphql hospitals"]
    transactions = [one for one in found if one.name == "transaction"]
    assert request.name == "POST /graphql"
    assert told(request) == {
        "http.request.method": "POST",
        "http.route": "/graphql",
        "http.response.status_code": 200,
    }
    assert told(operation) == {"graphql.operation": "hospitals", "fenzhi.outcome": "ok"}
    assert operation.parent is not None and operation.parent.span_id == request.context.span_id
    assert len(transactions) == len(found) - 2 >= 2
    assert {one.context.trace_id for one in found} == {request.context.trace_id}
    reads = [one for one in transactions if one.parent and one.parent.span_id == operation.context.span_id]
    assert [told(one) for one in reads] == [
        {"db.system.name": "postgresql", "db.role": "fenzhi_operator", "fenzhi.outcome": "committed"}
    ]


async def test_no_span_repeats_what_a_caller_wrote(place: ServerAddresses, spans: InMemorySpanExporter) -> None:
    async with open_world(place.app_dsn, place.redis_url) as world:
        await world.open_tenants([("province", "410199", "")])
        operator = await world.client("operator", Role.OPERATOR_ADMIN)
        await operator.raw(
            "mutation Canary7($i: TenantOpenInput!) { tenantOpen(input: $i) { tenant userErrors { code } } }",
            {
                "i": {
                    "idempotencyKey": uuid.uuid4().hex,
                    "kind": "CITY",
                    "code": "410199",
                    "name": "张三41010519491231002X",
                    "parent": "province-of-a-canary",
                }
            },
        )
        await operator.raw('{ node(id: "Canary7") { id } }')
        await operator.http.get(
            "/v1/batches/Canary7/verdicts.ndjson?who=张三", headers={"x-request-id": "Canary7-1234"}
        )
        await operator.http.get(
            "/Canary7", headers={"traceparent": "00-" + "7" * 32 + "-" + "7" * 16 + "-01", "x-canary": "Canary7"}
        )
        with pytest.raises(Conflict):
            async with world.platform.database.unit_of_work(DOORBELL_SCOPE) as uow:
                await uow.scalar(text("select cast(:given as numeric(1, 1))"), {"given": 41010519491231002})
        found = spans.get_finished_spans()
    whole = "\n".join(one.to_json() for one in found)
    assert len(found) > 10
    assert [canary for canary in CANARIES if canary in whole] == []
    assert json.dumps("张三")[1:-1] not in whole
    assert "7" * 32 not in whole, "a caller's trace is not taken over"
    assert {key for one in found for key in told(one)} <= ATTRIBUTES
    assert [event for one in found for event in one.events] == []
    assert {one.status.description for one in found} == {None}


async def test_a_job_is_a_trace_of_its_own(
    place: ServerAddresses, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handler(_platform: object, job: jobs.ClaimedJob) -> None:
        raise ValueError("张三41010519491231002X")

    monkeypatch.setitem(HANDLERS, "clearing.compute", handler)
    async with open_world(place.app_dsn, place.redis_url) as world:
        async with world.platform.database.unit_of_work(DOORBELL_SCOPE) as uow:
            job_id = await jobs.enqueue(uow, world.platform.doorbell, "clearing.compute", {"who": "Canary7"})
        spans.clear()
        await NightShift(world.platform, 1).carry_out(job_id)
        found = spans.get_finished_spans()
    (job,) = [one for one in found if one.name == "job clearing.compute"]
    assert job.parent is None
    assert not job.status.is_ok
    assert told(job) == {"fenzhi.job.kind": "clearing.compute", "fenzhi.job.attempt": 1, "fenzhi.outcome": "fault"}
    inside = [one.name for one in found if one.parent and one.parent.span_id == job.context.span_id]
    assert inside == ["transaction"]
    assert [canary for canary in CANARIES if canary in "".join(one.to_json() for one in found)] == []


def test_an_exception_is_its_class_and_nothing_more(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="Canary7"), span("transaction"):
        raise ValueError("Canary7")
    (found,) = spans.get_finished_spans()
    assert told(found) == {"error.type": "ValueError"}
    assert (list(found.events), found.status.description) == ([], None)


def test_an_attribute_that_is_not_on_the_list_is_refused(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="no attribute of a span of ours"), span("transaction", db_query_text="x"):
        pass
    assert "db.query.text" not in ATTRIBUTES


def test_nothing_is_traced_until_an_endpoint_is_set() -> None:
    assert Settings().otlp_endpoint == ""
    with tracing("", "fenzhi-test"), span("http") as found:
        assert not found.is_recording()
        assert trace_id() == ""
    with pytest.raises(ValueError, match="https:// address"):
        Settings(otlp_endpoint="collector:4318")


def test_a_share_of_the_traces_can_be_taken() -> None:
    exporter = InMemorySpanExporter()
    with tracing_to(SimpleSpanProcessor(exporter), "fenzhi-test", one_in=10**9):
        for _ in range(50):
            with span("http"), span("transaction"):
                pass
    assert exporter.get_finished_spans() == ()


def test_log_lines_name_their_trace(spans: InMemorySpanExporter) -> None:
    with span("http") as found:
        assert trace_id() == format(found.get_span_context().trace_id, "032x")
    assert trace_id() == ""


def test_spans_reach_a_collector_and_a_collector_that_is_away_hurts_nobody() -> None:
    received: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
    with tracing(endpoint, "fenzhi-api"), span("http", http_route="/graphql"):
        pass
    server.shutdown()
    server.server_close()
    thread.join()
    (sent,) = [ExportTraceServiceRequest.FromString(body) for body in received]
    (resource,) = sent.resource_spans
    assert {one.key: one.value.string_value for one in resource.resource.attributes} == {
        "service.name": "fenzhi-api",
        "service.version": "0.1.0",
    }
    ((found,),) = [scope.spans for scope in resource.scope_spans]
    assert (found.name, [(one.key, one.value.string_value) for one in found.attributes]) == (
        "http",
        [("http.route", "/graphql")],
    )
    lines = StringIO()
    configure_logging("CRITICAL", lines)
    try:
        with tracing(endpoint, "fenzhi-api"), span("http"):
            pass
    finally:
        configure_logging("ERROR")
    assert logging.getLogger().level == logging.ERROR
