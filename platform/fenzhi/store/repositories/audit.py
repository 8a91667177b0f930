"""The audit trail (审计): who did what, appended in the transaction of the act."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from fenzhi.store.session import UnitOfWork, new_id
from fenzhi.store.tables.jobs import audit_event


async def note(
    uow: UnitOfWork,
    *,
    role: str,
    action: str,
    object_type: str,
    object_id: str,
    request_id: str,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Append one event of the acting tenant. Details never carry personal data."""
    scope = uow.scope
    await uow.execute(
        audit_event.insert().values(
            event_id=new_id(),
            tenant=scope.tenant,
            account_id=uuid.UUID(scope.account_id) if scope.account_id else None,
            person_id=uuid.UUID(scope.person_id) if scope.person_id else None,
            role=role,
            action=action,
            object_type=object_type,
            object_id=object_id,
            request_id=request_id,
            details=dict(details or {}),
        )
    )
