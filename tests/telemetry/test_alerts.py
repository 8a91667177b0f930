"""Alert rules and dashboard name metrics and labels that exist; every alert says in both languages what to do, at an anchor that exists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fenzhi.access.scope import DatabaseRole
from fenzhi.cli.documents.monitoring_page import alerts, anchor_of, monitoring_page
from fenzhi.telemetry import metrics
from fenzhi_workers.jobs import HANDLERS

ROOT = Path(__file__).resolve().parents[2]
RULES = alerts(ROOT)
DASHBOARD: dict[str, Any] = json.loads((ROOT / "helm/fenzhi/files/dashboard.json").read_text(encoding="utf-8"))
ELSEWHERE = {"kube_cronjob_status_last_successful_time": {"cronjob"}}
"""Metrics of kube-state-metrics, which watches the CronJobs."""
OF_THE_SCRAPE = {"instance", "job"}
VALUES = {
    "state": {"queued", "running", "lapsed", "done", "refused", "dead", "busy", "idle", "most"},
    "outcome": {"committed", "rolled_back", "accepted", "ok", *metrics.JOB_OUTCOMES},
    "part": {*metrics.PARTS, "http", "graphql", "job"},
    "kind": set(HANDLERS),
    "which": {"done", "all"},
    "role": {role.value for role in DatabaseRole},
}

_STRING = re.compile(r'"[^"]*"')
_MATCHERS = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)?\s*\{([^}]*)\}")
_MATCHER = re.compile(r'([a-z_]+)\s*(=~|!=|!~|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_WORDS = {"and", "or", "unless", "bool", "offset"}


def metrics_in(expr: str) -> set[str]:
    """Names of metrics in a PromQL expression: names that are no function, keyword, label or duration."""
    bare = _GROUPING.sub(" ", re.sub(r"\[[^\]]*\]", " ", re.sub(r"\{[^}]*\}", " ", _STRING.sub('""', expr))))
    return {
        found[0]
        for found in _NAME.finditer(bare)
        if found[0] not in _WORDS
        and not bare[found.end() :].lstrip().startswith("(")
        and not bare[: found.start()][-1:].isdigit()
    }


def labels_of(name: str) -> set[str]:
    """The labels a sample of this name may carry."""
    if name in ELSEWHERE:
        return ELSEWHERE[name] | OF_THE_SCRAPE
    base = re.sub(r"_(total|bucket|count|sum|info)$", "", name)
    return {*metrics.labels_of(base), *metrics.labels_of(name), *OF_THE_SCRAPE, *({"le"} if name != base else ())}


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


EXPRESSIONS = list(expressions())


def test_the_reader_of_expressions_sees_names() -> None:
    assert metrics_in(
        'sum by (le, kind) (rate(a_bucket{x="y", z=~"b(c)"}[5m])) / on (q) group_left (w) d:e > bool 1e3'
    ) == {
        "a_bucket",
        "d:e",
    }
    assert metrics_in('absent(up{job="x"}) or time() - max(seen) > 120') == {"up", "seen"}


def test_there_are_rules_and_panels() -> None:
    assert len(RULES) >= 15
    assert len([panel for panel in DASHBOARD["panels"] if panel.get("targets")]) >= 20


@pytest.mark.parametrize(("where", "expr"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_every_metric_and_label_exists(where: str, expr: str) -> None:
    named = metrics_in(expr)
    assert named, "an expression without a metric"
    assert named <= {*metrics.names_of(), *ELSEWHERE}
    carried = set().union(*(labels_of(name) for name in named))
    for name, matchers in _MATCHERS.findall(expr):
        found = _MATCHER.findall(matchers)
        assert len(found) == matchers.count("="), matchers
        for label, operator, value in found:
            assert label in labels_of(name), (name, label)
            for one in value.split("|") if label in VALUES else ():
                assert one in VALUES[label], (label, operator, one)
    for _word, labels in _GROUPING.findall(expr):
        assert {label.strip() for label in labels.split(",")} <= carried, labels


def test_every_metric_of_ours_is_looked_at() -> None:
    """A metric that neither the dashboard nor an alert shows is seen by nobody."""
    shown = {
        re.sub(r"_(total|bucket|count|sum)$", "", name) for _where, expr in EXPRESSIONS for name in metrics_in(expr)
    }
    ours = {metric.name for metric in metrics.REGISTRY.collect() if metric.name.startswith("fenzhi_")} - {
        "fenzhi_build"
    }
    assert sorted(ours - shown) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_every_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    said = rule["annotations"]
    assert set(said) == {"summary", "summary_en", "action", "action_en", "runbook_url"}
    for name in ("summary", "action"):
        assert re.search(r"[\u3400-\u9fff]", said[name]) and said[name].endswith("。")
        assert said[f"{name}_en"].endswith(".") and said[f"{name}_en"].isascii()
    page, _, anchor = said["runbook_url"].partition("#")
    assert anchor == anchor_of(rule["alert"])
    assert f'<a id="{anchor}"></a>' in (ROOT / page).read_text(encoding="utf-8")


def test_names_of_alerts_are_given_once() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)


def test_the_page_is_current() -> None:
    assert (ROOT / "docs/monitoring.md").read_text(encoding="utf-8") == monitoring_page(ROOT), "make docs"


def test_the_dashboard_is_whole() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in DASHBOARD["panels"]:
        assert re.search(r"[\u3400-\u9fff]", panel["title"]) and re.search(r"[A-Za-z]", panel["title"])
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${source}", "no data source of somebody's own Grafana"
