"""Identity (身份): issuers and their keys, clients, grants of roles, tokens taken back, failed sign-ins."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, PrimaryKeyConstraint, Table, text

from fenzhi.store.tables.base import (
    TableClass,
    code,
    codes,
    key,
    metadata,
    moment,
    recorded_at,
    uuid_,
    walled,
    whole,
    words,
)

token_issuer = Table(
    "token_issuer",
    metadata,
    key("issuer_id"),
    code("issuer", nullable=False),
    words("keys_url", nullable=False),
    code("audience", nullable=False),
    code("tenant", nullable=False),
    whole("province_id"),
    whole("area_id"),
    codes("factor_methods", nullable=False),
    codes("factor_classes", nullable=False),
    code("state", nullable=False, server_default="proposed"),
    uuid_("proposed_by", nullable=False),
    uuid_("proposed_by_person", nullable=False),
    uuid_("approved_by"),
    uuid_("approved_by_person"),
    moment("approved_at"),
    moment("ended_at"),
    recorded_at(),
    PrimaryKeyConstraint("issuer_id"),
    CheckConstraint("state in ('proposed', 'active', 'ended')", name="state"),
    CheckConstraint("approved_by_person <> proposed_by_person", name="four_eyes"),
    CheckConstraint("state <> 'active' or approved_by_person is not null", name="approved"),
    Index("uq_token_issuer_live", "issuer", unique=True, postgresql_where=text("state <> 'ended'")),
    info=walled(TableClass.PLATFORM, "registered by the operator and read at sign-in, before there is a tenant"),
)

issuer_key = Table(
    "issuer_key",
    metadata,
    code("issuer", nullable=False),
    code("thumbprint", nullable=False),
    code("key_id", nullable=False),
    moment("first_seen_at", nullable=False, server_default=text("now()")),
    moment("first_used_at"),
    PrimaryKeyConstraint("issuer", "thumbprint"),
    info=walled(TableClass.PLATFORM, "when each key of an issuer was first seen and used; read at sign-in"),
)

api_client = Table(
    "api_client",
    metadata,
    key("client_key"),
    code("issuer", nullable=False),
    code("client_id", nullable=False),
    words("name", nullable=False),
    code("tenant", nullable=False),
    whole("province_id"),
    whole("area_id"),
    whole("county_id"),
    whole("hospital_id"),
    uuid_("registered_by"),
    moment("ended_at"),
    recorded_at(),
    PrimaryKeyConstraint("client_key"),
    Index(
        "uq_api_client_live", "issuer", "client_id", "tenant", unique=True, postgresql_where=text("ended_at is null")
    ),
    info=walled(
        TableClass.PLATFORM, "read at sign-in before there is a tenant; beyond that, by its own area's administrators"
    ),
)

role_grant = Table(
    "role_grant",
    metadata,
    key("grant_id"),
    uuid_("account_id", nullable=False),
    code("role", nullable=False),
    code("tenant", nullable=False),
    code("tenant_kind", nullable=False),
    whole("province_id"),
    whole("area_id"),
    whole("county_id"),
    whole("hospital_id"),
    code("state", nullable=False),
    uuid_("proposed_by", nullable=False),
    uuid_("proposed_by_person", nullable=False),
    uuid_("decided_by"),
    uuid_("decided_by_person"),
    moment("decided_at"),
    recorded_at(),
    PrimaryKeyConstraint("grant_id"),
    ForeignKeyConstraint(["account_id"], ["account.account_id"]),
    CheckConstraint("state in ('proposed', 'granted', 'rejected')", name="state"),
    CheckConstraint("state <> 'granted' or decided_by_person <> proposed_by_person", name="four_eyes"),
    CheckConstraint("state = 'proposed' or decided_by_person is not null", name="decided"),
    Index("ix_role_grant_account_id", "account_id"),
    info=walled(TableClass.PLATFORM, "roles proposed by one administrator and granted by another, within their area"),
)

token_denial = Table(
    "token_denial",
    metadata,
    code("issuer", nullable=False),
    code("token_id", nullable=False),
    uuid_("account_id", nullable=False),
    moment("until", nullable=False),
    recorded_at(),
    PrimaryKeyConstraint("issuer", "token_id"),
    Index("ix_token_denial_until", "until"),
    info=walled(TableClass.PLATFORM, "tokens signed out before their end; read at sign-in"),
)

sign_in_failure = Table(
    "sign_in_failure",
    metadata,
    key("failure_id"),
    uuid_("account_id"),
    code("address"),
    code("reason", nullable=False),
    moment("happened_at", nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("failure_id"),
    CheckConstraint("(account_id is null) <> (address is null)", name="of_one"),
    Index("ix_sign_in_failure_account_id", "account_id", "happened_at"),
    Index("ix_sign_in_failure_address", "address", "happened_at"),
    Index("ix_sign_in_failure_happened_at", "happened_at"),
    info=walled(TableClass.PLATFORM, "failed sign-ins by account or by client address; read at sign-in, kept a day"),
)
