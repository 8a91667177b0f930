"""A sound database is sound, and each way of damaging it is found under its own name."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from conftest import migrate
from fenzhi.cli.battery.furnished import at_work, furnish
from fenzhi.cli.main import run as command
from fenzhi.cli.servers import ServerAddresses, Servers
from fenzhi.services.audit import chain
from fenzhi.services.verification.findings import CHECKS, Verification
from fenzhi.services.verification.verify import Verified, verify_database
from fenzhi_migrations.upgrade import head_revision

MASTER = bytes(range(32))
SUPERUSER_ONLY = "set session_replication_role = replica; "
"""What a superuser can do to get round every trigger and foreign key."""


@dataclass(frozen=True)
class Damaged:
    """A copy of the furnished database, and who may damage it."""

    addresses: ServerAddresses
    administrator: str

    async def run(self, sql: str) -> None:
        connection = await asyncpg.connect(self.administrator)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    async def verified(self, **changes: object) -> Verification:
        asked = {
            "owner_dsn": self.addresses.owner_dsn,
            "app_dsn": self.addresses.app_dsn,
            "revision": head_revision(),
            "administrator_dsn": self.administrator,
            "master_key": MASTER,
        } | changes
        return await verify_database(Verified(**asked))  # type: ignore[arg-type]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def furnished(running_servers: Servers) -> AsyncIterator[str]:
    """The name of a database in which a small province went through the whole flow; nobody is connected to it any more."""
    name = f"fenzhi_furnished_{uuid.uuid4().hex[:8]}"
    addresses = running_servers.create_database(name)
    migrate(addresses)
    async with at_work(addresses, migrate=False, master_key=MASTER) as stage:
        await furnish(stage, seed=5)
        while await chain.chain_waiting(stage.platform):
            pass
    await asyncio.sleep(0.5)
    yield name
    running_servers.drop_database(name)


@pytest.fixture
def damaged(running_servers: Servers, furnished: str) -> Iterator[Damaged]:
    name = f"fenzhi_damaged_{uuid.uuid4().hex[:8]}"
    addresses = running_servers.create_database(name, template=furnished)
    yield Damaged(addresses, addresses.superuser_dsn.rsplit("/", 1)[0] + f"/{name}")
    running_servers.drop_database(name)


WAYS = {
    "a fen of one statement": ("update hospital_statement set payable_fen = payable_fen + 1 where (area_id, run_id, hospital_id) in "
        "(select area_id, run_id, hospital_id from hospital_statement limit 1)", "run.hospital"),
    "both sides of one statement": ("update hospital_statement set gross_fen = gross_fen + 1, payable_fen = payable_fen + 1, "
        "transfer_fen = transfer_fen + 1 where (area_id, run_id, hospital_id) in (select area_id, run_id, hospital_id from hospital_statement limit 1)", "run.totals"),
    "a term of one statement": ("update hospital_statement set working = jsonb_set(working, '{terms,printed_fen}', '1') where "
        "(area_id, run_id, hospital_id) in (select area_id, run_id, hospital_id from hospital_statement limit 1)", "run.result"),
    "the points of one case of a run": ("update run_case set points = points + 1 where (area_id, run_id, case_id) in "
        "(select area_id, run_id, case_id from run_case where disposition = 'cleared' limit 1)", "run.totals"),
    "the group of one case of a run": ("update run_case set group_code = 'X' where (area_id, run_id, case_id) in "
        "(select area_id, run_id, case_id from run_case where disposition = 'cleared' limit 1)", "run.result"),
    "the pool of a run": ("update clearing_run set pool_fen = pool_fen + 1 where state = 'published'", "run.pool"),
    "the summary of a run": ("update clearing_run set summary = jsonb_set(summary, '{returns_fen}', '1') where state = 'published'", "run.pool"),
    "a word of a manifest": ("update clearing_run set manifest = jsonb_set(manifest, '{year}', '1999') where state = 'published'", "run.manifest"),
    "one pair of eyes": ("alter table clearing_run drop constraint ck_clearing_run_four_eyes; "
        "update clearing_run set approved_by_person = started_by_person where state = 'published'", "run.eyes"),
    "one posting": ("update ledger_entry set amount_fen = amount_fen + 1 where entry_id in (select entry_id from ledger_entry limit 1)", "ledger.balance"),
    "two postings that cancel": ("update ledger_entry e set amount_fen = amount_fen + case when entry_id = least_id then 7 else -7 end "
        "from (select run_id, min(entry_id::text)::uuid as least_id, max(entry_id::text)::uuid as most_id from ledger_entry where run_id is not null group by 1 limit 1) m "
        "where e.entry_id in (m.least_id, m.most_id)", "ledger.accounts"),
    "one side of a payment": ("update ledger_entry set amount_fen = amount_fen + 1 where entry_id in "
        "(select entry_id from ledger_entry where source = 'payment' limit 1)", "ledger.balance"),
    "a case gone": ("delete from inpatient_case where case_id in (select case_id from run_case limit 1)", "run.cases"),
    "a digest": ("update inpatient_case set digest = sha256('x') where case_id in (select case_id from run_case limit 1)", "case.digest"),
    "an amount and its payer": ("update inpatient_case set total_fen = total_fen + 1, cash_fen = cash_fen + 1 where case_id in "
        "(select case_id from inpatient_case limit 1)", "case.facts"),
    "a diagnosis": ("update inpatient_case set diagnoses = array['A99.999'] where case_id in (select case_id from inpatient_case limit 1)", "case.facts"),
    "an amount alone": ("alter table inpatient_case drop constraint ck_inpatient_case_payers; update inpatient_case set total_fen = total_fen + 1 "
        "where case_id in (select case_id from inpatient_case limit 1)", "case.payers"),
    "a part gone": ("delete from batch_part where (batch_id, part_no) in (select batch_id, part_no from batch_part limit 1)", "batch.parts"),
    "a bit of an original": ("update batch_part set sealed_bytes = set_byte(sealed_bytes, 40, get_byte(sealed_bytes, 40) # 1) "
        "where (batch_id, part_no) in (select batch_id, part_no from batch_part limit 1)", "batch.originals"),
    "an original of another batch": ("update batch_part p set sealed_bytes = o.sealed_bytes from batch_part o where p.area_id = o.area_id "
        "and p.batch_id <> o.batch_id", "batch.originals"),
    "the digest of an original": ("update batch_part set sha256 = sha256('x')", "batch.originals"),
    "a row of a batch": ("delete from intake_row where (batch_id, row_no) in (select batch_id, row_no from intake_row limit 1)", "batch.rows"),
    "the key of a list": ("delete from list_key where case_id in (select case_id from list_key limit 1)", "rows.orphans"),
    "personal fields": ("delete from case_personal where case_id in (select case_id from case_personal limit 1)", "rows.orphans"),
    "a hospital": ("delete from hospital where hospital_id in (select hospital_id from inpatient_case limit 1)", "rows.orphans"),
    "a job": ("delete from job where job_id in (select job_id from clearing_run limit 1)", "rows.orphans"),
    "an area": ("delete from pooling_area where area_id in (select area_id from inpatient_case limit 1)", "rows.tenants"),
    "the end of a job": ("update job set finished_at = null where state = 'done'", "jobs.states"),
    "a job's word against its run": ("update job set state = 'dead', error_code = 'x' where job_id in "
        "(select job_id from clearing_run where state = 'published')", "jobs.states"),
    "the revision": ("update alembic_version set version_num = '2026_11_21_walls'", "schema.revision"),
    "a policy of a wall": ("drop policy inpatient_case_select_fenzhi_hospital on inpatient_case; "
        "create policy inpatient_case_select_fenzhi_hospital on inpatient_case for select to fenzhi_hospital using (true)", "schema.walls"),
    "forced row level security": ("alter table ledger_entry no force row level security", "schema.walls"),
    "a trigger switched off": ("alter table ledger_entry disable trigger ledger_entry_append_only", "schema.triggers"),
    "a trigger gone": ("drop trigger clearing_run_moves on clearing_run", "schema.triggers"),
    "a word of the audit": ("update audit_event set action = 'x' where event_id in (select event_id from audit_link limit 1)", "audit.chain"),
    "an index": ("update pg_index set indisvalid = false where indexrelid = 'ix_job_tenant'::regclass", "schema.indexes"),
}  # fmt: skip


async def test_a_sound_database_is_sound(damaged: Damaged) -> None:
    found = await damaged.verified()
    assert found.found == []
    assert found.is_sound
    expected = CHECKS.keys() - {"pages.checksums"}
    assert expected <= found.looked.keys()
    assert found.looked["case.facts"] > 100
    assert found.looked["ledger.accounts"] > 50
    assert found.looked["run.result"] >= 6
    assert found.left_out.keys() <= {"pages.checksums"}


def _one_of_each_check() -> list[Any]:
    """Every way of damaging; of those that one check finds, the first runs always, the others in the battery."""
    seen: set[str] = set()
    ways = []
    for way, (_, check) in WAYS.items():
        ways.append(pytest.param(way, marks=[pytest.mark.battery] if check in seen else []))
        seen.add(check)
    return ways


@pytest.mark.parametrize("way", _one_of_each_check())
async def test_each_damage_is_found_by_name(damaged: Damaged, way: str) -> None:
    sql, check = WAYS[way]
    await damaged.run(SUPERUSER_ONLY + sql)
    found = await damaged.verified()
    assert check in found.fallen, (found.fallen, found.found[:3])
    assert any(finding.check == check and finding.saw for finding in found.found)


async def test_without_rights_it_says_what_it_did_not_look_at(damaged: Damaged) -> None:
    found = await damaged.verified(administrator_dsn="", master_key=b"")
    assert found.is_sound
    assert {"rows.tenants", "batch.originals", "case.digest", "case.facts"} <= found.left_out.keys()
    assert not {"rows.tenants", "batch.originals"} & found.looked.keys()


async def test_a_role_that_sees_nothing_may_not_say_that_all_is_well(damaged: Damaged) -> None:
    with pytest.raises(PermissionError):
        await damaged.verified(administrator_dsn=damaged.addresses.owner_dsn)


async def test_a_wrong_master_key_opens_nothing(damaged: Damaged) -> None:
    found = await damaged.verified(master_key=bytes(32))
    assert found.fallen.keys() == {"batch.originals"}


async def test_the_command_tells_sound_from_damaged(
    damaged: Damaged, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FENZHI_DATABASE_URL", damaged.addresses.owner_dsn)
    monkeypatch.setenv("FENZHI_APP_DATABASE_URL", damaged.addresses.app_dsn)
    monkeypatch.setenv("FENZHI_MASTER_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    monkeypatch.delenv("FENZHI_ADMIN_DATABASE_URL", raising=False)
    assert await asyncio.to_thread(command, ["verify", "--json", "--originals", "2"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] and report["findings"] == []
    assert report["not_looked_at"].keys() >= {"rows.tenants"}
    await damaged.run(SUPERUSER_ONLY + "update ledger_entry set amount_fen = amount_fen + 1")
    assert await asyncio.to_thread(command, ["verify", "--json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert "ledger.balance" in report["fallen"]
    assert report["findings"][0]["zh"].startswith("不符：")
    assert await asyncio.to_thread(command, ["verify"]) == 2
    assert "借贷" in capsys.readouterr().out
    assert os.environ["FENZHI_DATABASE_URL"] not in json.dumps(report)
