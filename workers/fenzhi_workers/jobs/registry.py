"""The job kinds and who carries them out (作业登记)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fenzhi.services.acts import Platform
from fenzhi.services.jobs.execution import JobInHand

Handler = Callable[[Platform, JobInHand], Awaitable[None]]

HANDLERS: dict[str, Handler] = {}
"""Kind → handler. Each noun's module adds its own kinds here."""
