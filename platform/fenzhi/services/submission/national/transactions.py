"""The transactions of the national interface (国家接口交易): file, submit or take back, look up, results of checks and of grouping.

Each answers with the rows of its `output` node. What stands in the way is a refusal as everywhere else; the adapter puts it into the
national envelope. A message repeated under its `msgid` is answered as the first time and does nothing.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.quantities import yuan_from_fen
from fenzhi.rules.refusals import DataRefused, FenzhiError, NotFound, Refusal
from fenzhi.rules.submission.filing import FiledState, Step, stas_type, step_of
from fenzhi.services.acts import Answer, Platform, Request, act, looking
from fenzhi.services.audit.sight import Sight, witness
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.services.scoring.assembly import ScoringFrame, scoring_frame
from fenzhi.services.scoring.explain import CaseExplanation, explained
from fenzhi.services.scoring.payment import ModeFrame, mode_frame
from fenzhi.services.submission import filing
from fenzhi.services.submission.national.keys import key_place
from fenzhi.services.submission.national.message import (
    NationalMessage,
    decoded,
    has_payers,
    rows_of,
    setlinfo_of,
    shown,
    text_in,
)
from fenzhi.services.submission.national.signature import (
    PROVIDERS,
    SignatureKind,
    SignatureRefused,
    check_window,
    signed_text,
)
from fenzhi.store.repositories import filing as store
from fenzhi.store.repositories import national, settlement_records
from fenzhi.store.session import UnitOfWork

Output = dict[str, Any]
ROWS_MOST = 100
"""Rows of one 4102 message, and of one page of an answer (单次行数上限)."""
PAGE_MOST = 500
SPAN_MOST = timedelta(days=366)
DUTIES: Mapping[str, Duty] = {
    "4101A": Duty.FILE_LISTS,
    "4102": Duty.SUBMIT_LISTS,
    "4103": Duty.READ_SUBMISSION,
    "4104": Duty.READ_SUBMISSION,
    "4105": Duty.READ_SUBMISSION,
    "3606": Duty.READ_CASES,
    "3607": Duty.READ_SUBMISSION,
}
"""Transaction number → the duty it asks for (交易权限)."""
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class HospitalDiffers(FenzhiError):
    """The message is in the name of another hospital than the token (报文机构与令牌不符)."""

    code = "HOSPITAL_DIFFERS"
    http_status = 403


def admit(subject: Subject, infno: str) -> None:
    """Refuse whoever may not ask for a transaction before anything of the message is read (准入). Raises: NotFound, Forbidden."""
    if infno not in DUTIES:
        raise NotFound("没有该交易。", "No such transaction.", hint="、".join(DUTIES))
    subject.scope_for(DUTIES[infno])


async def carry_out(
    platform: Platform, subject: Subject, message: NationalMessage, body: bytes, request_id: str
) -> Output:
    """Carry out one message (执行交易): the `output` of the answer. `body`: the message as received.

    Raises: DataRefused, Forbidden, SignatureRefused, HospitalDiffers, and whatever the step of a list is refused with.
    """
    if message.hospital_code != subject.tenant:
        raise HospitalDiffers(
            "报文的定点医药机构编号与令牌的机构不符。", "The message names another hospital than the token.",
            hint="使用本机构的令牌与编号 / use your own token and code",
        )  # fmt: skip
    return await TRANSACTIONS[message.infno](platform, subject, message, body, request_id)


def _request(message: NationalMessage, body: bytes, request_id: str) -> Request:
    digest = hashlib.sha256(body).hexdigest()
    return Request(f"nhsa{message.infno}", f"nhsa-{message.infno}-{message.msgid}", {"sha256": digest}, request_id)


async def _check_signature(
    platform: Platform, uow: UnitOfWork, message: NationalMessage, policy: ResolvedPolicy
) -> None:
    """Hold a message against what the area asks of signatures (验签). Raises: SignatureRefused."""
    kind = SignatureKind.NONE
    if policy.has("submission.national_signature"):
        kind = SignatureKind(policy.method("submission.national_signature"))
    if kind is SignatureKind.NONE:
        return
    if message.signtype != kind.value or not message.signature:
        raise SignatureRefused(
            f"报文须以 {kind.value} 签名（signtype 与 cainfo）。", f"Messages are signed with {kind.value}.",
            hint="按接入文档签名后重发 / sign it as the integration guide says",
        )  # fmt: skip
    check_window(message.inf_time, await uow.now())
    text, provider = signed_text(message.signed), PROVIDERS[kind]
    for row in await national.message_keys(uow, await uow.today()):
        place = key_place(row.hospital_id, row.message_key_id)
        key = platform.keyring.unseal(row.area_id, row.key_id, row.sealed_secret, place)
        if row.signature == kind.value and provider.verify(text, key, message.signature):
            return
    raise SignatureRefused(
        "报文签名与已登记的密钥均不相符。", "The signature fits none of the registered keys.",
        hint="核对待签名文本、密钥与有效期 / check the signed text, the key and its dates",
    )  # fmt: skip


# 4101A


async def upload(
    platform: Platform, subject: Subject, message: NationalMessage, body: bytes, request_id: str
) -> Output:
    """4101A: file a list as a draft, or as a new version of one (清单上传)."""
    setlinfo = setlinfo_of(message.input)
    setl_id = text_in(setlinfo, "setl_id", 30)
    person_no = text_in(setlinfo, "psn_no", 30)
    order = filing.Filing(setl_id, person_no, body, filing.NATIONAL, has_payers(message.input))

    async def effect(uow: UnitOfWork) -> Answer:
        ground = await store.ground_for_filing(uow, setl_id)
        await _check_signature(platform, uow, message, await resolved_policy(uow, ground.today, mark=ground.policy))
        found = await filing.file(platform, uow, order, ground)
        return {"type": "FiledList", "id": str(found.list_id), "version": found.version, "waits_for": found.waits_for}

    answer = await act(platform, subject, DUTIES[message.infno], _request(message, body, request_id), effect)
    return {"setl_list_id": answer["id"], "version": str(answer["version"]), "waits_for": answer["waits_for"]}


# 4102


async def change_state(
    platform: Platform, subject: Subject, message: NationalMessage, body: bytes, request_id: str
) -> Output:
    """4102: submit lists (1) or take them back (0), all rows or none (清单状态修改)."""
    rows = rows_of(message.input)
    if len(rows) > ROWS_MOST:
        raise DataRefused((_too_many(len(rows)),))
    wanted = [(text_in(row, "setl_id", 30), text_in(row, "psn_no", 30), text_in(row, "stas_type", 3)) for row in rows]

    async def effect(uow: UnitOfWork) -> Answer:
        policy = await filing.policy_of_today(uow)
        await _check_signature(platform, uow, message, policy)
        faults: list[Refusal] = []
        moved: list[list[str]] = []
        for place, (setl_id, person_no, stated) in sorted(enumerate(wanted), key=lambda pair: pair[1][0]):
            try:
                found = await _own_list(platform, uow, setl_id, person_no)
                if step_of(stated) is Step.SUBMIT:
                    state = await filing.submit(platform, uow, found, policy)
                else:
                    state = await filing.take_back(uow, found)
                moved.append([setl_id, stas_type(state), found.waits_for])
            except FenzhiError as exc:
                faults.append(
                    Refusal(
                        exc.code,
                        f"input.data[{place}]",
                        setl_id,
                        exc.zh,
                        exc.en,
                        exc.hint or "核对后重发。",
                        exc.hint or "Check it and send it again.",
                    )
                )
        if faults:
            raise DataRefused(tuple(faults))
        return {"type": "FiledList", "id": "", "moved": moved}

    answer = await act(platform, subject, DUTIES[message.infno], _request(message, body, request_id), effect)
    return {
        "data": [
            {"setl_id": setl_id, "stas_type": stated, "waits_for": waits} for setl_id, stated, waits in answer["moved"]
        ]
    }


def _too_many(count: int) -> Refusal:
    return Refusal(
        "NATIONAL_ROWS", "input.data", str(count), f"一次至多 {ROWS_MOST} 行。", f"One message has at most {ROWS_MOST} rows.",
        "分次发送。", "Send them in several messages.",
    )  # fmt: skip


async def _own_list(platform: Platform, uow: UnitOfWork, setl_id: str, person_no: str) -> Row[Any]:
    found = await store.hold_list(uow, setl_id)
    if found is None or bytes(found.person_index) != platform.keyring.person_index(uow.scope.area, person_no):
        raise filing.no_such_list()
    return found


async def _witnessed(
    platform: Platform,
    subject: Subject,
    message: NationalMessage,
    request_id: str,
    *,
    lists: Iterable[Row[Any]] = (),
    cases: Iterable[uuid.UUID] = (),
    rows: Iterable[tuple[uuid.UUID, int]] = (),
) -> None:
    """Write down whose lists an answer shows (登记查阅), before it leaves: the case of each, or the list before it is one."""
    sight = Sight(operations={f"nhsa {message.infno}"})
    if found := [*cases, *(one.case_id or one.list_id for one in lists)]:
        sight.case(*found)
    if told := list(rows):
        sight.row(*told)
    await witness(platform, subject, sight, request_id)


# 4103, 4104, 4105


async def _looked_up(platform: Platform, uow: UnitOfWork, message: NationalMessage) -> None:
    await _check_signature(platform, uow, message, await filing.policy_of_today(uow))


async def look_up(
    platform: Platform, subject: Subject, message: NationalMessage, body: bytes, request_id: str
) -> Output:
    """4103: a filed list with what the settlement record adds, personal fields masked (清单查询)."""
    row = rows_of(message.input)[0]
    setl_id, person_no = text_in(row, "setl_id", 30), text_in(row, "psn_no", 30)
    async with looking(platform, subject, DUTIES[message.infno]) as uow:
        await _looked_up(platform, uow, message)
        found = next(iter(await store.lists_by_setl(uow, [setl_id])), None)
        if found is None or bytes(found.person_index) != platform.keyring.person_index(uow.scope.area, person_no):
            raise filing.no_such_list()
        kept = await store.text_of(uow, found.list_id, found.version)
        records = await settlement_records.newest_records(uow, found.hospital_id, [setl_id])
    assert kept is not None
    await _witnessed(platform, subject, message, request_id, lists=[found])
    content = decoded(filing.opened_text(platform, kept))
    inner = content.get("input")
    plain = inner if isinstance(inner, dict) else {"setlinfo": content}
    output = shown(plain, records[0].payers if records else None, stas_type(FiledState(found.state)))
    return {**output, "setl_list_id": str(found.list_id), "version": str(found.version), "state": found.state}


def _span(row: Mapping[str, Any]) -> tuple[date, date]:
    found = []
    for name in ("begntime", "endtime"):
        text = text_in(row, name, 19)
        try:
            if not _DAY.match(text):
                raise ValueError(text)
            found.append(date.fromisoformat(text[:10]))
        except ValueError:
            raise DataRefused((_span_fault(name, text),)) from None
    if not timedelta(0) <= found[1] - found[0] <= SPAN_MOST:
        raise DataRefused((_span_fault("endtime", str(row.get("endtime"))),))
    return found[0], found[1]


def _span_fault(name: str, saw: str) -> Refusal:
    return Refusal(
        "NATIONAL_SPAN", f"input.data.{name}", saw[:40], "日期须为 yyyy-MM-dd，起止不倒置且不超过一年。",
        "Days are yyyy-MM-dd, in order and at most a year apart.", "更正起止日期。", "Correct the days.",
    )  # fmt: skip


def _page(row: Mapping[str, Any]) -> tuple[int, int]:
    numbers = []
    for name, ours, most in (("page_num", 1, PAGE_MOST), ("page_size", ROWS_MOST, ROWS_MOST)):
        text = text_in(row, name, 9, needed=False) or str(ours)
        if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= most):
            raise DataRefused(
                (
                    Refusal(
                        "NATIONAL_PAGE",
                        f"input.data.{name}",
                        text,
                        f"{name} 须为 1 至 {most}。",
                        f"{name} is 1 to {most}.",
                        "更正页码或每页条数。",
                        "Correct the page.",
                    ),
                )
            )
        numbers.append(int(text))
    return numbers[0], numbers[1]


def _finding(row: Row[Any]) -> Output:
    return {
        "setl_id": row.setl_id,
        "rule": row.rule,
        "code": row.code,
        "severity": row.severity,
        "path": row.path,
        "saw": row.saw,
        "message": row.zh,
        "message_en": row.en,
        "remedy": row.remedy_zh,
        "remedy_en": row.remedy_en,
    }


async def checked(
    platform: Platform, subject: Subject, message: NationalMessage, body: bytes, request_id: str
) -> Output:
    """4104: what the checks said of lists, by settlement id or by the days of judgement (清单质控结果查询)."""
    rows = rows_of(message.input)
    by_id = [text_in(row, "setl_id", 30) for row in rows if row.get("setl_id")]
    if len(rows) > ROWS_MOST:
        raise DataRefused((_too_many(len(rows)),))
    async with looking(platform, subject, DUTIES[message.infno]) as uow:
        await _looked_up(platform, uow, message)
        if by_id:
            found = await store.lists_by_setl(uow, by_id)
        else:
            number, size = _page(rows[0])
            found = await national.judged_between(uow, *_span(rows[0]), (number - 1) * size, size)
        findings = await national.verdicts_of_lists(uow, found, 50 * ROWS_MOST)
    await _witnessed(platform, subject, message, request_id, lists=found)
    by_list: dict[tuple[uuid.UUID, str], list[Output]] = {}
    for one in findings:
        by_list.setdefault((one.batch_id, one.setl_id), []).append(_finding(one))
    return {
        "data": [
            {
                "setl_id": row.setl_id,
                "setl_list_id": str(row.list_id),
                "version": str(row.version),
                "stas_type": stas_type(FiledState(row.state)),
                "waits_for": row.waits_for,
                "findings": by_list.get((row.batch_id, row.setl_id), []) if row.judged_at is not None else [],
            }
            for row in found
        ]
    }


async def counted(
    platform: Platform, subject: Subject, message: NationalMessage, body: bytes, request_id: str
) -> Output:
    """4105: how many lists stand where, of those filed in a span of days (清单上传情况统计)."""
    begin, end = _span(rows_of(message.input)[0])
    async with looking(platform, subject, DUTIES[message.infno]) as uow:
        await _looked_up(platform, uow, message)
        by_state = await store.counts_by_state(uow, begin, end)
        unfiled = await national.records_without_list(uow, begin, end)

    def of(*states: FiledState) -> str:
        return str(sum(by_state.get(state.value, 0) for state in states))

    return {
        "data": {
            "not_submit_cnt": of(FiledState.DRAFT, FiledState.REVIEWED),
            "submitted_cnt": of(FiledState.SUBMITTED, FiledState.JUDGED),
            "pass_cnt": of(FiledState.PASSED),
            "not_pass_cnt": of(FiledState.REJECTED, FiledState.RETURNED),
            "hospital_submit_cnt": str(sum(by_state.values())),
            "need_upload_cnt": str(unfiled),
        }
    }


# 3606, 3607


def _month(row: Mapping[str, Any]) -> int:
    text = text_in(row, "setlym", 6)
    if not (len(text) == 6 and text.isascii() and text.isdecimal() and 1 <= int(text[4:]) <= 12):
        raise DataRefused(
            (
                Refusal(
                    "NATIONAL_MONTH",
                    "input.data.setlym",
                    text,
                    "结算年月须为 yyyyMM。",
                    "The settlement month is yyyyMM.",
                    "更正结算年月。",
                    "Correct the month.",
                ),
            )
        )
    return int(text)


async def grouped(
    platform: Platform, subject: Subject, message: NationalMessage, body: bytes, request_id: str
) -> Output:
    """3606: group, score, payment mode and flags of the cases of a settlement month, by page (DIP 分组结果查询).

    A case that its mode pays beside the points has no `case_points`, as in a run.
    """
    row = rows_of(message.input)[0]
    month, (number, size) = _month(row), _page(row)
    frames: dict[tuple[str, str, date], tuple[ScoringFrame, ModeFrame]] = {}
    async with looking(platform, subject, DUTIES[message.infno]) as uow:
        await _looked_up(platform, uow, message)
        cases = await national.cases_of_month(uow, month, (number - 1) * size, size)
        for case in cases:
            key = (case.insurance, case.pool_scope, case.discharge_date)
            if key not in frames:
                frame = await scoring_frame(
                    uow,
                    area_id=case.area_id,
                    hospital_id=case.hospital_id,
                    insurance=case.insurance,
                    discharge_date=case.discharge_date,
                    settlement_month=month,
                    pool_scope=case.pool_scope,
                )
                modes = await mode_frame(uow, case, frame.agreement_mode, frame.adjustments.icu_counting)
                frames[key] = (frame, modes)
    await _witnessed(platform, subject, message, request_id, cases=[case.case_id for case in cases])
    told = [(case, explained(case, *frames[case.insurance, case.pool_scope, case.discharge_date])) for case in cases]
    return {"data": [_grouping(case, one) for case, one in told], "page_num": str(number), "page_size": str(size)}


def _grouping(case: Row[Any], one: CaseExplanation) -> Output:
    paid = one.paid
    beside = paid.payment if paid is not None else None
    return {
        "setl_id": case.setl_id,
        "version": str(case.version),
        "dip_codg": one.group_code or "",
        "dip_name": one.group_name or "",
        "grp_stas": "1" if one.group_code else "0",
        "dip_score": "" if one.score is None else format(one.score, "f"),
        "case_points": "" if one.points is None else format(one.points, "f"),
        "hosp_coefficient": "" if one.coefficient is None else format(one.coefficient, "f"),
        "case_type": one.band or "",
        "edition": one.edition_code or "",
        "pay_mode": paid.mode.value if paid is not None and paid.mode is not None else "",
        "pay_mode_name": paid.zh if paid is not None else "",
        "pay_mode_name_en": paid.en if paid is not None else "",
        "beside_fund_amt": yuan_from_fen(beside.fund_fen) if beside is not None else "",
        "remarks": one.reason_zh,
        "remarks_en": one.reason_en,
    }


async def checked_by_month(
    platform: Platform, subject: Subject, message: NationalMessage, body: bytes, request_id: str
) -> Output:
    """3607: what the checks said of the lists of a settlement month, by page (质控结果查询)."""
    row = rows_of(message.input)[0]
    month, (number, size) = _month(row), _page(row)
    async with looking(platform, subject, DUTIES[message.infno]) as uow:
        await _looked_up(platform, uow, message)
        found = await national.verdicts_of_month(uow, month, (number - 1) * size, size)
    await _witnessed(platform, subject, message, request_id, rows=[(one.batch_id, one.row_no) for one in found])
    return {"data": [_finding(one) for one in found], "page_num": str(number), "page_size": str(size)}


TRANSACTIONS: Mapping[str, Callable[[Platform, Subject, NationalMessage, bytes, str], Awaitable[Output]]] = {
    "4101A": upload,
    "4102": change_state,
    "4103": look_up,
    "4104": checked,
    "4105": counted,
    "3606": grouped,
    "3607": checked_by_month,
}
"""Transaction number → what carries it out (交易表)."""
