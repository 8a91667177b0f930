"""The demonstration told to a person (演示报告): a table per hospital, the conservation lines, one case explained, what to try next."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fenzhi.cli.demo.outcome import Outcome
from fenzhi.rules.quantities import yuan_from_fen

_LIGHTS = {
    "green": "[green]● 绿[/]",
    "yellow": "[yellow]● 黄[/]",
    "red": "[red]● 红[/]",
    "grey": "○ 无法判定",
    "none": "-",
}


def tell(console: Console, outcome: Outcome, notice: str, title: str) -> None:
    """Print the whole report (打印报告)."""
    console.rule(f"[bold]{title}")
    console.print(f"[yellow]{notice}[/]")
    _tell_rows(console, outcome)
    _tell_hospitals(console, outcome)
    _tell_pools(console, outcome)
    _tell_case(console, outcome.explained)


def _tell_rows(console: Console, outcome: Outcome) -> None:
    rows = outcome.rows()
    refused = sum(rows["refused"].values())
    console.print(
        f"清单 {rows['in']:,} 份 = 已清算 {rows['cleared']:,} + 待处理 {rows['pending']:,} + 校验不通过 {refused:,} + 被更正 {rows['superseded']:,}"
    )
    console.print(
        f"[dim]{rows['in']:,} lists = {rows['cleared']:,} cleared + {rows['pending']:,} pending + {refused:,} refused + "
        f"{rows['superseded']:,} superseded[/]"
    )
    for code, count in rows["refused"].items():
        console.print(f"    [dim]{code}[/] {count:,}")
    aside = sum(rows["history_set_aside"].values())
    console.print(
        f"历史病例 {outcome.history.rows:,} 份 = 采用 {rows['history_used']:,} + 搁置 {aside:,} [dim](history used, set aside)[/]"
    )


def _tell_hospitals(console: Console, outcome: Outcome) -> None:
    table = Table(title="各医院清算结果 Clearing by hospital（累计至最近一季 year to date）", header_style="bold")
    for name, right in (
        ("医院\nhospital", False),
        ("病例\ncases", True),
        ("分值\npoints", True),
        ("应拨付\npayable ¥", True),
        ("保证金\ndeposit ¥", True),
        ("本次拨付\ntransfer ¥", True),
        ("预警\nlight", False),
    ):
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for line in outcome.hospitals():
        table.add_row(
            line["hospital"],
            f"{line['cases']:,}",
            f"{Decimal(line['points']):,.1f}",
            _yuan(line["payable_fen"]),
            _yuan(line["deposit_fen"]),
            _yuan(line["transfer_fen"]),
            _LIGHTS.get(line["light"], line["light"]),
        )
    console.print(table)


def _tell_pools(console: Console, outcome: Outcome) -> None:
    console.print("[bold]守恒校验 Conservation[/]  pool + draws = Σ gross + returns; gross = payable + deposit + …")
    for run in outcome.runs:
        summary = run["summary"]
        ok = "[green]✓[/]" if summary["unexplainedFen"] == "0" else "[red]✗[/]"
        kind = {"MONTH": f"第{run['period']}月", "QUARTER": f"第{run['period']}季", "YEAR": "年度"}[run["kind"]]
        console.print(
            f"  {ok} {run['areaCode']} {run['insurance'].lower():8} {run['year']} {kind}  "
            f"基金 pool ¥{_yuan(int(summary['poolFen']))}  Σ gross ¥{_yuan(int(summary['grossFen']))}  "
            f"点值 {summary['pointValuePrinted']} 元/分  未解释 unexplained {summary['unexplainedFen']} 分"
        )


def _tell_case(console: Console, explained: dict[str, Any]) -> None:
    if not explained:
        return
    console.print("[bold]一例说明 One case explained[/]")
    console.print(
        f"  目录 {explained.get('editionCode', '')}  病种 {explained.get('groupCode')} {explained.get('groupName') or ''}"
    )
    for step in explained.get("steps", []):
        values = "  ".join(f"{v['name']}={v['value']}" for v in step["values"])
        console.print(f"  · {step['zh']}  [dim]{step['en']}[/]", highlight=False)
        if values:
            console.print(f"      {values}", highlight=False, style="cyan")
    console.print(f"  = 分值 points [bold]{explained.get('points')}[/]")


def tell_next(console: Console, hospital: str, city: str, province: str) -> None:
    """What to try by hand (下一步)."""
    console.print("\n[bold]平台仍在运行，可继续尝试 The platform is still running; try:[/]")
    for command in (
        "fenzhi status --json",
        "fenzhi tenants",
        f"fenzhi token --tenant {city} --role city_settlement_clerk",
        f"fenzhi token --tenant {hospital} --role hospital_viewer",
        f"fenzhi token --tenant {province} --role province_analyst",
        "fenzhi probes",
        "fenzhi down",
    ):
        console.print(f"  .venv/bin/{command}", highlight=False)


def tell_submitting(console: Console, folder: Path) -> None:
    """How to submit what was written (上报写出的清单)."""
    console.print("\n[bold]平台仍在运行，可逐家上报 The platform is running; submit hospital by hospital:[/]")
    console.print(
        f"  for f in {folder}/*.ndjson; do .venv/bin/fenzhi submit $f --tenant $(basename $f .ndjson) --watch; done",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def _yuan(fen: int) -> str:
    whole, _, cents = yuan_from_fen(fen).partition(".")
    return f"{int(whole):,}.{cents}" if whole not in ("-0",) else f"-0.{cents}"
