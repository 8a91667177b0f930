"""One module per noun; each names its job kinds. Importing this package fills `HANDLERS`."""

from fenzhi_workers.jobs import catalog, clearing, events, point_value, scorecard, submission
from fenzhi_workers.jobs.registry import HANDLERS

for noun in (catalog, submission, point_value, clearing, scorecard, events):
    HANDLERS.update(noun.HANDLERS)

__all__ = ["HANDLERS"]
