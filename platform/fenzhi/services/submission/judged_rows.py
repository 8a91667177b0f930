"""One judged row as the records it leaves behind (判定结果转存储记录). Pure work, done off the event loop."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

import msgspec

from fenzhi.rules.submission.case_checks import judge_list
from fenzhi.rules.submission.case_facts import CaseFacts, case_facts, earlier_digest, list_digest
from fenzhi.rules.submission.check_policy import PeriodDate
from fenzhi.rules.submission.code_mapping import mapped_list
from fenzhi.rules.submission.settlement_list import SettlementList
from fenzhi.rules.submission.verdict import Verdict, deciding
from fenzhi.rules.submission.verdict_texts import verdict
from fenzhi.services.submission.check_book import Submitter
from fenzhi.services.submission.judging_turns import OF_THIS_PROCESS, SLICE_ROWS
from fenzhi.services.submission.parse_part import ParsedRow
from fenzhi.store.keyring import Keyring
from fenzhi.store.session import new_id

Record = tuple[Any, ...]
_SEXES = {"0": 0, "1": 1, "2": 2, "9": 9}
_UNSTATED_SEX = 9


class KnownList(NamedTuple):
    """The version of a settlement id that stands (现行版本)."""

    version: int
    case_id: uuid.UUID
    digest: bytes


@dataclass(slots=True)
class KnownLists:
    """What is already known of the settlement ids of a chunk (已知清单): stored versions, and earlier rows of the batch."""

    standing: dict[str, KnownList] = field(default_factory=dict)
    rows: dict[tuple[str, int], int] = field(default_factory=dict)
    """(settlement id, version) → first row of this batch that gave it."""

    def note_stored(self, rows: Iterable[Any]) -> None:
        """Versions accepted by earlier batches."""
        for row in rows:
            self.standing[row.setl_id] = KnownList(row.version, row.case_id, row.digest)

    def note_staged(self, rows: Iterable[Any]) -> None:
        """Earlier rows of this batch, in order."""
        for row in rows:
            self.rows.setdefault((row.setl_id, row.version), row.row_no)
            if row.digest is not None:
                self.standing[row.setl_id] = KnownList(row.version, row.case_id, row.digest)


@dataclass(slots=True)
class Tally:
    """How the rows of a batch came out (批次计数)."""

    rows: int = 0
    accepted: int = 0
    refused: int = 0
    superseding: int = 0
    warnings: int = 0
    refused_by_code: Counter[str] = field(default_factory=Counter)
    findings: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(rule, severity) → how many; for the metrics, not part of the answer."""

    def answer(self) -> dict[str, Any]:
        """The counts as JSON values."""
        return {
            "rows": self.rows,
            "accepted": self.accepted,
            "refused": self.refused,
            "superseding": self.superseding,
            "warnings": self.warnings,
            "refused_by_code": dict(sorted(self.refused_by_code.items())),
        }


