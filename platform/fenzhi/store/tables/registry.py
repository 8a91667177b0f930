"""Registry (机构登记): the tenant tree, hospitals' dated standing, coefficients, agreements; accounts and memberships."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    text,
)

from fenzhi.store.tables.base import (
    FALSE,
    TableClass,
    code,
    day,
    exact,
    flag,
    key,
    metadata,
    moment,
    recorded_at,
    uuid_,
    walled,
    whole,
    words,
)

province = Table(
    "province",
    metadata,
    whole("province_id", autoincrement=False, nullable=False),
    code("code", nullable=False),
    words("name", nullable=False),
    flag("is_sandbox", server_default=FALSE),
    recorded_at(),
    PrimaryKeyConstraint("province_id"),
    UniqueConstraint("code"),
    info=walled(TableClass.PROVINCE),
)

pooling_area = Table(
    "pooling_area",
    metadata,
    whole("area_id", autoincrement=False, nullable=False),
    whole("province_id", nullable=False),
    code("code", nullable=False),
    words("name", nullable=False),
    code("kind", nullable=False),
    recorded_at(),
    PrimaryKeyConstraint("area_id"),
    UniqueConstraint("code"),
    CheckConstraint("kind in ('city', 'province', 'county')", name="kind"),
    info=walled(TableClass.AREA),
)

county = Table(
    "county",
    metadata,
    whole("county_id", autoincrement=False, nullable=False),
    whole("area_id", nullable=False),
    whole("province_id", nullable=False),
    code("code", nullable=False),
    words("name", nullable=False),
    flag("is_delegated", server_default=FALSE),
    recorded_at(),
    PrimaryKeyConstraint("county_id"),
    UniqueConstraint("area_id", "county_id"),
    UniqueConstraint("code"),
    info=walled(TableClass.AREA),
)

hospital = Table(
    "hospital",
    metadata,
    whole("hospital_id", autoincrement=False, nullable=False),
    whole("area_id", nullable=False),
    whole("county_id"),
    whole("province_id", nullable=False),
    code("code", nullable=False),
    words("name", nullable=False),
    recorded_at(),
    PrimaryKeyConstraint("hospital_id"),
    UniqueConstraint("area_id", "hospital_id"),
    UniqueConstraint("code"),
    info=walled(TableClass.HOSPITAL),
)

tenant_number = Table(
    "tenant_number",
    metadata,
    Column("number", Integer, Identity(always=True), nullable=False),
    code("tenant", nullable=False),
    code("kind", nullable=False),
    recorded_at(),
    PrimaryKeyConstraint("number"),
    UniqueConstraint("tenant"),
    info=walled(TableClass.PLATFORM),
)
"""Surrogate numbers of tenants, handed out once and never renumbered (租户编号)."""

hospital_standing = Table(
    "hospital_standing",
    metadata,
    key("standing_id"),
    whole("area_id", nullable=False),
    whole("county_id"),
    whole("hospital_id", nullable=False),
    day("effective_from", nullable=False),
    code("level", nullable=False),
    words("document", nullable=False),
    uuid_("recorded_by"),
    recorded_at(),
    PrimaryKeyConstraint("standing_id"),
    UniqueConstraint("area_id", "hospital_id", "effective_from", "recorded_at", name="uq_hospital_standing_dated"),
    ForeignKeyConstraint(["area_id", "hospital_id"], ["hospital.area_id", "hospital.hospital_id"]),
    CheckConstraint("level in ('tertiary', 'secondary', 'primary')", name="level"),
    info=walled(TableClass.HOSPITAL),
)

hospital_coefficient = Table(
    "hospital_coefficient",
    metadata,
    key("coefficient_id"),
    whole("area_id", nullable=False),
    whole("county_id"),
    whole("hospital_id", nullable=False),
    code("insurance", nullable=False),
    day("effective_from", nullable=False),
    exact("coefficient", 8, 4, nullable=False),
    words("document", nullable=False),
    uuid_("recorded_by"),
    recorded_at(),
    PrimaryKeyConstraint("coefficient_id"),
    ForeignKeyConstraint(["area_id", "hospital_id"], ["hospital.area_id", "hospital.hospital_id"]),
    CheckConstraint("coefficient > 0", name="positive"),
    Index("ix_hospital_coefficient_area_id_hospital_id", "area_id", "hospital_id", "insurance", "effective_from"),
    info=walled(TableClass.HOSPITAL),
)

agreement = Table(
    "agreement",
    metadata,
    key("agreement_id"),
    whole("area_id", nullable=False),
    whole("county_id"),
    whole("hospital_id", nullable=False),
    code("insurance", nullable=False),
    day("valid_from", nullable=False),
    day("valid_to", nullable=False),
    code("payment_mode", nullable=False, server_default="dip"),
    words("document", nullable=False),
    uuid_("recorded_by"),
    recorded_at(),
    PrimaryKeyConstraint("agreement_id"),
    ForeignKeyConstraint(["area_id", "hospital_id"], ["hospital.area_id", "hospital.hospital_id"]),
    CheckConstraint("valid_from <= valid_to", name="dates"),
    Index("ix_agreement_area_id_hospital_id", "area_id", "hospital_id", "insurance"),
    info=walled(TableClass.HOSPITAL),
)

account = Table(
    "account",
    metadata,
    key("account_id"),
    code("issuer", nullable=False),
    code("subject", nullable=False),
    uuid_("person_id", nullable=False),
    words("display_name", nullable=False),
    whole("token_epoch", nullable=False, server_default=text("0")),
    flag("is_locked", server_default=FALSE),
    recorded_at(),
    whole("province_id"),
    whole("area_id"),
    moment("failures_forgiven_at"),
    PrimaryKeyConstraint("account_id"),
    UniqueConstraint("issuer", "subject"),
    info=walled(
        TableClass.PLATFORM, "read at sign-in before there is a tenant; beyond that, by its own area's administrators"
    ),
)

membership = Table(
    "membership",
    metadata,
    key("membership_id"),
    uuid_("account_id", nullable=False),
    code("role", nullable=False),
    code("tenant", nullable=False),
    code("tenant_kind", nullable=False),
    whole("province_id"),
    whole("area_id"),
    whole("county_id"),
    whole("hospital_id"),
    moment("revoked_at"),
    recorded_at(),
    uuid_("person_id", nullable=False),
    PrimaryKeyConstraint("membership_id"),
    ForeignKeyConstraint(["account_id"], ["account.account_id"]),
    Index(
        "uq_membership_live",
        "account_id",
        "tenant",
        "role",
        unique=True,
        postgresql_where=text("revoked_at is null"),
    ),
    info=walled(
        TableClass.PLATFORM, "read at sign-in before there is a tenant; beyond that, by its own area's administrators"
    ),
)
"""Who acts in which role for which tenant (成员资格). Two exclusion constraints, written by the migration, keep the three powers
apart: the live memberships of one person have one office, and an administrator has one live membership."""
