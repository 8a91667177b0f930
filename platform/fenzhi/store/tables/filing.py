"""Filed lists (清单流转): their texts by version, their moves, settlement records, holds on cases, keys of messages."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, PrimaryKeyConstraint, Table, UniqueConstraint, text

from fenzhi.store.tables.base import (
    TableClass,
    code,
    day,
    document,
    hospital_key,
    key,
    metadata,
    moment,
    octets,
    recorded_at,
    uuid_,
    walled,
    whole,
    words,
)

filed_list = Table(
    "filed_list",
    metadata,
    *hospital_key(),
    key("list_id"),
    code("setl_id", nullable=False),
    octets("person_index", nullable=False),
    code("state", nullable=False),
    whole("version", nullable=False),
    code("channel", nullable=False),
    code("waits_for", nullable=False, server_default=text("''")),
    uuid_("filed_by"),
    uuid_("filed_by_person"),
    uuid_("reviewed_by_person"),
    uuid_("batch_id"),
    uuid_("case_id"),
    whole("returns", nullable=False, server_default=text("0")),
    moment("submitted_at"),
    moment("judged_at"),
    recorded_at(),
    PrimaryKeyConstraint("list_id"),
    UniqueConstraint("area_id", "hospital_id", "setl_id"),
    CheckConstraint(
        "state in ('draft', 'reviewed', 'submitted', 'judged', 'passed', 'rejected', 'returned')", name="state"
    ),
    CheckConstraint("waits_for in ('', 'settlement_record')", name="waits_for"),
    CheckConstraint("channel in ('national', 'entry')", name="channel"),
    CheckConstraint("reviewed_by_person is distinct from filed_by_person or reviewed_by_person is null", name="eyes"),
    Index("ix_filed_list_waiting", "area_id", "hospital_id", "state", "list_id"),
    Index("ix_filed_list_batch_id", "batch_id"),
    info=walled(TableClass.HOSPITAL),
)
"""One list of a hospital and how it stands (清单台账). `version`: of its newest text."""

filed_text = Table(
    "filed_text",
    metadata,
    *hospital_key(),
    uuid_("list_id", nullable=False),
    whole("version", nullable=False),
    octets("sha256", nullable=False),
    code("key_id", nullable=False),
    octets("sealed_bytes", nullable=False),
    uuid_("filed_by"),
    recorded_at(),
    PrimaryKeyConstraint("list_id", "version"),
    ForeignKeyConstraint(["list_id"], ["filed_list.list_id"]),
    info=walled(TableClass.HOSPITAL),
)
"""The original bytes of every version, compressed and encrypted (清单原文): append-only."""

filed_move = Table(
    "filed_move",
    metadata,
    *hospital_key(),
    key("move_id"),
    uuid_("list_id", nullable=False),
    code("step", nullable=False),
    code("from_state", nullable=False),
    code("to_state", nullable=False),
    whole("version", nullable=False),
    words("reason", nullable=False, server_default=text("''")),
    uuid_("moved_by"),
    uuid_("moved_by_person"),
    recorded_at(),
    PrimaryKeyConstraint("move_id"),
    ForeignKeyConstraint(["list_id"], ["filed_list.list_id"]),
    Index("ix_filed_move_list_id", "list_id", "move_id"),
    info=walled(TableClass.HOSPITAL),
)
"""Every step of every list (流转记录): append-only."""

settlement_record = Table(
    "settlement_record",
    metadata,
    *hospital_key(),
    code("setl_id", nullable=False),
    whole("record_no", nullable=False),
    document("payers", nullable=False),
    octets("sha256", nullable=False),
    uuid_("imported_by"),
    recorded_at(),
    PrimaryKeyConstraint("area_id", "hospital_id", "setl_id", "record_no"),
    info=walled(TableClass.HOSPITAL),
)
"""What the core system settled for a list: total, payers, items (结算记录), by the bureau; a later one corrects an earlier."""

case_hold = Table(
    "case_hold",
    metadata,
    *hospital_key(),
    key("hold_id"),
    uuid_("case_id", nullable=False),
    code("setl_id", nullable=False),
    code("kind", nullable=False),
    words("reason", nullable=False),
    day("due_on"),
    uuid_("held_by"),
    uuid_("held_by_person"),
    recorded_at(),
    PrimaryKeyConstraint("hold_id"),
    CheckConstraint("kind in ('returned', 'voided', 'frozen')", name="kind"),
    CheckConstraint("kind <> 'returned' or due_on is not null", name="window"),
    Index("ix_case_hold_case_id", "area_id", "case_id"),
    info=walled(TableClass.HOSPITAL),
)
"""A case that enters no run until it is corrected or released (暂不结算病例): append-only."""

case_release = Table(
    "case_release",
    metadata,
    *hospital_key(),
    uuid_("hold_id", nullable=False),
    uuid_("case_id", nullable=False),
    words("reason", nullable=False),
    uuid_("released_by"),
    uuid_("released_by_person"),
    recorded_at(),
    PrimaryKeyConstraint("hold_id"),
    ForeignKeyConstraint(["hold_id"], ["case_hold.hold_id"]),
    Index("ix_case_release_case_id", "area_id", "case_id"),
    info=walled(TableClass.HOSPITAL),
)
"""The end of a hold by the bureau's word (解除暂不结算): append-only. A correction ends a hold by superseding the case."""

message_key = Table(
    "message_key",
    metadata,
    *hospital_key(),
    key("message_key_id"),
    code("signature", nullable=False),
    code("key_id", nullable=False),
    octets("sealed_secret", nullable=False),
    day("valid_from", nullable=False),
    day("valid_to", nullable=False),
    uuid_("registered_by"),
    recorded_at(),
    PrimaryKeyConstraint("message_key_id"),
    CheckConstraint("signature in ('SM3', 'SM2')", name="signature"),
    CheckConstraint("valid_from <= valid_to", name="dates"),
    Index("ix_message_key_hospital_id", "area_id", "hospital_id", "valid_from"),
    info=walled(TableClass.HOSPITAL),
)
"""What a hospital's national messages are signed with (报文签名密钥): a shared secret or a public key, encrypted at rest."""
