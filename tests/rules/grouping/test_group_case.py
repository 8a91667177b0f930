from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from fenzhi.rules.catalog.conjunctions import parse_conjunction
from fenzhi.rules.catalog.disease_group import DiseaseGroup, Granularity, GroupKind, ProcedureClass
from fenzhi.rules.catalog.edition import CodeTables, Edition, ProcedureEntry, check_edition
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.group_case import InpatientCase, group_case
from fenzhi.rules.grouping.grouping_method import (
    ComprehensiveClass,
    ConservativeMatch,
    GrayPrincipal,
    GroupingMethod,
    TieBreak,
)
from fenzhi.rules.grouping.outcome import REASONS, GroupingReason, RejectionCause

SURGICAL, THERAPEUTIC, DIAGNOSTIC = "13.7100", "39.9500", "45.2300"
TABLES = CodeTables(
    diagnoses={
        "H40.000": False,
        "H40.100": False,
        "H40.900": True,
        "H41.000x001+G01*": False,
        "P07.101": False,
        "P07.102": False,
        "A35.x00": False,
        "Z99.900": False,
    },
    procedures={
        SURGICAL: ProcedureEntry(ProcedureClass.SURGICAL),
        "13.7200": ProcedureEntry(ProcedureClass.SURGICAL),
        THERAPEUTIC: ProcedureEntry(ProcedureClass.THERAPEUTIC),
        DIAGNOSTIC: ProcedureEntry(ProcedureClass.DIAGNOSTIC),
        "99.9900": ProcedureEntry(None),
    },
)


def core(code: str, diagnosis: str, main: str = "", related: str = "", score: str = "100") -> DiseaseGroup:
    granularity = {3: Granularity.CATEGORY, 5: Granularity.SUBCATEGORY}.get(len(diagnosis), Granularity.FULL)
    return DiseaseGroup(
        code, diagnosis, granularity, Decimal(score), parse_conjunction(main), parse_conjunction(related)
    )


def comprehensive(code: str, diagnosis: str, procedure_class: ProcedureClass) -> DiseaseGroup:
    return DiseaseGroup(
        code,
        diagnosis,
        Granularity.CATEGORY,
        Decimal(50),
        kind=GroupKind.COMPREHENSIVE,
        procedure_class=procedure_class,
    )


def book(*groups: DiseaseGroup) -> CatalogBook:
    edition = Edition("e", 1000, 0, groups, TABLES, date(2025, 1, 1))
    assert check_edition(edition) == ()
    return CatalogBook(edition)


def grouped(
    catalog: CatalogBook, diagnosis: str | None, *procedures: str, method: GroupingMethod | None = None
) -> tuple[str | None, str]:
    outcome = group_case(InpatientCase("c", diagnosis, procedures), catalog, method or GroupingMethod())
    return (outcome.group.group_code if outcome.group else None), outcome.reason.value


@pytest.mark.parametrize(
    ("diagnosis", "expected"),
    [
        ("P07.101", ("full", "conservative_matched")),
        ("P07.102", ("four", "conservative_matched")),
        ("H41.000x001+G01*", ("base", "conservative_matched")),
        ("A35.x00", ("filler", "conservative_matched")),
        ("H40.000", ("category", "conservative_matched")),
        (None, (None, "principal_diagnosis_missing")),
        ("", (None, "principal_diagnosis_missing")),
        ("P07.1", (None, "principal_diagnosis_unknown")),
        ("H40.900", (None, "principal_diagnosis_gray")),
        ("Z99.900", (None, "no_group_for_diagnosis")),
    ],
)
def test_the_diagnosis_is_looked_up_from_specific_to_general(
    diagnosis: str | None, expected: tuple[str | None, str]
) -> None:
    catalog = book(
        core("full", "P07.101"),
        core("four", "P07.1"),
        core("three", "P07"),
        core("base", "H41.000"),
        core("category", "H40"),
        core("filler", "A35.x"),
    )
    assert grouped(catalog, diagnosis) == expected


def test_a_gray_principal_is_grouped_only_where_policy_says_so() -> None:
    method = GroupingMethod(gray_principal=GrayPrincipal.GROUP)
    assert grouped(book(core("g", "H40")), "H40.900", method=method) == ("g", "conservative_matched")


