"""What a tenant is told (事件种类). A message names what happened and where to look; what is confidential is read through the API."""

from __future__ import annotations

from enum import StrEnum


class EventKind(StrEnum):
    """One kind of event (事件种类)."""

    BATCH_JUDGED = "batch_judged"
    """A batch has its verdicts (批次已校验)."""
    LIST_RETURNED = "list_returned"
    """A bureau returned a case for correction (清单退回)."""
    LIST_PASSED = "list_passed"
    """A bureau passed a list (清单审核通过)."""
    CASE_HELD = "case_held"
    """A case is kept out of every run (病例冻结)."""
    CASE_RELEASED = "case_released"
    """A case counts again (病例恢复)."""
    STATEMENT_PUBLISHED = "statement_published"
    """A run's statements can be read (结算单公布或发出)."""
    CATALOG_PUBLISHED = "catalog_published"
    """A catalog edition was published (目录发布)."""
    DEADLINE_NEAR = "deadline_near"
    """A clock runs out soon (期限临近)."""
    DISPUTE_ANSWERED = "dispute_answered"
    """The city answered a dispute of a statement (异议答复)."""
