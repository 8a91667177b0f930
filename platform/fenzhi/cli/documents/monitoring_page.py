"""The page of metrics and alerts (监控说明页): docs/monitoring.md, from the registry and from the chart's alert rules."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import Metric

from fenzhi.telemetry import metrics

ALERTS = Path("helm/fenzhi/files/alerts.yaml")
_PREFIX = "fenzhi_"


def alerts(root: Path) -> list[dict[str, Any]]:
    """The alert rules of a checkout, in order (告警规则)."""
    groups = yaml.safe_load((root / ALERTS).read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def anchor_of(alert: str) -> str:
    """The anchor of an alert on the page (锚点): FenzhiJobDead → fenzhi-job-dead."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", alert).lower()


def monitoring_page(root: Path) -> str:
    """The page (监控说明页)."""
    rows = [
        f"| `{_shown(metric)}` | {metric.type} | {_labels(metric)} | {metric.documentation} |"
        for metric in sorted(metrics.REGISTRY.collect(), key=lambda metric: metric.name)
        if metric.name.startswith(_PREFIX)
    ]
    sections = [_section(rule) for rule in alerts(root)]
    return "\n".join(
        (
            "# 监控 Monitoring",
            "",
            "由 `make docs` 生成：指标取自源码，告警取自 `helm/fenzhi/files/alerts.yaml`。接口与作业进程各自在内部端口 `/metrics` 给出指标",
            "（`FENZHI_METRICS_PORT`；`fenzhi up` 时见 `fenzhi status`），不在客户端能到达的端口上。标签只用平台自己的名称：没有租户、",
            "人员和请求中的文字。面板：`helm/fenzhi/files/dashboard.json`。",
            "",
            "Written by `make docs`: metrics from the source, alerts from `helm/fenzhi/files/alerts.yaml`. API and worker each show their",
            "metrics at `/metrics` of an internal port (`FENZHI_METRICS_PORT`; with `fenzhi up` see `fenzhi status`), never on the port that",
            "clients reach. Labels hold names of the platform's own: no tenant, no person, no text of a request. Dashboard:",
            "`helm/fenzhi/files/dashboard.json`.",
            "",
            "## 指标 Metrics",
            "",
            "| 指标 metric | 类型 type | 标签 labels | 含义 meaning |",
            "|---|---|---|---|",
            *rows,
            "",
            "进程自身的指标另有 `process_*` 与 `python_*`。Besides these, `process_*` and `python_*` tell of the process itself.",
            "",
            "## 告警 Alerts",
            "",
            *sections,
        )
    )


def _section(rule: dict[str, Any]) -> str:
    said = rule["annotations"]
    held = f"，持续 {rule['for']}" if "for" in rule else ""
    held_en = f", for {rule['for']}" if "for" in rule else ""
    return "\n".join(
        (
            f'<a id="{anchor_of(rule["alert"])}"></a>',
            "",
            f"### {rule['alert']}（{rule['labels']['severity']}）",
            "",
            f"`{rule['expr']}`{held}{held_en}",
            "",
            f"- {said['summary']} {said['summary_en']}",
            f"- 办法：{said['action']}",
            f"- Do: {said['action_en']}",
            "",
        )
    )


def _shown(metric: Metric) -> str:
    return metric.name + {"counter": "_total", "info": "_info"}.get(metric.type, "")


def _labels(metric: Metric) -> str:
    names = metrics.labels_of(metric.name)
    return ", ".join(f"`{name}`" for name in names) or "-"