def test_all_parts_must_be_met_and_more_parts_win() -> None:
    catalog = book(
        core("one", "H40", "13.7100/13.7200"),
        core("two", "H40", "13.7100", "39.9500+45.2300"),
    )
    assert grouped(catalog, "H40.000", SURGICAL, THERAPEUTIC) == ("one", "core_matched")
    assert grouped(catalog, "H40.000", SURGICAL, THERAPEUTIC, DIAGNOSTIC) == ("two", "core_matched")
    assert grouped(catalog, "H40.000", THERAPEUTIC, DIAGNOSTIC) == (None, "no_group_for_procedures")


def test_a_specific_key_with_a_matching_group_beats_a_better_group_of_a_general_key() -> None:
    catalog = book(core("four", "H40.0", "13.7100"), core("three", "H40", "13.7100", "39.9500"))
    assert grouped(catalog, "H40.000", SURGICAL, THERAPEUTIC) == ("four", "core_matched")
    assert grouped(catalog, "H40.100", SURGICAL, THERAPEUTIC) == ("three", "core_matched")


def test_matched_procedures_decide_between_groups_of_equal_parts_and_the_same_code_counts_once() -> None:
    catalog = book(core("a", "H40", "13.7100"), core("b", "H40", "13.7100/39.9500"))
    assert grouped(catalog, "H40.000", SURGICAL, SURGICAL) == ("a", "core_matched")
    assert grouped(catalog, "H40.000", SURGICAL, THERAPEUTIC) == ("b", "core_matched")


@pytest.mark.parametrize(
    ("tie_break", "expected"),
    [
        ((), "a"),
        ((TieBreak.HIGHER_SCORE,), "b"),
        ((TieBreak.MAIN_MATCHED, TieBreak.HIGHER_SCORE), "a"),
        ((TieBreak.CORE_FIRST,), "a"),
        ((TieBreak.MOST_PARTS, TieBreak.MOST_MATCHED, TieBreak.HIGHER_SCORE), "b"),
    ],
)
def test_the_tie_break_is_a_list_of_named_comparators(tie_break: tuple[TieBreak, ...], expected: str) -> None:
    catalog = book(core("a", "H40", "13.7100", score="10"), core("b", "H40", "39.9500", score="20"))
    assert grouped(catalog, "H40.000", SURGICAL, THERAPEUTIC, method=GroupingMethod(tie_break))[0] == expected


def test_a_comparator_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        GroupingMethod((TieBreak.MOST_PARTS, TieBreak.MOST_PARTS))


def test_group_codes_are_compared_as_bytes() -> None:
    catalog = book(core("Ａ", "H40", "13.7100"), core("病", "H40", "39.9500"))
    assert grouped(catalog, "H40.000", SURGICAL, THERAPEUTIC)[0] == "病"


def test_conservative_groups_take_cases_with_procedures_only_as_a_fallback() -> None:
    catalog = book(
        core("cons", "H40.0"), core("op", "H40", "13.7100"), comprehensive("comp", "H40", ProcedureClass.DIAGNOSTIC)
    )
    fallback = GroupingMethod(conservative_match=ConservativeMatch.FALLBACK)
    assert grouped(catalog, "H40.000", DIAGNOSTIC) == ("comp", "comprehensive_matched")
    assert grouped(catalog, "H40.000", DIAGNOSTIC, method=fallback) == ("cons", "conservative_fallback")
    assert grouped(catalog, "H40.000", SURGICAL, method=fallback) == ("op", "core_matched")


def test_comprehensive_groups_take_the_rest_by_class_and_no_class_is_guessed() -> None:
    catalog = book(
        comprehensive("cons", "H40", ProcedureClass.CONSERVATIVE),
        comprehensive("diag", "H40", ProcedureClass.DIAGNOSTIC),
        comprehensive("surg", "H40", ProcedureClass.SURGICAL),
    )
    highest = GroupingMethod(comprehensive_class=ComprehensiveClass.HIGHEST)
    assert grouped(catalog, "H40.000") == ("cons", "comprehensive_matched")
    assert grouped(catalog, "H40.000", DIAGNOSTIC, SURGICAL) == ("diag", "comprehensive_matched")
    assert grouped(catalog, "H40.000", DIAGNOSTIC, SURGICAL, method=highest) == ("surg", "comprehensive_matched")
    assert grouped(catalog, "H40.000", THERAPEUTIC) == (None, "no_group_for_procedures")
    assert grouped(catalog, "H40.000", "99.9900", SURGICAL) == (None, "procedure_class_unknown")
    assert grouped(catalog, "H40.000", "not a code") == (None, "procedure_class_unknown")
    assert grouped(catalog, "H40.000", "99.9900", SURGICAL, method=highest) == ("surg", "comprehensive_matched")
    assert grouped(book(core("x", "H40")), "H40.000", "99.9900") == (None, "no_group_for_procedures")


