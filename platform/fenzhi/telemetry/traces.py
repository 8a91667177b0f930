"""Traces (链路追踪) by OpenTelemetry: which request spent its time in which operation, transaction or job.

A span tells names of ours, numbers and how it ended. Parameters, variables, values of statements, tenants, people and the texts of
errors are never put into one, and an attribute that is not on the list here is refused. No context of a caller is taken over: who
traces is not for a stranger to say. Off unless an endpoint is set.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    INVALID_SPAN,
    NoOpTracer,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    format_trace_id,
    get_current_span,
    use_span,
)

ATTRIBUTES = frozenset(
    {
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "graphql.operation",
        "fenzhi.job.kind",
        "fenzhi.job.attempt",
        "fenzhi.outcome",
        "db.system.name",
        "db.role",
        "error.type",
    }
)
"""What a span may say (允许的属性); every value is a name of ours or a number."""

_tracer: Tracer = NoOpTracer()


@contextmanager
def span(name: str, kind: SpanKind = SpanKind.INTERNAL, **attributes: str | int) -> Iterator[Span]:
    """A span around a block (跨度). Attributes are given with `_` for each dot: `http_route` is `http.route`.

    An exception that passes is named by its class and nothing more. Raises: ValueError for an attribute that is not on the list.
    """
    current = _tracer.start_span(name, kind=kind)
    tell(current, **attributes)
    with use_span(current, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield current
        except BaseException as exc:
            tell(current, error_type=type(exc).__name__)
            current.set_status(Status(StatusCode.ERROR))
            raise


def tell(current: Span, **attributes: str | int) -> None:
    """Put attributes on a span (写入属性). Raises: ValueError for one that is not on the list."""
    for name, value in attributes.items():
        key = _KEYS.get(name)
        if key is None:
            raise ValueError(f"{name}: no attribute of a span of ours")
        current.set_attribute(key, value)


def fail(current: Span) -> None:
    """Mark a span as ended badly (标记失败)."""
    current.set_status(Status(StatusCode.ERROR))


def trace_id() -> str:
    """The id of the trace under way (链路编号), for log lines; empty when nothing is traced."""
    current = get_current_span()
    context = current.get_span_context()
    return format_trace_id(context.trace_id) if current is not INVALID_SPAN and context.is_valid else ""


@contextmanager
def tracing(endpoint: str, service: str, one_in: int = 1) -> Iterator[None]:
    """Send one of `one_in` traces to an OTLP endpoint for as long as the block lasts (开启追踪); nothing where it is empty."""
    if not endpoint:
        yield
        return
    with tracing_to(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=5)), service, one_in):
        yield


@contextmanager
def tracing_to(processor: SpanProcessor, service: str, one_in: int = 1) -> Iterator[None]:
    """Hand spans to a processor for as long as the block lasts (追踪输出)."""
    global _tracer
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(1 / one_in)),
        resource=Resource({"service.name": service, "service.version": version("fenzhi")}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(processor)
    before, _tracer = _tracer, provider.get_tracer("fenzhi")
    try:
        yield
    finally:
        _tracer = before
        provider.shutdown()


__all__ = ["ATTRIBUTES", "Span", "SpanKind", "fail", "span", "tell", "trace_id", "tracing", "tracing_to"]

_KEYS = {name.replace(".", "_"): name for name in ATTRIBUTES}
