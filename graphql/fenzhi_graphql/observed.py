"""GraphQL operations in the metrics and traces (接口观测), under names of ours.

A caller may call an operation what he likes, and that is no label. It is called after the kept operation it is, else after its one
field at the root of the schema, else `other`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from graphql import DocumentNode, FieldNode, OperationDefinitionNode
from strawberry.extensions import SchemaExtension

from fenzhi.rules.refusals import FenzhiError
from fenzhi.telemetry import metrics
from fenzhi.telemetry.traces import fail, span, tell
from fenzhi_graphql.context import Context


def operation_label(document: DocumentNode | None, operation_name: str | None, kept: str = "") -> str:
    """The name of an operation for a label (操作标签): one of a bounded set."""
    if kept:
        return metrics.OPERATION_NAMES.label(kept)
    found = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)] if document else []
    if operation_name:
        found = [d for d in found if d.name is not None and d.name.value == operation_name]
    if len(found) != 1:
        return metrics.OTHER
    fields = found[0].selection_set.selections
    if len(fields) != 1 or not isinstance(fields[0], FieldNode):
        return metrics.OTHER
    return metrics.OPERATION_NAMES.label(fields[0].name.value)


def outcome_of(result: Any) -> str:
    """How an operation came out (操作结果): ok, refused or fault. An error of the payload is a refusal too."""
    outcome = "ok"
    for error in getattr(result, "errors", None) or ():
        original = error.original_error
        if original is not None and not isinstance(original, FenzhiError | ValueError):
            return "fault"
        outcome = "refused"
    data = getattr(result, "data", None)
    for value in data.values() if isinstance(data, dict) else ():
        if isinstance(value, dict) and value.get("userErrors"):
            outcome = "refused"
    return outcome


class Observed(SchemaExtension):
    """Counts and times every operation (操作观测)."""

    def on_operation(self) -> Iterator[None]:
        """Around everything: parsing, validation, execution."""
        began = time.perf_counter()
        with span("graphql") as traced:
            try:
                yield
            finally:
                name, outcome = self._count(time.perf_counter() - began)
                traced.update_name(f"graphql {name}")
                tell(traced, graphql_operation=name, fenzhi_outcome=outcome)
                if outcome == "fault":
                    fail(traced)

    def _count(self, seconds: float) -> tuple[str, str]:
        execution = self.execution_context
        context = execution.context
        kept = context.kept_operation if isinstance(context, Context) else ""
        name = operation_label(execution.graphql_document, execution.operation_name, kept)
        metrics.OPERATION_SECONDS.labels(name).observe(seconds)
        result = execution.result
        outcome = outcome_of(result) if result is not None else "refused"
        metrics.OPERATIONS.labels(name, outcome).inc()
        if outcome == "fault":
            metrics.FAULTS.labels("graphql").inc()
        return name, outcome


def observed() -> Observed:
    """The extension; a factory, because an instance would be shared between requests."""
    return Observed()
