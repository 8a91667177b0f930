"""Lint and render the chart as Helm does, and validate what comes out against the Kubernetes schemas.

`python tests/chart_rendering.py` is part of `make check`. There is no cluster in it: what only an API server can refuse is not
seen here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import yaml

from chart_policy import CUSTOM, policy_faults

CHART = Path(__file__).resolve().parents[1] / "helm" / "fenzhi"
KUBERNETES = "1.37"


def values_files() -> list[Path]:
    """Every values file the repository carries for the chart."""
    return sorted((CHART / "ci").glob("*-values.yaml"))


def rendered(values: Mapping[str, Any], release: str = "trial") -> list[dict[str, Any]]:
    """The objects of a release; values are checked against the schema first."""
    with helm_python.Chart.load(CHART) as chart:
        texts = chart.render(values=dict(values), name=release, namespace="fenzhi")
    found = [document for text in texts.values() for document in yaml.safe_load_all(text) if document]
    return sorted(found, key=lambda document: (document["kind"], document["metadata"]["name"]))


def faults(values: Mapping[str, Any]) -> list[str]:
    """What the Kubernetes schemas find wrong with the objects of one values file; custom resources have none."""
    wrong = []
    for document in rendered(values):
        if document["kind"] in CUSTOM:
            continue
        try:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            wrong.append(f"{document['kind']} {document['metadata']['name']}: {error.message}")
    return wrong


def lint_faults(values: Mapping[str, Any]) -> list[str]:
    """Warnings and errors of Helm's own linter; its hints, such as a missing icon, are let pass."""
    report = helm_python.lint(CHART, dict(values), strict=True)
    return [f"{message['path']}: {message['error']}" for message in report["messages"] if message["severity"] > 1]


def main() -> int:
    wrong = []
    for file in values_files():
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
        found = [*lint_faults(values), *faults(values), *policy_faults(rendered(values))]
        wrong += [f"{file.name}: {fault}" for fault in found]
    print("\n".join(wrong) or f"chart: {len(values_files())} values files render, validate and keep the rules")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
