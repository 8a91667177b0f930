"""The quality-control rules of intake (清单质控规则).

A hospital mends a list once if it is told everything at once. So every rule looks at every list, a rule that lacks what it
needs says so or leaves it to the rule that misses it, and none passes a list by default. The order of the rules is fixed:
first whose list it is, then what it must state, codes, dates, money and last the time it took. A list is refused for its
first error (`deciding`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from operator import attrgetter

from fenzhi.rules.quantities import yuan_from_fen
from fenzhi.rules.refusals import Refusal
from fenzhi.rules.submission.check_policy import AgeReckoning, CheckBook, LatenessReckoning
from fenzhi.rules.submission.optional_checks import ask_optional
from fenzhi.rules.submission.settlement_list import SettlementList
from fenzhi.rules.submission.verdict import Verdict
from fenzhi.rules.submission.verdict_texts import format_verdict, verdict

_FIELDS: dict[str, str] = {
    "setl_id": "setl_id",
    "fixmedins_code": "hospital_code",
    "insutype": "insurance_type",
    "insu_admdvs": "insured_area_code",
    "mdtrt_id": "visit_id",
    "medcasno": "record_no",
    "psn_no": "person_no",
    "psn_name": "person_name",
    "certno": "certificate_no",
    "gend": "sex",
    "brdy": "birth_date",
    "adm_time": "admission_date",
    "dscg_time": "discharge_date",
    "setl_begn_date": "settlement_begin_date",
    "setl_end_date": "settlement_end_date",
    "dcla_time": "declared_on",
    "act_ipt_days": "stay_days_stated",
    "dscg_way": "discharge_way",
    "diseinfo": "diagnoses",
    "medfee_sumamt": "total_fen",
    "payinfo": "fund_payments",
    "acct_pay": "account_fen",
    "psn_cashpay": "cash_fen",
    "iteminfo": "items",
}
"""National names and the attributes that state them."""
_ROWS_WANTED = frozenset({"diseinfo", "iteminfo"})
"""Lists of rows that are missing when they are empty."""

CASE_FIELDS = (
    "setl_id",
    "fixmedins_code",
    "insutype",
    "psn_no",
    "gend",
    "brdy",
    "adm_time",
    "dscg_time",
    "setl_end_date",
    "diseinfo",
    "medfee_sumamt",
    "payinfo",
    "acct_pay",
    "psn_cashpay",
)
"""National names without which there is no case to settle (构成病例的必备项); policy may require more."""

REQUIRABLE_FIELDS = frozenset(_FIELDS)
"""National names that policy may require (可由政策规定为必填的字段)."""


def judge_list(
    given: SettlementList | None,
    faults: Sequence[Refusal],
    book: CheckBook,
    *,
    earlier_row: int | None = None,
    stored_version: int | None = None,
) -> tuple[Verdict, ...]:
    """All findings about one row (整行结论): the reader's faults of form first, then the rules where the line was readable."""
    form = tuple(format_verdict(fault, book.policy.severities) for fault in faults)
    if given is None:
        return form
    return form + check_list(given, book, earlier_row=earlier_row, stored_version=stored_version)


def check_list(
    given: SettlementList,
    book: CheckBook,
    *,
    earlier_row: int | None = None,
    stored_version: int | None = None,
) -> tuple[Verdict, ...]:
    """All findings of the rules about one list (清单全部质控结论); none means that it passed.

    `earlier_row`: the row of the same batch with the same settlement id and version, if any. `stored_version`: the highest
    version of this settlement id already accepted, if any.
    """
    run = _Rules(given, book)
    return tuple(
        finding
        for findings in (
            run.identity(),
            run.duplicates(earlier_row, stored_version),
            run.insurance_and_agreement(),
            run.required(),
            run.codes(),
            run.principal(),
            run.procedures(),
            run.dates(),
            run.age(),
            run.total_and_items(),
            run.payers(),
            run.timeliness(),
            ask_optional(given, book.policy.optional) if book.policy.optional.severities else (),
        )
        for finding in findings
    )