def test_the_outcome_says_why_every_other_candidate_lost_and_what_it_lacked() -> None:
    catalog = book(
        core("won", "H40.0", "13.7100/13.7200"),
        core("tied", "H40.0", "39.9500"),
        core("lacks", "H40.0", "13.7100", "45.2300/45.2301"),
        core("quiet", "H40.0"),
        core("general", "H40", "13.7100"),
        comprehensive("surg", "H40", ProcedureClass.SURGICAL),
        comprehensive("diag", "H40", ProcedureClass.DIAGNOSTIC),
    )
    method = GroupingMethod((TieBreak.MOST_MATCHED, TieBreak.MAIN_MATCHED))
    outcome = group_case(InpatientCase("c", "H40.000", (SURGICAL, THERAPEUTIC)), catalog, method)
    assert outcome.group is not None and outcome.group.group_code == "won"
    assert {one.group.group_code: (one.cause, one.missing) for one in outcome.rejected} == {
        "tied": (RejectionCause.LESS_SPECIFIC, ()),
        "lacks": (RejectionCause.PARTS_MISSING, (("45.2300", "45.2301"),)),
        "quiet": (RejectionCause.HAS_PROCEDURES, ()),
        "general": (RejectionCause.MORE_GENERAL_KEY, ()),
        "surg": (RejectionCause.CORE_WON, ()),
        "diag": (RejectionCause.CLASS_DIFFERS, ()),
    }
    tied = next(one for one in outcome.rejected if one.group.group_code == "tied")
    assert "main_matched" in tied.en and "won" in tied.zh
    assert [step.rule for step in outcome.working] == [
        "grouping.diagnosis_keys",
        "grouping.tie_break",
        "grouping.core_matched",
    ]
    assert outcome.working[1].values[0] == ("order", "most_matched, main_matched, group_code")


def test_the_order_of_groups_and_of_other_procedures_does_not_matter() -> None:
    groups = (core("a", "H40", "13.7100"), core("b", "H40", "39.9500/45.2300"), core("c", "H40", "45.2300+39.9500"))
    forward, backward = book(*groups), book(*reversed(groups))
    for procedures in ((SURGICAL, THERAPEUTIC, DIAGNOSTIC), (SURGICAL, DIAGNOSTIC, THERAPEUTIC)):
        assert (
            grouped(forward, "H40.000", *procedures)
            == grouped(backward, "H40.000", *procedures)
            == ("c", "core_matched")
        )


def test_every_reason_has_its_text_in_both_languages() -> None:
    assert [reason for reason in REASONS if not (reason.zh and reason.en)] == []
    assert {reason for reason in REASONS if reason.grouped} == {
        GroupingReason.CORE_MATCHED,
        GroupingReason.CONSERVATIVE_MATCHED,
        GroupingReason.CONSERVATIVE_FALLBACK,
        GroupingReason.COMPREHENSIVE_MATCHED,
        GroupingReason.PRIORITY_MATCHED,
        GroupingReason.MERGED_MATCHED,
        GroupingReason.AUXILIARY_MATCHED,
        GroupingReason.PROVISIONAL_MATCHED,
    }


def test_a_book_refuses_groups_it_could_not_tell_apart() -> None:
    for groups in (
        (core("a", "H40"), core("a", "H41")),
        (core("a", "H40"), core("b", "H40")),
        (comprehensive("a", "H40", ProcedureClass.SURGICAL), comprehensive("b", "H40", ProcedureClass.SURGICAL)),
    ):
        with pytest.raises(ValueError, match=r"twice|two|own"):
            CatalogBook(Edition("e", 1000, 0, groups, TABLES, date(2025, 1, 1)))
        assert check_edition(Edition("e", 1000, 0, groups, TABLES, date(2025, 1, 1))) != ()
