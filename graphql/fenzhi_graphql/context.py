"""What a resolver receives (请求上下文)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from strawberry.types import Info as StrawberryInfo

from fenzhi.access.subject import Subject
from fenzhi.services.acts import Platform, Request
from fenzhi.services.audit.sight import Sight


@dataclass(slots=True)
class Context:
    """One request: the platform, who asks, the request's id, and the key that signs cursors."""

    platform: Platform
    subject: Subject
    request_id: str
    cursor_key: bytes
    idempotency_header: str = ""
    kept_operation: str = ""
    """Name of the kept operation that is asked for (预存操作名), or empty."""
    charge: Callable[[int], None] = lambda _units: None
    """Takes the cost of a document off the caller's budget."""
    sight: Sight = field(default_factory=Sight)
    """Whom the answer shows, filled while it is made."""

    def request(self, operation: str, key: str, order: dict[str, object]) -> Request:
        """A request to act, its idempotency key from the input or, when that is blank, from the header."""
        return Request(operation=operation, key=key or self.idempotency_header, order=order, request_id=self.request_id)


Info = StrawberryInfo[Context, None]

__all__ = ["Context", "Info"]
