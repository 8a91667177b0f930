"""The command `fenzhi` (命令行).

Exit codes: 0 done; 1 partly done, or crashed; 2 refused; 3 not reached. With `--json` standard output holds JSON and nothing
else; what a person may like to know goes to standard error.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fenzhi.rules.refusals import DataRefused, FenzhiError, InvariantBroken
from fenzhi.settings import Settings

OK, CRASHED, REFUSED, UNREACHED = 0, 1, 2, 3
_UNREACHED_CODES = frozenset({"NOT_RUNNING", "DATABASE_UNREACHABLE", "UNAVAILABLE", "API_UNREACHABLE"})

app = typer.Typer(
    name="fenzhi",
    help="Fenzhi (分值): exact, explained, replayable DIP payment (按病种分值付费).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
database_app = typer.Typer(
    no_args_is_help=True, help="Database roles, for whoever administers the server (数据库角色)."
)
app.add_typer(database_app, name="db")
catalog_app = typer.Typer(no_args_is_help=True, help="The catalog desk, without a server (目录离线工具).")
app.add_typer(catalog_app, name="catalog")
vectors_app = typer.Typer(no_args_is_help=True, help="Conformance vectors (一致性向量).")
app.add_typer(vectors_app, name="vectors")
audit_app = typer.Typer(no_args_is_help=True, help="The audit chain (审计链).")
app.add_typer(audit_app, name="audit")

Json = Annotated[bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")]
# Their options belong to the modules they come from; this shell only hands them over.
_HANDED_OVER = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def say(zh: str, en: str) -> None:
    """One line for a person, on standard error (提示)."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"{escape(zh)} [dim]{escape(en)}[/dim]", emoji=False)


@app.command()
def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Run in the background; return when ready.")] = False,
) -> None:
    """Start everything: servers, migrations, API, worker (启动平台). Ctrl-C stops it cleanly."""
    from fenzhi.cli.up import start_detached, supervise

    settings = Settings()
    if not detach:
        supervise(settings, say=say)
        return
    status = start_detached(settings, say=say)
    say(f"平台已在后台运行：{status.api_url}", f"Running in the background: {status.api_url}")
    say("停止：fenzhi down", "Stop it by: fenzhi down")


@app.command()
def down() -> None:
    """Stop the platform of this state folder (停止平台)."""
    from fenzhi.cli.up import stop_platform

    if stop_platform(Settings().state_dir):
        say("平台已停止。", "Stopped.")
    else:
        say("没有正在运行的平台。", "Nothing was running.")


@app.command()
def status(as_json: Json = False) -> None:
    """Where the running platform is: API, DSNs, process numbers (运行状态). Shows passwords to whoever started it."""
    from fenzhi.cli.database_roles import safe_dsn
    from fenzhi.cli.status import running_status

    found = running_status(Settings().state_dir)
    shown: dict[str, Any] = {
        "api_url": found.api_url,
        "metrics_urls": found.metrics_urls,
        "owner_dsn": found.owner_dsn,
        "app_dsn": found.app_dsn,
        "redis_url": found.redis_url,
        "pids": found.pids,
        "state_dir": found.state_dir,
    }
    if as_json:
        print_json(shown)
        return
    for name in ("owner_dsn", "app_dsn", "redis_url"):
        shown[name] = safe_dsn(shown[name])
    table = Table(show_header=False, box=None)
    for name, value in shown.items():
        text = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else str(value)
        table.add_row(name, text)
    Console(soft_wrap=True).print(table)


@app.command()
def tenants(as_json: Json = False) -> None:
    """The tenant tree: operator, provinces, cities, counties, hospitals (租户清单)."""
    from fenzhi.cli.tokens import list_tenants

    found = list_tenants(Settings())
    if as_json:
        print_json(found)
        return
    table = Table("code", "name", "kind", "parent")
    for tenant in found:
        table.add_row(tenant["code"], tenant["name"], tenant["kind"], tenant["parent"])
    Console().print(table)


@app.command()
def token(
    tenant: Annotated[str, typer.Option("--tenant", help="Code of a tenant, see fenzhi tenants.")],
    role: Annotated[str, typer.Option("--role", help="Name of a role, such as hospital_submitter.")],
    second_factor: Annotated[
        bool, typer.Option("--second-factor/--one-factor", help="Whether the token states a second factor.")
    ] = True,
    as_json: Json = False,
) -> None:
    """A development access token, at most fifteen minutes (开发令牌). On one's own machine only."""
    from fenzhi.cli.tokens import development_token

    issued = development_token(Settings(), tenant=tenant, role=role, has_second_factor=second_factor)
    if as_json:
        print_json({**asdict(issued), "expires_at": issued.expires_at.isoformat()})
    else:
        print(issued.token)