@dataclass(slots=True)
class JudgedChunk:
    """Records of a chunk of rows, by table (一段清单的存储记录)."""

    intake: list[Record] = field(default_factory=list)
    verdicts: list[Record] = field(default_factory=list)
    cases: list[Record] = field(default_factory=list)
    personal: list[Record] = field(default_factory=list)
    keys: list[Record] = field(default_factory=list)
    supersessions: list[Record] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ListJudge:
    """Judges the rows of one batch (逐行判定)."""

    submitter: Submitter
    keyring: Keyring
    batch_id: uuid.UUID
    submitted_at: datetime
    tally: Tally
    tenant: str = ""
    """For whom the rows are judged: tenants take turns (租户)."""

    def judge(self, rows: Sequence[ParsedRow], known: KnownLists, part_no: int, first_row: int) -> JudgedChunk:
        """Judge rows in order (判定一段): each row is held against the stored lists and all rows before it."""
        out = JudgedChunk()
        for begin in range(0, len(rows), SLICE_ROWS):
            with OF_THIS_PROCESS.turn(self.tenant):
                for row in rows[begin : begin + SLICE_ROWS]:
                    self._judge_row(out, row, known, part_no, first_row + row.row_no)
        return out

    def _judge_row(self, out: JudgedChunk, row: ParsedRow, known: KnownLists, part_no: int, row_no: int) -> None:
        mapped: tuple[Verdict, ...] = ()
        if row.settlement_list is not None and self.submitter.book.crosswalk:
            in_our_codes, mapped = mapped_list(row.settlement_list, self.submitter.book)
            row = row._replace(settlement_list=in_our_codes)
        given = row.settlement_list
        found = (*mapped, *self._verdicts(row, known))
        key = (given.setl_id, given.version) if given is not None and given.setl_id is not None else None
        first = deciding(found)
        place = self._place()
        setl_id = key[0] if key else ""
        case_id: uuid.UUID | None = None
        self.tally.rows += 1
        if first is None and given is not None and key is not None:
            case_id = self._accept(out, given, known, row_no)
        else:
            code = first.code if first is not None else "UNREADABLE"
            self.tally.refused += 1
            self.tally.refused_by_code[code] += 1
        errors = list(dict.fromkeys(one.code for one in found if one.severity == "error"))
        self.tally.warnings += sum(one.severity == "warning" for one in found)
        if key is not None:
            known.rows.setdefault(key, row_no)
        out.intake.append(
            (
                *place,
                self.batch_id,
                row_no,
                part_no,
                row.offset,
                row.length,
                setl_id,
                key[1] if key else 0,
                self._month(given),
                "accepted" if case_id else "refused",
                case_id,
                errors,
            )
        )
        self.tally.findings.update((one.rule, one.severity.value) for one in found)
        for seq, one in enumerate(found):
            out.verdicts.append(
                (
                    *place,
                    self.batch_id,
                    row_no,
                    seq,
                    setl_id,
                    one.rule,
                    one.code,
                    one.severity.value,
                    one.where,
                    one.saw,
                    one.zh,
                    one.en,
                    one.remedy_zh,
                    one.remedy_en,
                )
            )

    def _place(self) -> tuple[int, int | None, int]:
        return self.submitter.area_id, self.submitter.county_id, self.submitter.hospital_id

    def _month(self, given: SettlementList | None) -> int | None:
        if given is None:
            return None
        by_discharge = self.submitter.book.policy.settlement_period_by is PeriodDate.DISCHARGE
        day: date | None = given.discharge_date if by_discharge else given.settlement_end_date
        return day.year * 100 + day.month if day is not None else None

    def _verdicts(self, row: ParsedRow, known: KnownLists) -> tuple[Verdict, ...]:
        given, book = row.settlement_list, self.submitter.book
        if given is None or given.setl_id is None:
            return judge_list(given, row.faults, book)
        earlier = known.rows.get((given.setl_id, given.version))
        standing = known.standing.get(given.setl_id) if earlier is None else None
        changed = standing is not None and standing.version == given.version and not self._same(given, standing)
        found = judge_list(
            given,
            row.faults,
            book,
            earlier_row=earlier,
            stored_version=standing.version if standing is not None and not changed else None,
        )
        if standing is not None and changed:
            slots = {"setl_id": given.setl_id, "version": str(given.version), "stored": str(standing.version)}
            stale = verdict("STALE_VERSION", "version", str(given.version), severities=book.policy.severities, **slots)
            found = (*found, stale)
        return found

    @staticmethod
    def _same(given: SettlementList, standing: KnownList) -> bool:
        return standing.digest.hex() in (list_digest(given), earlier_digest(given))

    def _accept(self, out: JudgedChunk, given: SettlementList, known: KnownLists, row_no: int) -> uuid.UUID:
        facts = case_facts(given, self.submitter.book.policy)
        case_id, digest, setl_id = new_id(), bytes.fromhex(facts.digest), given.setl_id or ""
        place = self._place()
        out.cases.append(self._case(given, facts, case_id, row_no, digest))
        out.personal.append(self._personal(given, case_id))
        out.keys.append((*place, setl_id, given.version, case_id, digest))
        earlier = known.standing.get(setl_id)
        if earlier is not None:
            out.supersessions.append((*place, earlier.case_id, case_id))
            self.tally.superseding += 1
        known.standing[setl_id] = KnownList(given.version, case_id, digest)
        self.tally.accepted += 1
        return case_id

    def _case(self, given: SettlementList, facts: CaseFacts, case_id: uuid.UUID, row_no: int, digest: bytes) -> Record:
        insured = facts.insured_area_code or self.submitter.area_code
        return (
            *self._place(),
            case_id,
            self.batch_id,
            row_no,
            given.setl_id,
            given.version,
            facts.insurance,
            "local" if insured in self.submitter.own_areas else "out_of_area",
            insured,
            given.admission_date,
            given.discharge_date,
            given.settlement_end_date,
            facts.settlement_month,
            _SEXES.get(given.sex or "", _UNSTATED_SEX),
            facts.age_days,
            facts.los_days,
            facts.total_fen,
            facts.basic_fund_fen,
            facts.other_funds_fen,
            facts.account_fen,
            facts.cash_fen,
            facts.diagnoses,
            facts.procedures,
            digest,
            self.submitted_at,
            given.birth_weight_g,
            given.discharge_way,
            facts.icu_minutes,
            facts.discharge_department,
            facts.tcm_fen,
            facts.own_paid_fen,
        )

    def _personal(self, given: SettlementList, case_id: uuid.UUID) -> Record:
        area_id, keyring = self.submitter.area_id, self.keyring
        fields = {
            "psn_no": given.person_no,
            "psn_name": given.person_name,
            "certno": given.certificate_no,
            "brdy": given.birth_date,
            "medcasno": given.record_no,
            "mdtrt_id": given.visit_id,
        }
        sealed = keyring.seal(area_id, msgspec.json.encode(fields), case_id.bytes)
        return (*self._place(), case_id, keyring.key_id, sealed, keyring.person_index(area_id, given.person_no or ""))
