"""Event jobs (事件作业)."""

from __future__ import annotations

from fenzhi.services.events.deliver import deliver
from fenzhi.services.events.notices import DELIVER
from fenzhi.services.events.reminders import REMIND, remind

HANDLERS = {DELIVER: deliver, REMIND: remind}
