"""Migrations beside the traffic of the release before, in small; and the rules by which a revision is written."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest
from alembic import command

from conftest import migrate
from fenzhi.cli.battery import migrations as section
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.servers import ServerAddresses
from fenzhi_migrations import upgrade
from fenzhi_migrations.upgrade import alembic_config, patiently, upgrade_to_head

VERSIONS = Path(upgrade.__file__).parent / "versions"
BEFORE_THE_RULES = frozenset({"2026_11_21_2246_baseline.py", "2026_11_21_2250_walls.py"})
BIG = frozenset(
    {
        "audit_event", "batch_part", "case_personal", "case_supersession", "history_discharge", "idempotency_key", "inpatient_case",
        "intake_row", "job", "list_key", "run_case", "verdict",
    }
)  # fmt: skip
"""Tables that grow with every list or request."""


async def test_up_down_and_up_again_under_the_old_releases_traffic(
    new_database: Callable[..., ServerAddresses], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(section, "QUIET_S", 1.0)
    # The bars of speed are the command's, on a machine with nothing else to do; here: no error, no row lost.
    monkeypatch.setattr(section, "P99_S", 60.0)
    monkeypatch.setattr(section, "EXCLUSIVE_S", 60.0)
    tally = Tally()
    await section.try_migrations(tally, new_database(), seed=1, bulk=500, both=False)
    assert tally.failures == []
    assert tally.held["no error"] == 3
    assert tally.held["rows kept"] == 9
    assert tally.figures["old_submissions"] > 10


async def test_a_migration_gives_way_to_a_lock_and_is_tried_again(new_database: Callable[..., ServerAddresses]) -> None:
    addresses = new_database()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(command.upgrade, alembic_config(addresses.owner_dsn), section.RELEASED).result()
        holder = await asyncpg.connect(section._beside(addresses))
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("lock table audit_event in access share mode")
        began = time.monotonic()
        running = pool.submit(upgrade_to_head, addresses.owner_dsn)
        while time.monotonic() - began < 4 and not running.done():
            await section.asyncio.sleep(0.1)
        assert not running.done()
        await transaction.rollback()
        await holder.close()
        assert running.result(timeout=120) >= 2


def test_only_locks_are_tried_again() -> None:
    calls = []

    def breaks() -> None:
        calls.append(1)
        raise ValueError("another fault")

    with pytest.raises(ValueError, match="another fault"):
        patiently(breaks)
    assert len(calls) == 1


def revisions() -> list[Path]:
    return sorted(path for path in VERSIONS.glob("*.py") if path.name not in BEFORE_THE_RULES)


def faults(tree: ast.AST) -> Iterator[str]:
    """What a revision may not do beside the release before it, read from its `upgrade` and what that calls."""
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    reached, waiting = set[str](), ["upgrade"]
    while waiting:
        name = waiting.pop()
        if name in functions and name not in reached:
            reached.add(name)
            waiting += [
                n.func.id for n in ast.walk(functions[name]) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
            ]
    for name in sorted(reached):
        for node in ast.walk(functions[name]):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                yield from _call_faults(node, node.func.attr)


def _call_faults(node: ast.Call, verb: str) -> Iterator[str]:
    texts = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    table = texts[1] if verb in ("create_index", "create_check_constraint") and len(texts) > 1 else (texts or [""])[0]
    words = {k.arg: k.value for k in node.keywords}
    if verb in ("drop_column", "drop_table", "rename_table"):
        yield f"{verb} {table}: the release before still uses it; contract one release later"
    if verb == "alter_column" and ("type_" in words or "new_column_name" in words):
        yield f"{verb} {table}: a new type or name breaks the release before"
    if verb == "create_index" and table in BIG:
        yield f"{verb} on {table}: concurrently, in an autocommit block of a revision of its own"
    if verb == "add_column" and len(node.args) > 1 and isinstance(node.args[1], ast.Call):
        column = node.args[1]
        given = {k.arg: k.value for k in column.keywords}
        required = isinstance(given.get("nullable"), ast.Constant) and given["nullable"].value is False  # type: ignore[union-attr]
        if required and "server_default" not in given:
            yield f"{verb} {table}: NOT NULL without a default refuses the rows of the release before"
        if table in BIG and any(
            isinstance(n, ast.Constant)
            and isinstance(n.value, str)
            and any(w in n.value for w in ("xact_id", "random", "uuid"))
            for n in ast.walk(given.get("server_default", ast.Constant(None)))
        ):
            yield f"{verb} {table}: a volatile default writes the table anew"


@pytest.mark.parametrize("path", revisions(), ids=lambda path: path.stem)
def test_a_revision_lives_beside_the_release_before(path: Path) -> None:
    assert list(faults(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('op.drop_column("job", "kind")', "drop_column job"),
        ('op.alter_column("job", "kind", type_=sa.Integer())', "alter_column job"),
        ('op.create_index("ix", "inpatient_case", ["age_days"])', "create_index on inpatient_case"),
        ('op.add_column("account", sa.Column("x", sa.Integer(), nullable=False))', "NOT NULL without a default"),
        ('op.add_column("job", sa.Column("x", sa.BigInteger(), server_default=sa.text("pg_current_xact_id()")))', "volatile default"),
    ],
)  # fmt: skip
def test_the_rules_are_seen_to_be_broken(body: str, said: str) -> None:
    tree = ast.parse(
        f"def upgrade():\n    _work()\n\ndef _work():\n    {body}\n\ndef downgrade():\n    op.drop_table('x')\n"
    )
    assert [fault for fault in faults(tree) if said in fault] != []
    assert list(faults(ast.parse("def upgrade():\n    pass\n\ndef downgrade():\n    op.drop_table('x')\n"))) == []


def test_no_index_is_left_invalid(new_database: Callable[..., ServerAddresses]) -> None:
    addresses = new_database()
    migrate(addresses)
    from fenzhi.cli.database_roles import with_connection

    async def invalid(connection: asyncpg.Connection) -> list[str]:
        return [
            row["n"]
            for row in await connection.fetch(
                "select indexrelid::regclass::text as n from pg_index where not indisvalid"
            )
        ]

    assert with_connection(addresses.owner_dsn, invalid) == []
