"""What is planted and what is looked at; the traffic itself is `fenzhi battery canaries`."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from pathlib import Path

import asyncpg
import pytest
from openpyxl import Workbook, load_workbook
from sqlalchemy import Column, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from fenzhi.access.development_issuer import ISSUER
from fenzhi.access.roles import Role, TenantKind
from fenzhi.cli.battery import planting
from fenzhi.cli.battery.canaries import _unpacked, _watched_folder
from fenzhi.cli.battery.planting import CLOSED, CLOSED_HERE, NOBODYS, SPARED, homeless, owned, plant, plots
from fenzhi.cli.battery.stage import TENANTS, Stage
from fenzhi.cli.database_roles import replace_dsn
from fenzhi.cli.probes.judge import not_admitted
from fenzhi.cli.probes.marked_source import marked_line
from fenzhi.cli.probes.objects import numbers_of
from fenzhi.cli.probes.world import Numbers, ProbedWorld, Tenant, personal_canary
from fenzhi.services.workbook_writing import workbook_bytes
from fenzhi.store.tables import metadata


def test_every_column_of_words_has_an_owner() -> None:
    assert homeless() == []
    assert len(list(plots())) > 60


def test_no_column_is_planted_whose_table_lists_what_it_may_hold() -> None:
    names = {plot.name for plot in plots()}
    assert (
        names & {"catalog_edition.standard", "disease_group.layer", "special_case.funding", "edition_list.list"}
        == set()
    )
    assert {"catalog_edition.title", "provisional_act.absorbed_by", "sign_in_failure.address"} <= names


def test_no_exception_outlives_its_column() -> None:
    columns = {c.name for t in metadata.sorted_tables for c in t.columns}
    assert set(CLOSED) - columns == set()
    assert {f"{t.name}.{c.name}" for t in metadata.sorted_tables for c in t.columns} >= set(CLOSED_HERE)
    assert {plot.name for plot in plots()} >= set(SPARED)
    assert set(metadata.tables) >= NOBODYS


def test_a_new_column_joins_by_being_declared_or_turns_red(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = MetaData()
    info = {"table_class": "platform"}
    Table("note", fresh, Column("area_id", Integer), Column("words", Text), Column("body", JSONB), info=info)
    Table("lost", fresh, Column("remark", Text(collation="C")), Column("kind", Text(collation="C")), info=info)
    monkeypatch.setattr(planting, "metadata", fresh)
    assert [plot.name for plot in plots()] == ["lost.remark", "note.words", "note.body"]
    assert homeless() == ["lost.remark"]


@pytest.mark.parametrize(
    ("table", "numbers", "condition"),
    [
        ("batch", Numbers(1, 2, 3, 4), "hospital_id = 4"),
        ("batch", Numbers(1, 2, 3), "county_id = 3 and hospital_id is null"),
        ("batch", Numbers(1, 2), "area_id = 2 and hospital_id is null and county_id is null"),
        ("fund_budget", Numbers(1, 2), "area_id = 2"),
        ("fund_budget", Numbers(1, 2, None, 4), None),
        ("county", Numbers(1, 2, 3), "county_id = 3"),
        ("county", Numbers(1, 2, 3, 4), None),
        ("catalog_edition", Numbers(1), "province_id = 1"),
        ("catalog_edition", Numbers(1, 2), None),
        ("audit_event", Numbers(1, 2), "tenant = '990100'"),
        ("account", Numbers(), "split_part(subject, ':', 2) = '990100'"),
    ],
)
def test_a_tenant_owns_the_rows_of_its_own_level(table: str, numbers: Numbers, condition: str | None) -> None:
    assert owned(metadata.tables[table], numbers, "990100") == condition


def test_a_personal_word_is_foreign_to_everybody() -> None:
    tenants = {
        "P": Tenant("P", TenantKind.PROVINCE, ""),
        "C": Tenant("C", TenantKind.CITY, "P"),
        "H": Tenant("H", TenantKind.HOSPITAL, "C"),
        "operator": Tenant("operator", TenantKind.OPERATOR, ""),
    }
    world = ProbedWorld(cast=None, tenants=tenants)  # type: ignore[arg-type]
    assert all(personal_canary("H") in world.foreign_canaries(code) for code in tenants)


def test_every_personal_field_of_a_list_is_marked() -> None:
    fields = ("psn_no", "psn_name", "certno", "medcasno", "mdtrt_id")
    line = ("{" + ",".join(f'"{f}":"12345678"' for f in (*fields, "setl_id")) + "}").encode()
    marked = marked_line(line, "99", "H1", {}).decode()
    assert marked.count(personal_canary("H1")) == len(fields)
    assert '"setl_id":"patient-H1-12345678"' in marked


def test_files_are_looked_into_and_temporary_ones_are_seen() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.xml", "word " * 100)
    assert b"word word" in _unpacked(packed.getvalue())
    with _watched_folder() as folder:
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"for a moment")
            file.flush()
            folder.once()
        assert not Path(file.name).exists()
        assert b"for a moment" in folder.everything()


def test_a_workbook_is_written_without_a_file() -> None:
    book = Workbook()
    assert book.active is not None
    book.active["A1"] = "张三"
    with _watched_folder() as folder:
        content = workbook_bytes(book)
        assert folder.everything() == b""
        watched = io.BytesIO()
        book.save(watched)
    assert load_workbook(io.BytesIO(content)).worksheets[0]["A1"].value == "张三"


async def test_whoever_asks_is_let_in_after_the_planting(untouched_stage: Stage) -> None:
    """The words must not touch what a token is checked by: then all would be refused at the door, and no answer be looked at."""
    tenants = {code: Tenant(code, TenantKind[kind], parent) for kind, code, parent in TENANTS}
    tenants["operator"] = Tenant("operator", TenantKind.OPERATOR, "")
    cast, addresses = untouched_stage.cast, untouched_stage.addresses
    client = {"issuer": ISSUER, "clientName": "his", "name": "HIS", "tenant": "990100"}
    system = cast.actor("990100", Role.CITY_SYSTEM_ADMINISTRATOR)
    await system.do("clientRegister", "ClientRegisterInput", client, "apiClient { id }")
    world = ProbedWorld(cast, tenants, "980000", await numbers_of(addresses.app_dsn))
    superuser = await asyncpg.connect(
        replace_dsn(addresses.superuser_dsn, database=addresses.app_dsn.rsplit("/", 1)[1])
    )
    try:
        planted = await plant(superuser, world)
    finally:
        await superuser.close()
    assert planted["api_client.client_id"] == 1 and planted["account.display_name"] > 20
    asked = [await cast.actor(tenant, role).raw("{ __typename }") for tenant, role in world.subjects()]
    assert len(asked) > 20
    assert {not_admitted(json.dumps(answer)) for answer in asked} == {""}
