"""The audit as the API shows it (审计): events, whom they show, the latest anchor."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import Enum

import strawberry

from fenzhi.services.audit import lookups
from fenzhi.services.audit.sight import Sight
from fenzhi_graphql.context import Info
from fenzhi_graphql.jobs.types import uuid_of
from fenzhi_graphql.node import Node, finds
from fenzhi_graphql.paging import Connection, connection, global_id, keys_of, page_size
from fenzhi_graphql.sight import Shows


@strawberry.enum(description="What an event is (审计事件类别).")
class AuditKind(Enum):
    ACT = strawberry.enum_value("act", description="Something was changed (操作).")
    SIGHT = strawberry.enum_value("sight", description="An answer showed cases or lists (查阅).")
    REVEAL = strawberry.enum_value("reveal", description="Personal fields were revealed (查看个人信息).")


@strawberry.type(description="A case or row of a list that an answer showed (被查阅对象).")
class AuditSubject(Shows):
    case_id: strawberry.ID = strawberry.field(
        description="The case; a row that never became a case has an id that names nothing (病例)."
    )
    key: strawberry.Private[uuid.UUID]

    def show(self, sight: Sight) -> None:
        """The case named."""
        sight.case(self.key)

    @staticmethod
    def of(subject: uuid.UUID) -> AuditSubject:
        return AuditSubject(case_id=global_id("InpatientCase", subject), key=subject)


@strawberry.type(description="Who did what, or who saw whom (审计事件).")
class AuditEvent(Node, Shows):
    seq: str | None = strawberry.field(
        description="Number in the chain, a whole number as text; null until chained, within seconds (链序号)."
    )
    digest: str | None = strawberry.field(description="Digest of its link in hex (链摘要).")
    recorded_at: datetime = strawberry.field(description="When, by the database's clock (时间).")
    tenant: str = strawberry.field(description="Tenant that acted (租户).")
    account_id: str | None = strawberry.field(description="Account (账号).")
    person_id: str | None = strawberry.field(description="Natural person behind the account (自然人).")
    role: str = strawberry.field(description="Role acted in (角色).")
    kind: AuditKind = strawberry.field(description="What it is (类别).")
    action: str = strawberry.field(description="Operation or path, several by commas (操作).")
    object_type: str = strawberry.field(description="Type of the object changed, blank for a sight (对象类型).")
    object_id: str = strawberry.field(description="Key of the object changed (对象标识).")
    request_id: str = strawberry.field(description="Request, as in the logs and in X-Request-Id (请求号).")
    purpose: str = strawberry.field(description="Stated purpose, blank where none is asked for (用途).")
    reason: str = strawberry.field(description="Stated reason of a reveal (事由).")
    field_class: str = strawberry.field(
        description="What was shown: case (de-identified), list (rows and findings), personal; blank for an act (字段类别)."
    )
    subject_count: int = strawberry.field(description="Cases and rows shown (被查阅数).")
    key: strawberry.Private[uuid.UUID]
    shown: strawberry.Private[tuple[uuid.UUID, ...]]

    def show(self, sight: Sight) -> None:
        """The case that it names as its object, if it does; its subjects say for themselves whom they show."""
        if self.object_type == "InpatientCase" and (case_id := uuid_of(self.object_id)) is not None:
            sight.case(case_id)

    @strawberry.field(description="Whom the answer showed, in order of id (被查阅对象).")
    async def subjects(self, info: Info, first: int, after: str | None = None) -> Connection[AuditSubject]:
        context = info.context
        size = page_size(first)
        place = f"auditSubjects/{self.key}"
        keys = keys_of(context, place, after)
        last = uuid_of(str(keys[0])) if keys else None
        page = [one for one in self.shown if last is None or one > last][: size + 1]
        return connection(context, place, page, size, AuditSubject.of, lambda one: [str(one)])

    @staticmethod
    def of(view: lookups.EventView) -> AuditEvent:
        return AuditEvent(
            id=global_id("AuditEvent", view.event_id),
            seq=None if view.seq is None else str(view.seq),
            digest=None if view.digest is None else view.digest.hex(),
            recorded_at=view.recorded_at,
            tenant=view.tenant,
            account_id=None if view.account_id is None else str(view.account_id),
            person_id=None if view.person_id is None else str(view.person_id),
            role=view.role,
            kind=AuditKind(view.kind),
            action=view.action,
            object_type=view.object_type,
            object_id=view.object_id,
            request_id=view.request_id,
            purpose=view.purpose,
            reason=view.reason,
            field_class=view.field_class,
            subject_count=len(view.subjects),
            key=view.event_id,
            shown=view.subjects,
        )


@strawberry.type(description="The latest anchor of the audit chain (最近锚点).")
class AuditAnchor:
    seq: str = strawberry.field(description="Number of the link it seals, a whole number as text (链序号).")
    algorithm: str = strawberry.field(description="sha256 or sm3 (算法).")
    digest: str = strawberry.field(description="Digest of that link in hex (链摘要).")
    anchored_at: datetime = strawberry.field(description="When (锚定时间).")

    @staticmethod
    def of(view: lookups.AnchorView) -> AuditAnchor:
        return AuditAnchor(
            seq=str(view.seq), algorithm=view.algorithm, digest=view.digest.hex(), anchored_at=view.anchored_at
        )


@finds("AuditEvent")
async def find_event(info: Info, key: str) -> AuditEvent | None:
    """An event of the caller's scope (按标识查审计事件)."""
    event_id, context = uuid_of(key), info.context
    view = await lookups.audit_event(context.platform, context.subject, event_id) if event_id else None
    return AuditEvent.of(view) if view is not None else None
