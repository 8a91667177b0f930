"""All tables (数据表), one module per noun. Importing this package fills `metadata`."""

from fenzhi.store.tables import (
    audit,
    catalog,
    clearing,
    events,
    filing,
    fund,
    identity,
    jobs,
    policy,
    provisional,
    registry,
    regrouping,
    review,
    scorecard,
    submission,
    year,
)
from fenzhi.store.tables.base import TableClass, metadata

__all__ = [
    "TableClass",
    "audit",
    "catalog",
    "clearing",
    "events",
    "filing",
    "fund",
    "identity",
    "jobs",
    "metadata",
    "policy",
    "provisional",
    "registry",
    "regrouping",
    "review",
    "scorecard",
    "submission",
    "year",
]
