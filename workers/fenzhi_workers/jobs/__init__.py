"""One module per noun; each registers its job kinds. Importing this package fills `HANDLERS`."""

from fenzhi_workers.jobs.registry import HANDLERS

__all__ = ["HANDLERS"]