class _Rules:
    """The rules over one list (对一份清单逐条质控)."""

    __slots__ = ("book", "given", "policy")

    def __init__(self, given: SettlementList, book: CheckBook) -> None:
        self.given = given
        self.book = book
        self.policy = book.policy

    def _found(self, code: str, where: str, saw: object, **slots: object) -> Verdict:
        texts = {name: str(value) for name, value in slots.items()}
        return verdict(code, where, "" if saw is None else str(saw), severities=self.policy.severities, **texts)

    def identity(self) -> Iterator[Verdict]:
        """Q22 continuation segments, Q25 the submitting hospital (续段, 上报机构)."""
        given = self.given
        if given.seg_no > 1:
            yield self._found("CONTINUATION_SEGMENT", "seg_no", given.seg_no, seg_no=given.seg_no)
        if given.hospital_code is not None and given.hospital_code != self.book.hospital_code:
            yield self._found(
                "ANOTHER_HOSPITALS_LIST",
                "fixmedins_code",
                given.hospital_code,
                stated=given.hospital_code,
                submitting=self.book.hospital_code,
            )

    def duplicates(self, earlier_row: int | None, stored_version: int | None) -> Iterator[Verdict]:
        """Q13 the same list twice, in the batch or against stored lists (重复上报)."""
        given = self.given
        if given.setl_id is None:
            return
        named = {"setl_id": given.setl_id, "version": given.version}
        if earlier_row is not None:
            yield self._found("DUPLICATE_IN_BATCH", "setl_id", given.setl_id, earlier_row=earlier_row, **named)
        if stored_version is None or stored_version < given.version:
            return
        code = "DUPLICATE_LIST" if stored_version == given.version else "STALE_VERSION"
        yield self._found(code, "version", given.version, stored=stored_version, **named)

    def insurance_and_agreement(self) -> Iterator[Verdict]:
        """Q27 the insurance type, Q26 an agreement for it on the day of discharge (险种, 协议)."""
        given = self.given
        if given.insurance_type is None:
            return
        insurance = self.policy.insurance_of.get(given.insurance_type)
        if insurance is None:
            yield self._found("UNKNOWN_INSURANCE_TYPE", "insutype", given.insurance_type, insutype=given.insurance_type)
            return
        if self.book.agreements is None:
            yield self._found("AGREEMENTS_NOT_LOADED", "fixmedins_code", self.book.hospital_code)
            return
        day = given.discharge_date
        if day is not None and not any(term.covers(insurance, day) for term in self.book.agreements):
            yield self._found(
                "NO_AGREEMENT", "insutype", given.insurance_type, discharged=day, insurance=given.insurance_type
            )

    def required(self) -> Iterator[Verdict]:
        """Q01 required fields (必填项); a field stated but unreadable is the reader's fault, not a missing one."""
        given = self.given
        names, stated = _wanted(self.policy.required_fields)
        missing = [
            name
            for name, value in zip(names, stated(given), strict=True)
            # An amount of zero is stated, and so are payers of whom there are none.
            if (not value and _is_missing(name, value)) or (value.__class__ is str and value.isspace())
        ]
        diagnoses, procedures = given.diagnoses or (), given.procedures
        missing += [
            f"diseinfo[{at}].diag_code" for at, row in enumerate(diagnoses) if not row.code or row.code.isspace()
        ]
        missing += [
            f"oprninfo[{at}].oprn_oprt_code" for at, row in enumerate(procedures) if not row.code or row.code.isspace()
        ]
        for at, payment in enumerate(given.fund_payments or ()):
            if not payment.fund_pay_type or payment.fund_pay_type.isspace():
                missing.append(f"payinfo[{at}].fund_pay_type")
            if payment.amount_fen is None:
                missing.append(f"payinfo[{at}].fund_payamt")
        missing += [f"iteminfo[{at}].amt" for at, item in enumerate(given.items or ()) if item.amount_fen is None]
        for path in missing:
            if path not in given.unread:
                yield self._found("REQUIRED_FIELD_MISSING", path, None, field=path)

    def codes(self) -> Iterator[Verdict]:
        """Q03 codes of the edition in force at discharge, gray codes; Q17 repeated diagnoses (编码有效性, 灰码, 重复诊断)."""
        given = self.given
        day = given.discharge_date
        if day is None:
            return  # Required and already missing, or unread: no edition can be chosen.
        edition = self.book.codes_on(day)
        if edition is None:
            yield self._found("CODE_TABLE_NOT_LOADED", "dscg_time", day, discharged=day)
            return
        seen: set[str] = set()
        for place, row in enumerate(given.diagnoses or ()):
            if row.code is None:
                continue
            where = f"diseinfo[{place}].diag_code"
            gray = edition.diagnoses.get(row.code)
            if gray is None:
                code = "UNKNOWN_PRINCIPAL_DIAGNOSIS" if row.principal else "UNKNOWN_DIAGNOSIS"
                yield self._coded(code, where, row.code)
            elif gray:
                code = "GRAY_PRINCIPAL_DIAGNOSIS" if row.principal else "GRAY_DIAGNOSIS"
                yield self._coded(code, where, row.code)
            if row.code in seen:
                yield self._coded("REPEATED_DIAGNOSIS", where, row.code)
            seen.add(row.code)
        for place, procedure in enumerate(given.procedures):
            if procedure.code is None:
                continue
            where = f"oprninfo[{place}].oprn_oprt_code"
            gray = edition.procedures.get(procedure.code)
            if gray is None:
                yield self._coded("UNKNOWN_PROCEDURE", where, procedure.code)
            elif gray:
                yield self._coded("GRAY_PROCEDURE", where, procedure.code)

    def _coded(self, finding: str, where: str, seen: str) -> Verdict:
        return self._found(finding, where, seen, coded=seen)

    def principal(self) -> Iterator[Verdict]:
        """Q04 exactly one principal diagnosis, Q18 its condition on admission, Q10 the count (主要诊断, 诊断计数)."""
        given = self.given
        if not given.diagnoses:
            return  # Required and already missing, or unread.
        flags_unread = bool(given.unread) and any(
            f"diseinfo[{place}].maindiag_flag" in given.unread for place in range(len(given.diagnoses))
        )
        principals = given.principal_diagnoses()
        if not principals and not flags_unread:
            yield self._found("NO_PRINCIPAL_DIAGNOSIS", "diseinfo", f"{len(given.diagnoses)} rows")
        elif len(principals) > 1:
            saw = "、".join(row.code or "-" for _, row in principals)
            yield self._found("SEVERAL_PRINCIPAL_DIAGNOSES", "diseinfo", saw, count=len(principals))
        for place, row in principals:
            if row.admission_condition == "4":
                yield self._found("PRINCIPAL_NOT_PRESENT_ON_ADMISSION", f"diseinfo[{place}].adm_cond_type", "4")
        stated, counted = given.diagnosis_count_stated, len(given.diagnoses)
        if stated is not None and stated != counted:
            yield self._found("DIAGNOSIS_COUNT_MISMATCH", "diag_code_cnt", stated, stated=stated, counted=counted)

    def procedures(self) -> Iterator[Verdict]:
        """Q04 at most one main procedure, Q10 the count, Q07 procedures within the stay (主要手术操作, 计数, 时间)."""
        given = self.given
        flags_unread = bool(given.unread) and any(
            f"oprninfo[{place}].main_oprn_flag" in given.unread for place in range(len(given.procedures))
        )
        mains = [row for row in given.procedures if row.main]
        if len(mains) > 1:
            saw = "、".join(row.code or "-" for row in mains)
            yield self._found("SEVERAL_MAIN_PROCEDURES", "oprninfo", saw, count=len(mains))
        elif given.procedures and not mains and not flags_unread:
            yield self._found("NO_MAIN_PROCEDURE", "oprninfo", given.procedures[0].code)
        stated, counted = given.procedure_count_stated, len(given.procedures)
        if stated is not None and stated != counted and "oprninfo" not in given.unread:
            yield self._found("PROCEDURE_COUNT_MISMATCH", "oprn_oprt_code_cnt", stated, stated=stated, counted=counted)
        admitted, discharged = given.admission_date, given.discharge_date
        if admitted is None or discharged is None or admitted > discharged:
            return
        for place, row in enumerate(given.procedures):
            if row.begun_on is not None and not admitted <= row.begun_on <= discharged:
                yield self._found(
                    "PROCEDURE_OUTSIDE_STAY",
                    f"oprninfo[{place}].oprn_oprt_begntime",
                    row.begun_on,
                    begun=row.begun_on,
                    admitted=admitted,
                    discharged=discharged,
                )

    def dates(self) -> Iterator[Verdict]:
        """Q07 the order of dates and the length of stay (日期顺序, 住院天数)."""
        given = self.given
        admitted, discharged = given.admission_date, given.discharge_date
        begun, settled = given.settlement_begin_date, given.settlement_end_date
        if admitted is not None and discharged is not None:
            if admitted > discharged:
                yield self._found(
                    "ADMISSION_AFTER_DISCHARGE", "adm_time", admitted, admitted=admitted, discharged=discharged
                )
            else:
                yield from self._stay(admitted, discharged)
        if discharged is not None and settled is not None and discharged > settled:
            yield self._found(
                "DISCHARGE_AFTER_SETTLEMENT", "setl_end_date", settled, discharged=discharged, settled=settled
            )
        if begun is not None and settled is not None and begun > settled:
            yield self._found("SETTLEMENT_DATES_REVERSED", "setl_begn_date", begun, begun=begun, settled=settled)
        if discharged is not None and discharged > self.book.received_on:
            yield self._found(
                "DISCHARGE_AFTER_RECEIPT",
                "dscg_time",
                discharged,
                discharged=discharged,
                received=self.book.received_on,
            )

    def _stay(self, admitted: dt.date, discharged: dt.date) -> Iterator[Verdict]:
        stated = self.given.stay_days_stated
        computed = (discharged - admitted).days
        allowed = self.policy.same_day_stay_days if computed == 0 else {computed}
        if stated is not None and stated not in allowed:
            yield self._found("LOS_MISMATCH", "act_ipt_days", stated, stated=stated, computed=computed)

    def age(self) -> Iterator[Verdict]:
        """Q02 an age is stated, Q06 it agrees with the date of birth (年龄). Rounding: full years, full days."""
        given = self.given
        born, admitted = given.birth_date, given.admission_date
        reckoned = admitted if self.policy.age_reckoning is AgeReckoning.ADMISSION else given.discharge_date
        if born is not None and admitted is not None and born > admitted:
            yield self._found("BIRTH_AFTER_ADMISSION", "brdy", born, born=born, admitted=admitted)
            return
        if born is None or reckoned is None:
            if given.age_years is None and given.age_days_stated is None and not {"age", "nwb_age"} & given.unread:
                yield self._found("AGE_MISSING", "age", None)
            return
        years = full_years(born, reckoned)
        if years >= 1:
            where, stated, computed = "age", given.age_years, years
        else:
            where, stated, computed = "nwb_age", given.age_days_stated, (reckoned - born).days
        if stated is None:
            if where not in given.unread:
                yield self._found("AGE_MISSING", where, None)
        elif stated != computed:
            yield self._found("AGE_MISMATCH", where, stated, stated=stated, computed=computed)

    def total_and_items(self) -> Iterator[Verdict]:
        """Q08 the total is above zero and is the sum of its items (总费用, 收费项目合计)."""
        given = self.given
        total = given.total_fen
        if total is not None and total <= 0:
            yield self._found("TOTAL_NOT_POSITIVE", "medfee_sumamt", yuan_from_fen(total), total=yuan_from_fen(total))
        if not given.items:
            if "iteminfo" not in given.unread:
                yield self._found("ITEMS_ABSENT", "iteminfo", None)
            return
        amounts = [item.amount_fen for item in given.items]
        known = [amount for amount in amounts if amount is not None]
        if total is None or len(known) < len(amounts):
            return  # The missing or unreadable amount is already named.
        if sum(known) != total:
            yield self._found(
                "ITEMS_NOT_TOTAL",
                "iteminfo",
                yuan_from_fen(sum(known)),
                items=yuan_from_fen(sum(known)),
                total=yuan_from_fen(total),
                difference=yuan_from_fen(sum(known) - total),
            )

    def payers(self) -> Iterator[Verdict]:
        """Q08 funds, account and cash add up to the total, none negative; Q24 the basic fund is known (支付方)."""
        given = self.given
        if given.fund_payments is None:
            payments: list[tuple[str, int | None]] = [("payinfo", None)]
        else:
            payments = [
                (f"payinfo[{place}].fund_payamt", payment.amount_fen)
                for place, payment in enumerate(given.fund_payments)
            ]
        payments += [("acct_pay", given.account_fen), ("psn_cashpay", given.cash_fen)]
        for where, amount in payments:
            if amount is not None and amount < 0:
                yield self._found(
                    "NEGATIVE_PAYER", where, yuan_from_fen(amount), payer=where, amount=yuan_from_fen(amount)
                )
        insurance = self.policy.insurance_of.get(given.insurance_type or "")
        if insurance is not None and not self.policy.basic_fund_types.get(insurance):
            yield self._found(
                "BASIC_FUND_NOT_CONFIGURED", "insutype", given.insurance_type, insurance=given.insurance_type
            )
        known = [amount for _, amount in payments if amount is not None]
        if given.total_fen is None or len(known) < len(payments):
            return  # The missing or unreadable amount is already named.
        if sum(known) != given.total_fen:
            yield self._found(
                "PAYERS_NOT_TOTAL",
                "medfee_sumamt",
                yuan_from_fen(sum(known)),
                payers=yuan_from_fen(sum(known)),
                total=yuan_from_fen(given.total_fen),
                difference=yuan_from_fen(sum(known) - given.total_fen),
            )

    def timeliness(self) -> Iterator[Verdict]:
        """Q28 the list came within the days policy allows (及时性)."""
        given = self.given
        if given.discharge_date is None:
            return
        reported = self.book.received_on
        if self.policy.lateness_reckoning is LatenessReckoning.DECLARED and given.declared_on is not None:
            reported = given.declared_on
        days = (reported - given.discharge_date).days
        if days > self.policy.list_due_days:
            yield self._found("LATE_LIST", "dscg_time", reported, days=days, limit=self.policy.list_due_days)


def _is_missing(name: str, value: object) -> bool:
    """Whether a value that counts as false is none."""
    return value is None or value == "" or (name in _ROWS_WANTED and value == ())


@lru_cache(maxsize=256)
def _wanted(required: frozenset[str]) -> tuple[tuple[str, ...], Callable[[SettlementList], tuple[object, ...]]]:
    """Names that must be stated under a policy, in their fixed order, and how all are read at once (必填项清单)."""
    names = (*CASE_FIELDS, *sorted(required.difference(CASE_FIELDS)))
    return names, attrgetter(*(_FIELDS[name] for name in names))


def full_years(born: dt.date, day: dt.date) -> int:
    """Full years from `born` to `day` (周岁). Requires: born ≤ day.

    >>> full_years(dt.date(1950, 3, 2), dt.date(2025, 3, 1)), full_years(dt.date(1950, 3, 2), dt.date(2025, 3, 2))
    (74, 75)
    """
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))