@app.command("first-operator")
def first_operator(
    issuer: Annotated[str, typer.Option("--issuer", help="The iss of the person's tokens.")],
    subject: Annotated[str, typer.Option("--subject", help="The sub of the person's tokens.")],
    person: Annotated[str, typer.Option("--person", help="UUID of the natural person.")],
    name: Annotated[str, typer.Option("--name", help="Name shown beside acts.")],
    client: Annotated[str, typer.Option("--client", help="The client_id of the person's tokens.")],
) -> None:
    """Make one of the first two operators of a new platform (首任平台运营). Needs FENZHI_APP_DATABASE_URL, on the machine itself."""
    from fenzhi.cli.first_operator import make_first_operator

    make_first_operator(Settings(), issuer=issuer, subject=subject, person=person, name=name, client=client)
    print("ok")


@app.command()
def doctor(as_json: Json = False) -> None:
    """Name what is wrong and how to mend it (自检). Exit 2 when something is."""
    from fenzhi.cli.doctor import examine

    findings = examine(Settings())
    wrong = [finding for finding in findings if finding.severity == "error"]
    if as_json:
        print_json({"ok": not wrong, "findings": [asdict(finding) for finding in findings]})
    else:
        console = Console(highlight=False)
        for finding in findings:
            mark = {"ok": "[green]✓[/green]", "note": "[yellow]·[/yellow]", "error": "[red]✗[/red]"}[finding.severity]
            console.print(f"{mark} {escape(finding.zh)} [dim]{escape(finding.en)}[/dim]")
            if finding.remedy_zh:
                console.print(f"   → {escape(finding.remedy_zh)} [dim]{escape(finding.remedy_en)}[/dim]")
    if wrong:
        raise typer.Exit(REFUSED)


@app.command()
def migrate() -> None:
    """Bring the database to the newest revision (执行迁移): FENZHI_DATABASE_URL, else the running platform's."""
    from fenzhi.cli.status import running_status
    from fenzhi_migrations.upgrade import head_revision, upgrade_to_head

    settings = Settings()
    given = settings.database_url
    upgrade_to_head(given.get_secret_value() if given else running_status(settings.state_dir).owner_dsn)
    say(f"数据库已是最新版本 {head_revision()}。", f"The database is at {head_revision()}.")


@app.command(context_settings=_HANDED_OVER, add_help_option=False)
def verify(context: typer.Context) -> None:
    """Recompute what can be recomputed and name what is damaged (核验数据库)."""
    hand_over("fenzhi.cli.verify", "verify", context.args)


@app.command(context_settings=_HANDED_OVER, add_help_option=False)
def backup(context: typer.Context) -> None:
    """Take a base backup of a running server, checked file by file (备份)."""
    hand_over("fenzhi.cli.backup.take", "backup", context.args)


@app.command(context_settings=_HANDED_OVER, add_help_option=False)
def restore(context: typer.Context) -> None:
    """Restore a backup to a moment into a fresh folder, and verify it (按时间点恢复)."""
    hand_over("fenzhi.cli.backup.restore", "restore", context.args)


@database_app.command()
def bootstrap(
    administrator_dsn: Annotated[
        str, typer.Option("--admin-dsn", envvar="FENZHI_ADMIN_DATABASE_URL", help="A superuser's DSN, used once.")
    ],
) -> None:
    """Make owner, application role and database on a server given by DSN (初始化外部数据库).

    Takes the passwords and the database name from FENZHI_DATABASE_URL (fenzhi_owner) and FENZHI_APP_DATABASE_URL (fenzhi_app).
    """
    from fenzhi.cli.database_roles import bootstrap_external, safe_dsn

    settings = Settings()
    owner = settings.database_url.get_secret_value() if settings.database_url else ""
    application = settings.app_database_url.get_secret_value() if settings.app_database_url else ""
    bootstrap_external(administrator_dsn, owner_dsn=owner, application_dsn=application)
    say(f"角色与数据库已就绪：{safe_dsn(owner)}", f"Roles and database are ready: {safe_dsn(owner)}")


@app.command(context_settings=_HANDED_OVER, add_help_option=False)
def golden(context: typer.Context) -> None:
    """Work golden cases through the rules and compare every digit (黄金用例)."""
    hand_over("fenzhi.cli.golden", "golden", context.args)


@app.command(context_settings=_HANDED_OVER, add_help_option=False)
def probes(context: typer.Context) -> None:
    """Try every field and path as every role for every tenant (越权探测)."""
    hand_over("fenzhi.cli.probes", "probes", context.args)


