"""Metrics (指标) of one process, read by Prometheus at the internal port.

A label holds a name out of our own source or out of the operator's files: a route, a field of the schema, a kind of job, a rule, a code.
Never a text of a request, never a tenant, never a person. What has another name is counted as `other`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from fenzhi.access.scope import DatabaseRole

OTHER = "other"
"""The label of whatever has no name of ours (其他)."""

disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
"""The metrics of this process (指标登记): one process per pod, so that no figures of several processes must be joined."""
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)
BUILD = Info("fenzhi_build", "The release that runs (运行版本), and as which part of the platform.", registry=REGISTRY)

_QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0)
_LONG = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 7200.0)

HTTP_REQUESTS = Counter(
    "fenzhi_http_requests",
    "Requests answered (请求数), by route, method and status.",
    ("route", "method", "status"),
    registry=REGISTRY,
)
HTTP_SECONDS = Histogram(
    "fenzhi_http_request_seconds",
    "From the end of a request's head to the end of its answer (请求耗时), by route.",
    ("route",),
    buckets=(*_QUICK, 60.0, 180.0),
    registry=REGISTRY,
)
HTTP_IN_FLIGHT = Gauge("fenzhi_http_requests_in_flight", "Requests being answered (在办请求).", registry=REGISTRY)
HTTP_CONNECTIONS = Gauge("fenzhi_http_connections", "Open connections of clients (客户端连接).", registry=REGISTRY)
HTTP_CONNECTIONS_CLOSED = Counter(
    "fenzhi_http_connections_closed",
    "Connections that we closed (主动断开的连接): `head` came too slowly, `crowded` out by others, `stalled` and did not read.",
    ("reason",),
    registry=REGISTRY,
)
OPERATIONS = Counter(
    "fenzhi_graphql_operations",
    "GraphQL operations (接口操作), by name: of a kept operation, else of its one field at the root; "
    "`refused` for a typed refusal, `fault` for a mistake of ours.",
    ("operation", "outcome"),
    registry=REGISTRY,
)
OPERATION_SECONDS = Histogram(
    "fenzhi_graphql_operation_seconds",
    "How long a GraphQL operation took (操作耗时), by name.",
    ("operation",),
    buckets=_QUICK,
    registry=REGISTRY,
)
FAULTS = Counter(
    "fenzhi_faults", "Mistakes of ours, answered as INTERNAL (内部错误), by process part.", ("part",), registry=REGISTRY
)
RATE_REFUSALS = Counter(
    "fenzhi_rate_refusals",
    "Requests refused for their client's budget (限流拒绝): `at_once` for requests in flight, `units` for cost.",
    ("reason",),
    registry=REGISTRY,
)
TRANSACTIONS = Counter(
    "fenzhi_transactions",
    "Units of work (事务数), by database role: `committed`, `rolled_back`, or `unavailable` when no connection was free.",
    ("role", "outcome"),
    registry=REGISTRY,
)
TRANSACTION_SECONDS = Histogram(
    "fenzhi_transaction_seconds",
    "How long a unit of work was open (事务耗时), by database role.",
    ("role",),
    buckets=(*_QUICK, 60.0, 300.0, 900.0),
    registry=REGISTRY,
)
POOL_CONNECTIONS = Gauge(
    "fenzhi_database_connections",
    "Connections of this process to the database (数据库连接): `busy`, `idle`, and the `most` there may be.",
    ("state",),
    registry=REGISTRY,
)
JOBS = Gauge(
    "fenzhi_jobs",
    "Jobs by kind and state (作业状态): all that are open (queued, running, or lapsed: its worker is silent), and those "
    "entered within a day that ended (done, refused, dead). The same figure from every process: take the maximum.",
    ("kind", "state"),
    registry=REGISTRY,
)
QUEUE_AGE = Gauge(
    "fenzhi_queue_age_seconds",
    "How long the oldest job whose turn it is has waited (排队时长), by kind. The same figure from every process.",
    ("kind",),
    registry=REGISTRY,
)
LEASE_LAPSED = Gauge(
    "fenzhi_job_lease_lapsed_seconds",
    "How long ago the longest lapsed lease ended (租期逾期), by kind; 0 when every lease holds. The same from every process.",
    ("kind",),
    registry=REGISTRY,
)
RUNNING_SECONDS = Gauge(
    "fenzhi_job_running_seconds",
    "How long the longest running job has run (最长运行时间), by kind. The same figure from every process.",
    ("kind",),
    registry=REGISTRY,
)
JOB_STEPS = Gauge(
    "fenzhi_job_steps",
    "Steps of the running jobs (作业进度), by kind: `done` of `all`; a clearing has 4. The same figure from every process.",
    ("kind", "which"),
    registry=REGISTRY,
)
QUEUE_SEEN = Gauge(
    "fenzhi_queue_seen_timestamp_seconds",
    "When the queue was last looked at (队列观测时刻), Unix time.",
    registry=REGISTRY,
)
JOBS_ENDED = Counter(
    "fenzhi_jobs_ended",
    "Attempts at jobs that this worker ended (作业结束), by kind: `done`, `refused` by a rule, `fault`, `broken` law, `fenced`, "
    "`unavailable`.",
    ("kind", "outcome"),
    registry=REGISTRY,
)
JOB_SECONDS = Histogram(
    "fenzhi_job_seconds",
    "How long an attempt at a job took (作业耗时), by kind.",
    ("kind",),
    buckets=_LONG,
    registry=REGISTRY,
)
VERDICTS = Counter(
    "fenzhi_verdicts",
    "Findings about submitted rows (质控结论), by rule and severity, of batches judged by this worker.",
    ("rule", "severity"),
    registry=REGISTRY,
)
ROWS_JUDGED = Counter(
    "fenzhi_rows_judged",
    "Submitted rows judged by this worker (已判定行数): `accepted`, `refused`.",
    ("outcome",),
    registry=REGISTRY,
)
AUDIT_LAG = Gauge(
    "fenzhi_audit_chain_lag_seconds",
    "Age of the oldest audit event that the chain does not hold yet (审计链滞后); 0 when it holds all.",
    registry=REGISTRY,
)

AUDIT_WAITING = Gauge(
    "fenzhi_audit_events_waiting", "Audit events that the chain does not hold yet (待排序审计事件).", registry=REGISTRY
)
AUDIT_ANCHORED = Gauge(
    "fenzhi_audit_anchored_timestamp_seconds",
    "When the end of the audit chain was last sealed (最近锚定时刻), Unix time; 0 before the first.",
    registry=REGISTRY,
)


class Known:
    """The names a label may hold (标签名单), filled by the part of the program that knows them."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = set(names)

    def add(self, names: Iterable[str]) -> None:
        """More names (补充名单)."""
        self._names.update(names)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names))

    def label(self, name: str | None) -> str:
        """The name when it is one of ours, else `other` (标签取值)."""
        return name if name is not None and name in self._names else OTHER


