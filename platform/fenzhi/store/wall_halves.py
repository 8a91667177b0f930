"""The second halves of the walls (隔离墙的附加条件): what a policy asks beyond the scope, such as that a row is published.

Declared here by hand and compared with the live database both ways: a half that is missing there, and one that is not declared here,
are both named by the check. What a policy lets through without its half is a draft before its time, or a change to what is decided.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_BELOW = ("fenzhi_county", "fenzhi_hospital")
_BELOW_PROVINCE = ("fenzhi_area", "fenzhi_county", "fenzhi_hospital")
_AND_WORKER = (*_BELOW_PROVINCE, "fenzhi_worker")

_APPROVED, _DRAFT, _PUBLISHED = "state = 'approved'", "state = 'draft'", "state = 'published'"
_VISIBLE_RUN = "run_id in ( select clearing_run.run_id from clearing_run)"
_PUBLISHED_EDITION = "edition_id in ( select catalog_edition.edition_id from catalog_edition)"
_DRAFT_EDITION = "catalog_edition.state = 'draft'"
_OF_PROVINCE = "area_id is null"


def _all(table: str, command: str, roles: Iterable[str], half: str) -> dict[tuple[str, str, str], str]:
    return {(table, command, role): half for role in roles}


_READ: Mapping[str, tuple[tuple[str, ...], str]] = {
    "province_policy": (_BELOW_PROVINCE, "state = 'in_force'"),
    "area_policy": (_BELOW, "state = 'in_force'"),
    "catalog_edition": (_AND_WORKER, "state = any (array['published', 'withdrawn'])"),
    **dict.fromkeys(("disease_group", "auxiliary_subtype", "edition_list"), (_AND_WORKER, _PUBLISHED_EDITION)),
    "area_overlay": (_BELOW, _PUBLISHED),
    "area_overlay_score": (_BELOW, "overlay_id in ( select area_overlay.overlay_id from area_overlay)"),
    "point_value": (_BELOW, "((kind = 'budget') and (state = 'approved')) or (state = 'published')"),
    "audit_deduction": (("fenzhi_hospital",), _APPROVED),
    "clearing_run": (
        _BELOW,
        "(state = 'published') or ((kind = 'year') and (state = any (array['issued', 'approved'])))",
    ),
    "run_case": (_BELOW, _VISIBLE_RUN),
    "hospital_statement": (_BELOW, _VISIBLE_RUN),
    "statement_act": (_BELOW, _VISIBLE_RUN),
    "scorecard": (_BELOW, _PUBLISHED),
    "quality_league": (_BELOW, _PUBLISHED),
    "quality_league_row": (_BELOW, "league_id in ( select quality_league.league_id from quality_league)"),
    "scorecard_indicator": (_BELOW, "scorecard_id in ( select scorecard.scorecard_id from scorecard)"),
    "advance": (_BELOW, _APPROVED),
    "assessment_result": (_BELOW, _APPROVED),
    "receivable": (_BELOW, _APPROVED),
    "volume_baseline": (_BELOW, _APPROVED),
    "working_calendar": (_AND_WORKER, _APPROVED),
    "edition_withdrawal": (_AND_WORKER, _APPROVED),
    "inter_area_statement": (("fenzhi_area",), _PUBLISHED),
    **dict.fromkeys(
        ("inter_area_balance", "inter_area_claim"),
        (("fenzhi_area",), "statement_id in ( select inter_area_statement.statement_id from inter_area_statement)"),
    ),
    "provisional_group": (_BELOW, "provisional_act.act = 'approved'"),
    "provisional_act": (_BELOW, "act = any (array['approved', 'ended'])"),
    "opinion_answer": (_AND_WORKER, "next_edition_id in ( select catalog_edition.edition_id"),
}
"""Table → who reads only what is published, and what published means."""

_CHANGE: Mapping[str, tuple[tuple[str, ...], str]] = {
    "province_policy": (("fenzhi_province",), "state = 'proposed'"),
    "area_policy": (("fenzhi_area",), "state = 'proposed'"),
    "disease_group": (("fenzhi_province",), _DRAFT_EDITION),
    "fund_budget": (("fenzhi_area",), _DRAFT),
    "audit_deduction": (("fenzhi_area", "fenzhi_county"), _DRAFT),
    "account_opening": (("fenzhi_area",), _DRAFT),
    "advance": (("fenzhi_area",), _DRAFT),
    "assessment_result": (("fenzhi_area",), _DRAFT),
    "receivable": (("fenzhi_area",), _DRAFT),
    "volume_baseline": (("fenzhi_area",), _DRAFT),
    "working_calendar": (("fenzhi_province",), _DRAFT),
    "deadline": (_BELOW_PROVINCE, "done_on is null"),
    "quality_league": (("fenzhi_area", "fenzhi_worker"), _DRAFT),
    "edition_withdrawal": (("fenzhi_province",), "state = 'proposed'"),
    "special_case": (("fenzhi_area",), "state <> 'paid'"),
    "inter_area_statement": (("fenzhi_province",), _DRAFT),
    "role_grant": (("fenzhi_operator", "fenzhi_area"), "state = 'proposed'"),
}
"""Table → who changes only what is undecided, and what undecided means."""

HALVES: Mapping[tuple[str, str, str], str] = {
    **{key: half for t, (roles, half) in _READ.items() for key, half in _all(t, "SELECT", roles, half).items()},
    **{key: half for t, (roles, half) in _CHANGE.items() for key, half in _all(t, "UPDATE", roles, half).items()},
    **{
        (table, command, "fenzhi_province"): _DRAFT_EDITION
        for table in ("disease_group", "auxiliary_subtype", "edition_list")
        for command in ("INSERT", "DELETE")
    },
    ("regroup_task", "UPDATE", "fenzhi_worker"): "done_on is null",
    ("special_case", "INSERT", "fenzhi_hospital"): "state = 'applied'",
    ("special_case", "UPDATE", "fenzhi_hospital"): "state = 'refused' && round = 1",
    ("special_case", "UPDATE CHECK", "fenzhi_hospital"): "state = 'admitted' && round = 2",
    **_all("statement_act", "INSERT", ("fenzhi_hospital",), "party = 'hospital'"),
    **{
        (table, command, "fenzhi_province"): _OF_PROVINCE
        for table in ("account", "membership", "api_client", "role_grant")
        for command in ("SELECT", "INSERT", "UPDATE", "UPDATE CHECK")
    },
    ("role_grant", "UPDATE", "fenzhi_province"): f"{_OF_PROVINCE} && state = 'proposed'",
    ("job", "SELECT", "fenzhi_province"): _OF_PROVINCE,
    ("job", "INSERT", "fenzhi_province"): _OF_PROVINCE,
}
"""(table, command, role) → what its policy asks beyond the scope; two conditions are joined by `&&`. `UPDATE CHECK` is what a
changed row must be afterwards, where that is asked too."""


def plain(condition: str) -> str:
    """A condition as written or as the database prints it, made alike (规范化条件): one case, one blank, no casts."""
    return re.sub(r"\s+", " ", condition.replace("::text[]", "").replace("::text", "")).lower()


def has_half(table: str, command: str, role: str, condition: str) -> bool:
    """Whether a policy's condition asks what is declared for it (附加条件是否齐备)."""
    half = HALVES.get((table, command, role), "")
    return all(part in plain(condition) for part in half.split(" && ") if part)


def beyond_the_scope(condition: str) -> list[str]:
    """The conjuncts of a condition, as the database prints it, that name no setting of the scope (范围之外的条件)."""
    parts = re.split(r"\) AND \(", condition)
    return [p for p in parts if "current_setting" not in p and p.strip("() ") not in ("true", "")]