@app.command(context_settings=_HANDED_OVER, add_help_option=False)
def battery(context: typer.Context) -> None:
    """Attacks and faults by section: tokens, graphql, idempotency, concurrency, interference, walls, audit, canaries (长时测试)."""
    hand_over("fenzhi.cli.battery", "battery", context.args)


@app.command(context_settings=_HANDED_OVER, add_help_option=False)
def generate(context: typer.Context) -> None:
    """Write a synthetic province (合成数据)."""
    hand_over("fenzhi.cli.generate", "generate", context.args)


@app.command(context_settings=_HANDED_OVER, add_help_option=False)
def demo(context: typer.Context) -> None:
    """The whole flow, from an empty machine to published scorecards (全流程演示)."""
    hand_over("fenzhi.cli.demo", "demo", context.args)


@app.command(context_settings=_HANDED_OVER, add_help_option=False)
def group(context: typer.Context) -> None:
    """Group and score cases of a file, without a server (离线入组计分)."""
    hand_over("fenzhi.cli.group", "group", context.args)


@app.command(context_settings=_HANDED_OVER, add_help_option=False)
def explain(context: typer.Context) -> None:
    """Why a case is in its group and in no other (病例解释)."""
    hand_over("fenzhi.cli.explain", "explain", context.args)


@app.command(context_settings=_HANDED_OVER, add_help_option=False)
def submit(context: typer.Context) -> None:
    """Submit a file of settlement lists and show its verdicts (上报清单文件)."""
    hand_over("fenzhi.cli.submit", "submit", context.args)


@catalog_app.command(context_settings=_HANDED_OVER, add_help_option=False)
def build(context: typer.Context) -> None:
    """Groups and scores from any discharge file (由病案文件建组)."""
    hand_over("fenzhi.cli.catalog.build", "build", context.args)


@catalog_app.command("import", context_settings=_HANDED_OVER, add_help_option=False)
def import_(context: typer.Context) -> None:
    """Read a catalog file in its dialect; name every fault (导入检查)."""
    hand_over("fenzhi.cli.catalog.files", "import_catalog", context.args)


@catalog_app.command(context_settings=_HANDED_OVER, add_help_option=False)
def lint(context: typer.Context) -> None:
    """Unreachable, overlapping, ambiguous groups; unknown codes; wrong scores (目录检查)."""
    hand_over("fenzhi.cli.catalog.files", "lint", context.args)


@catalog_app.command(context_settings=_HANDED_OVER, add_help_option=False)
def export(context: typer.Context) -> None:
    """Write what was imported, byte for byte (导出目录)."""
    hand_over("fenzhi.cli.catalog.files", "export", context.args)


@catalog_app.command(context_settings=_HANDED_OVER, add_help_option=False)
def diff(context: typer.Context) -> None:
    """What changed between two editions (版本差异)."""
    hand_over("fenzhi.cli.catalog.files", "diff", context.args)


@vectors_app.command(context_settings=_HANDED_OVER, add_help_option=False)
def write(context: typer.Context) -> None:
    """Write cases with the answers of the independent reference (生成一致性向量)."""
    hand_over("fenzhi.cli.vectors.command", "write", context.args)


@vectors_app.command(context_settings=_HANDED_OVER, add_help_option=False)
def check(context: typer.Context) -> None:
    """Compare an engine with them; exit 2 when any case disagrees (核对一致性向量)."""
    hand_over("fenzhi.cli.vectors.command", "check", context.args)


@audit_app.command("verify", context_settings=_HANDED_OVER, add_help_option=False)
def audit_verify(context: typer.Context) -> None:
    """Follow the chain and the anchors; name the first bad number (核对审计链). Exit 2 when it does not hold."""
    hand_over("fenzhi.cli.audit", "verify", context.args)


@audit_app.command("anchor", context_settings=_HANDED_OVER, add_help_option=False)
def audit_anchor(context: typer.Context) -> None:
    """Seal the end of the chain now (立即锚定)."""
    hand_over("fenzhi.cli.audit", "anchor", context.args)


class BenchSubject(StrEnum):
    """What can be measured (测量对象)."""

    GROUPING = "grouping"
    SUBMISSION = "submission"
    CLEARING = "clearing"
    CATALOG = "catalog"
    WORKBOOK = "workbook"
    EXPLAIN = "explain"
    STATEMENT = "statement"


class BenchSource(StrEnum):
    """Where the cases of the grouping bench are (病例所在)."""

    MEMORY = "memory"
    DATABASE = "database"