METHODS = Known(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
KINDS = Known()
"""Kinds of jobs (作业类型): the worker's handlers."""
PARTS = ("api", "worker")
JOB_OUTCOMES = ("done", "refused", "fault", "broken", "fenced", "unavailable")
OPERATION_NAMES = Known()
"""Root fields of the schema and names of kept operations (操作名)."""


def begin(part: str) -> None:
    """Say which part of the platform this process is (进程身份), and let rare events start from 0, so that their first one shows."""
    BUILD.info({"version": version("fenzhi"), "part": part})
    for fault in ("http", "graphql") if part == "api" else ("job",):
        FAULTS.labels(fault)
    for role in DatabaseRole:
        for outcome in ("committed", "rolled_back", "unavailable"):
            TRANSACTIONS.labels(role.value, outcome)
    if part == "api":
        for reason in ("at_once", "units"):
            RATE_REFUSALS.labels(reason)
        for reason in ("head", "crowded", "stalled"):
            HTTP_CONNECTIONS_CLOSED.labels(reason)
        return
    for outcome in ("accepted", "refused"):
        ROWS_JUDGED.labels(outcome)
    for kind in KINDS:
        for outcome in JOB_OUTCOMES:
            JOBS_ENDED.labels(kind, outcome)


def count_verdicts(found: Mapping[tuple[str, str], int], *, accepted: int, refused: int) -> None:
    """Count the findings of a judged batch (记录质控结论), once what was found is committed."""
    for (rule, severity), number in found.items():
        VERDICTS.labels(rule, severity).inc(number)
    ROWS_JUDGED.labels("accepted").inc(accepted)
    ROWS_JUDGED.labels("refused").inc(refused)


def names_of(registry: CollectorRegistry = REGISTRY) -> Collection[str]:
    """Every name under which a sample may appear (指标名清单), histograms with their parts."""
    found: set[str] = set()
    for metric in registry.collect():
        parts = {
            "counter": ("_total",),
            "histogram": ("_bucket", "_count", "_sum"),
            "info": ("_info",),
        }.get(metric.type, ("",))
        found.update(metric.name + part for part in parts)
    return found


def labels_of(name: str) -> tuple[str, ...]:
    """The labels of a metric of ours (标签名), by its name without suffix; an info metric has those it was given."""
    for found in globals().values():
        if isinstance(found, MetricWrapperBase) and found._name == name:
            return ("version", "part") if isinstance(found, Info) else tuple(found._labelnames)
    return ()
