"""Backup and restore, in small: the trial of the battery, the commands, and keys that are sealed apart."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path

import asyncpg
import pytest

from conftest import migrate
from fenzhi.cli.backup.keys import key_check, seal_keys, unseal_keys
from fenzhi.cli.battery import restore as section
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.main import run as command
from fenzhi.cli.servers import ServerAddresses, Servers
from fenzhi.rules.refusals import Conflict
from fenzhi_migrations.upgrade import head_revision

PASSPHRASE = "correct horse battery staple"


@pytest.mark.battery
async def test_a_backup_under_load_goes_back_to_a_second_before(
    servers: ServerAddresses, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(section, "BEFORE_S", 1.5)
    monkeypatch.setattr(section, "AFTER_S", 2.0)
    monkeypatch.setattr(section, "ARCHIVE_EVERY_S", 2)
    folder = open_folder / "restore"
    folder.mkdir()
    folder.chmod(0o755)
    tally = Tally()
    await section.try_restore(tally, folder, servers, seed=11, rounds=1)
    assert tally.failures == []
    assert tally.tried["acknowledged list present"] > 0
    assert tally.tried["refused by name"] == 6
    assert tally.held["restored and verified"] == 2


async def test_the_commands_take_and_restore(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = open_folder / f"backup-{uuid.uuid4().hex[:8]}"
    archive = open_folder / f"archive-{uuid.uuid4().hex[:8]}"
    own = Servers(state, durable=False, wal_archive=archive)
    addresses = own.start()
    try:
        migrate(addresses)
        (state / "keys").mkdir(mode=0o700)
        (state / "keys" / "master.key").write_text("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
        monkeypatch.setenv("FENZHI_STATE_DIR", str(state))
        monkeypatch.setenv("FENZHI_DATABASE_URL", addresses.owner_dsn)
        monkeypatch.setenv("FENZHI_BACKUP_DATABASE_URL", addresses.superuser_dsn)
        monkeypatch.setenv("FENZHI_BACKUP_PASSPHRASE", PASSPHRASE)
        backups = open_folder / f"backups-{uuid.uuid4().hex[:8]}"
        sealed = open_folder / f"sealed-{uuid.uuid4().hex[:8]}"
        order = ["backup", "--to", str(backups), "--keys-to", str(sealed), "--json"]
        assert await asyncio.to_thread(command, order) == 0
        taken = json.loads(capsys.readouterr().out)
        assert (taken["revision"], taken["archives"], taken["server_major"]) == (head_revision(), True, 18)
        assert taken["keys_kept_at"] == str(sealed / "fenzhi-keys.sealed")
        assert taken["master_key_check"] == key_check(bytes(range(32)))
        assert "AAECAwQF" not in (sealed / "fenzhi-keys.sealed").read_text()
        beside = ["backup", "--to", str(backups), "--keys-to", str(backups / "keys")]
        assert await asyncio.to_thread(command, beside) == 2
        assert "KEYS_BESIDE_BACKUP" in capsys.readouterr().err
        owner = await asyncpg.connect(addresses.superuser_dsn.rsplit("/", 1)[0] + "/fenzhi")
        await owner.execute("create table after_the_backup (n int)")
        await owner.execute("select pg_switch_wal()")
        await owner.close()
        await asyncio.sleep(2)
        data = open_folder / f"restored-{uuid.uuid4().hex[:8]}" / "data"
        data.parent.mkdir(mode=0o755)
        order = ["restore", "--from", taken["folder"], "--data", str(data), "--wal", str(archive), "--json"]
        order += ["--keys-from", str(sealed / "fenzhi-keys.sealed")]
        # A table that no release knows has no wall: the verification names it, which shows that the log was followed.
        assert await asyncio.to_thread(command, order) == 2
        done = json.loads(capsys.readouterr().out)
        assert {finding["check"] for finding in done["verification"]["findings"]} == {"schema.walls"}
        assert "after_the_backup" in done["verification"]["findings"][0]["place"]
        assert (
            await asyncio.to_thread(command, [*order[:3], "--data", str(data.parent / "again"), "--to", "yesterday"])
            == 2
        )
        assert "RESTORE_TIME_REFUSED" in capsys.readouterr().err
        plain = ["restore", "--from", taken["folder"], "--data", str(data.parent / "plain"), "--json"]
        assert await asyncio.to_thread(command, plain) == 0
        assert json.loads(capsys.readouterr().out)["verification"]["ok"] is True
    finally:
        own.remove()


def test_keys_open_by_their_passphrase_only(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "master.key").write_bytes(b"secret")
    sealed = seal_keys(keys, tmp_path / "apart", PASSPHRASE)
    assert unseal_keys(sealed, PASSPHRASE) == {"master.key": b"secret"}
    assert sealed.stat().st_mode & 0o077 == 0
    with pytest.raises(Conflict) as refused:
        unseal_keys(sealed, PASSPHRASE + "!")
    assert refused.value.code == "KEYS_NOT_OPENED"
    parts = json.loads(sealed.read_text())
    sealed.write_text(json.dumps(parts | {"sealed": parts["nonce"] + parts["sealed"]}))
    with pytest.raises(Conflict):
        unseal_keys(sealed, PASSPHRASE)
    with pytest.raises(Conflict) as short:
        seal_keys(keys, tmp_path / "apart", "short")
    assert short.value.code == "PASSPHRASE_SHORT"


def test_the_settings_of_an_archive_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["backup", "--settings-for", "/srv/wal"]) == 0
    printed = capsys.readouterr().out
    assert "archive_mode = 'on'" in printed
    assert '"/srv/wal/%f"' in printed