class SubmissionMode(StrEnum):
    """How the submission bench sends lists (上报压测方式)."""

    BULK = "bulk"
    NATIONAL = "national"
    FILE = "file"
    """One file of one hospital (单个文件)."""
    FILES = "files"
    """Many files at once, and what a small hospital notices of a large one (多文件并发与公平)."""


@app.command()
def bench(
    subject: BenchSubject,
    cases: Annotated[
        int, typer.Option("--cases", min=1, help="How many cases; of explain, how many requests.")
    ] = 100_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed measures the same cases.")] = 1,
    source: Annotated[
        BenchSource, typer.Option("--from", help="Of grouping: codes in memory, or rows in PostgreSQL.")
    ] = BenchSource.MEMORY,
    verify: Annotated[
        int, typer.Option("--verify", min=0, help="Of grouping: so many random rows worked again by the rules.")
    ] = 200,
    mode: Annotated[
        SubmissionMode, typer.Option("--mode", help="How lists are submitted; for submission only.")
    ] = SubmissionMode.BULK,
    rate: Annotated[int, typer.Option("--rate", min=1, help="Messages a second in mode national.")] = 300,
    files: Annotated[int, typer.Option("--files", min=2, max=1000, help="Files at once in mode files.")] = 50,
    areas: Annotated[
        int, typer.Option("--areas", min=0, max=30, help="Of clearing: a province of so many cities, cleared twice.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Measure one thing beside its floors, in one run (性能测量)."""
    name = subject.value
    more: dict[str, int] = {}
    if subject is BenchSubject.GROUPING:
        more["verify"] = verify
        name += "_stored" if source is BenchSource.DATABASE else ""
    elif subject is BenchSubject.SUBMISSION and mode is SubmissionMode.NATIONAL:
        name, more["rate"] = "national", rate
    elif subject is BenchSubject.SUBMISSION and mode in (SubmissionMode.FILE, SubmissionMode.FILES):
        name, more["files"] = "files", files if mode is SubmissionMode.FILES else 1
    elif subject is BenchSubject.CLEARING:
        more["areas"] = areas
    module = importlib.import_module(f"fenzhi.cli.bench_{name}")
    report: dict[str, object] = getattr(module, f"bench_{name}")(cases, seed, **more)
    if as_json:
        print_json(report)
        return
    table = Table(show_header=False, box=None)
    for name, value in report.items():
        table.add_row(name, json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value))
    Console(soft_wrap=True).print(table)


def hand_over(module: str, function: str, arguments: list[str]) -> None:
    """Run a command that lives in its own module (转交命令), imported only now: starting `fenzhi` stays quick.

    What the function returns, if it is a number, is the exit code.
    """
    command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    command.command()(getattr(importlib.import_module(module), function))
    outcome = typer.main.get_command(command).main(
        args=list(arguments), prog_name=f"fenzhi {function}", standalone_mode=False
    )
    raise typer.Exit(outcome if isinstance(outcome, int) and not isinstance(outcome, bool) else OK)


def print_json(value: object) -> None:
    """JSON on standard output (输出 JSON)."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def run(arguments: list[str]) -> int:
    """Run one command line (执行); return its exit code: every failure becomes a sentence in both languages."""
    try:
        outcome = app(args=arguments, prog_name="fenzhi", standalone_mode=False)
        return outcome if isinstance(outcome, int) and not isinstance(outcome, bool) else OK
    except DataRefused as error:
        for refusal in error.refusals:
            say(f"✗ [{refusal.code}] {refusal.zh}", refusal.en)
            say(f"  → {refusal.remedy_zh}", refusal.remedy_en)
        return REFUSED
    except FenzhiError as error:
        say(f"✗ [{error.code}] {error.zh}", error.en)
        if error.hint:
            say(f"  → {error.hint}", "")
        return UNREACHED if error.code in _UNREACHED_CODES else REFUSED
    except InvariantBroken as error:
        say(f"✗ 不变式被破坏：{error.law}（{error.account or '-'}）", str(error))
        return CRASHED
    except ValidationError as error:
        for fault in error.errors():
            name = "_".join(str(part) for part in fault["loc"]).upper()
            say(f"✗ 配置有误 FENZHI_{name}", str(fault["msg"]))
        return REFUSED
    except typer.Abort:
        return CRASHED
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):
            error.show()
            return int(error.exit_code)
        if type(error).__module__.partition(".")[0] == "httpx" or isinstance(error, ConnectionError):
            say("✗ 无法连接。", f"Not reached: {type(error).__name__}: {error}")
            return UNREACHED
        Console(stderr=True).print_exception(show_locals=False, width=120)
        return CRASHED
