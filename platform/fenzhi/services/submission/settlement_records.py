"""Settlement records (结算记录): what the core system settled for a list: total, payers, charges. The list itself need not say.

4101A carries neither payers nor items. A list without them waits under its code until its record comes, and goes on by itself then.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import defaultdict
from typing import Any

import msgspec

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.quantities import fen_from_yuan
from fenzhi.rules.refusals import DataRefused, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.services.submission.filing import ring_for_gathering
from fenzhi.services.submission.national.message import Number, decoded
from fenzhi.store.repositories import registry, settlement_records
from fenzhi.store.session import UnitOfWork

RECORDS_MOST = 2_000
"""Records of one import (单次导入上限)."""
FAULTS_MOST = 200
_AMOUNTS = ("medfee_sumamt", "acct_pay", "psn_cashpay")
_ROWS = {"payinfo": ("fund_pay_type", ("fund_payamt",)), "iteminfo": ("med_chrgitm", ("amt",))}


def _fault(row: int, where: str, saw: object, zh: str, en: str) -> Refusal:
    return Refusal(
        "SETTLEMENT_RECORD",
        f"row {row} {where}".strip(),
        str(saw)[:60],
        zh,
        en,
        "按结算系统的记录更正该行后重新导入；一行有误则整批不导入。",
        "Correct the row by the core system and import again; one faulty row imports nothing.",
    )


def _amount(value: Any) -> str | None:
    try:
        fen_from_yuan(str(value))
    except ValueError:
        return None
    return str(value)


def read_record(line: bytes, number: int) -> tuple[tuple[str, str, dict[str, Any]] | None, list[Refusal]]:
    """One record (读取结算记录): hospital code, settlement id and what was settled; or every fault of it."""
    try:
        found = decoded(line)
    except DataRefused as exc:
        return None, [_fault(number, r.where, r.saw, r.zh, r.en) for r in exc.refusals]
    faults: list[Refusal] = []
    payers: dict[str, Any] = {}
    for name, most in (("fixmedins_code", 12), ("setl_id", 30)):
        value = found.get(name)
        if not isinstance(value, str) or not 1 <= len(value) <= most or not value.isprintable():
            faults.append(
                _fault(number, name, value, f"{name} 须为 1 至 {most} 个字符。", f"{name} has 1 to {most} characters.")
            )
    for name in _AMOUNTS:
        amount = _amount(found.get(name, ""))
        if amount is None:
            faults.append(
                _fault(
                    number,
                    name,
                    found.get(name),
                    f"{name} 须为元，至多两位小数。",
                    f"{name} is yuan, two decimals at most.",
                )
            )
        else:
            payers[name] = amount
    for node, (key, amounts) in _ROWS.items():
        rows = found.get(node)
        if rows is None and node == "iteminfo":
            continue
        if not isinstance(rows, list) or not rows or any(not isinstance(row, dict) for row in rows):
            faults.append(
                _fault(
                    number, node, type(rows).__name__, f"{node} 须为非空数组。", f"{node} is a list that is not empty."
                )
            )
            continue
        payers[node] = []
        for place, row in enumerate(rows):
            kept = {key: str(row.get(key, ""))}
            if not kept[key]:
                faults.append(_fault(number, f"{node}[{place}].{key}", "", f"{key} 未填。", f"{key} is blank."))
            for name in amounts:
                amount = _amount(row.get(name, ""))
                if amount is None:
                    faults.append(
                        _fault(
                            number,
                            f"{node}[{place}].{name}",
                            row.get(name),
                            "须为元，至多两位小数。",
                            "It is yuan, two decimals at most.",
                        )
                    )
                else:
                    kept[name] = amount
            payers[node].append(kept)
    if isinstance(found.get("insutype"), str) and found["insutype"]:
        payers["insutype"] = str(found["insutype"])
    if faults:
        return None, faults
    plain = {name: str(value) if isinstance(value, Number) else value for name, value in payers.items()}
    return (str(found["fixmedins_code"]), str(found["setl_id"]), plain), []


def read_records(body: bytes) -> list[tuple[str, str, dict[str, Any]]]:
    """The records of an import, one a line (读取结算记录文件). Raises: DataRefused with every fault of every row."""
    records: list[tuple[str, str, dict[str, Any]]] = []
    faults: list[Refusal] = []
    lines = [line for line in body.split(b"\n") if line.strip()]
    if not 1 <= len(lines) <= RECORDS_MOST:
        faults.append(
            _fault(
                0,
                "",
                len(lines),
                f"一次导入 1 至 {RECORDS_MOST} 条。",
                f"One import holds 1 to {RECORDS_MOST} records.",
            )
        )
        lines = []
    for number, line in enumerate(lines, start=1):
        record, wrong = read_record(line, number)
        faults += wrong
        if record is not None:
            records.append(record)
        if len(faults) > FAULTS_MOST:
            break
    if faults:
        raise DataRefused(tuple(faults))
    return records


async def import_records(platform: Platform, subject: Subject, request: Request, body: bytes) -> Answer:
    """Import settlement records, all or none (导入结算记录); lists that waited for theirs go on to their checks.

    Changes: settlement_record, filed_list, job. Raises: Forbidden, DataRefused.
    """
    subject.scope_for(Duty.IMPORT_RECORDS)
    records = read_records(body)

    async def effect(uow: UnitOfWork) -> Answer:
        known = {row.code: row for row in await registry.hospitals(uow, 0, 1_000_000)}
        strangers = [
            _fault(number, "fixmedins_code", code, "本统筹区没有该机构。", "The area has no such hospital.")
            for number, (code, _, _) in enumerate(records, start=1)
            if code not in known
        ]
        if strangers:
            raise DataRefused(tuple(strangers[:FAULTS_MOST]))
        by_hospital: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        for code, setl_id, payers in records:
            by_hospital[code][setl_id] = payers
        added = going_on = 0
        for code, rows in sorted(by_hospital.items()):
            place = known[code]
            earlier = {
                r.setl_id: r for r in await settlement_records.newest_records(uow, place.hospital_id, list(rows))
            }
            fresh = []
            for setl_id, payers in sorted(rows.items()):
                digest = hashlib.sha256(msgspec.json.encode(payers, order="deterministic")).digest()
                before = earlier.get(setl_id)
                if before is not None and bytes(before.sha256) == digest:
                    continue
                fresh.append(
                    {
                        "area_id": uow.scope.area,
                        "county_id": place.county_id,
                        "hospital_id": place.hospital_id,
                        "setl_id": setl_id,
                        "record_no": 1 if before is None else before.record_no + 1,
                        "payers": payers,
                        "sha256": digest,
                        "imported_by": uuid.UUID(uow.scope.account_id) if uow.scope.account_id else None,
                    }
                )
            await settlement_records.add_records(uow, fresh)
            added += len(fresh)
            waited = await settlement_records.end_waiting(uow, place.hospital_id, list(rows))
            going_on += waited
            if waited:
                await ring_for_gathering(platform, uow, place.hospital_id)
        return {
            "type": "SettlementRecords",
            "id": "",
            "records": added,
            "repeated": len(records) - added,
            "lists": going_on,
        }

    return await act(platform, subject, Duty.IMPORT_RECORDS, request, effect)
