"""One module per noun; each names its job kinds. Importing this package fills `HANDLERS`."""

from fenzhi_workers.jobs import scorecard, submission
from fenzhi_workers.jobs.registry import HANDLERS

for noun in (submission, scorecard):
    HANDLERS.update(noun.HANDLERS)

__all__ = ["HANDLERS"]
