"""Messages in the national envelope (国家接口报文): read exactly, with every fault named, and turned into the canonical list.

A JSON number is kept as its own text. What 4101A calls otherwise than the platform (`hi_type`, `insuplc`) is an alias here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from fenzhi.rules.refusals import DataRefused, Refusal

MESSAGE_MOST = 1 << 20
"""Bytes of one message (单个报文字节上限)."""
DEPTH_MOST = 6
_NODES = ("diseinfo", "oprninfo", "opspdiseinfo", "icuinfo", "bldinfo", "payinfo", "iteminfo")
_WHOLE = frozenset({"age", "nwb_age", "act_ipt_days", "diag_code_cnt", "oprn_oprt_code_cnt", "seg_no"})
_ALIASES = {"hi_type": "insutype", "insuplc": "insu_admdvs"}
_PAYERS = ("medfee_sumamt", "acct_pay", "psn_cashpay")
PERSONAL = frozenset(
    """
    psn_name certno psn_no brdy curr_addr emp_name emp_addr emp_tel coner_name coner_addr coner_tel hi_no medcasno poscode
    """.split()
)
"""Fields of `setlinfo` that name or place a person (个人信息字段)."""
MASK = "***"


class Number(str):
    """A JSON number as its own text (数值原文)."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class NationalMessage:
    """A message in the national envelope (国家接口报文)."""

    infno: str
    msgid: str
    hospital_code: str
    insured_area: str
    inf_time: str
    signtype: str
    signature: str
    """`cainfo`: the signature of the message, blank when it is not signed."""
    signed: Mapping[str, Any]
    """What the signature covers: the envelope without `cainfo`."""
    input: Mapping[str, Any]


def _refusal(code: str, where: str, saw: object, zh: str, en: str, remedy_zh: str, remedy_en: str) -> Refusal:
    return Refusal(code, where, str(saw)[:60], zh, en, remedy_zh, remedy_en)


def _broken(where: str, saw: object, zh: str, en: str) -> DataRefused:
    return DataRefused(
        (
            _refusal(
                "NATIONAL_MESSAGE",
                where,
                saw,
                zh,
                en,
                "按国家接口规范重新生成报文。",
                "Make the message anew by the national specification.",
            ),
        )
    )


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _broken(twice, twice, f"字段 {twice} 重复。", f"The field {twice} is given twice.")
    return found


def _constant(text: str) -> Any:
    raise _broken("", text, f"{text} 不是数值。", f"{text} is no number.")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_float=Number, parse_int=Number, parse_constant=_constant, strict=True
)


def decoded(body: bytes) -> dict[str, Any]:
    """A message's JSON, numbers as text, no field twice (解析报文). Raises: DataRefused naming what is wrong and where."""
    if len(body) > MESSAGE_MOST:
        raise _broken("", len(body), f"报文超过 {MESSAGE_MOST} 字节。", f"The message exceeds {MESSAGE_MOST} bytes.")
    try:
        text = body.decode("utf-8-sig")
        found = _DECODER.decode(text.strip(" \t\r\n"))
    except UnicodeDecodeError as exc:
        raise _broken(
            f"byte {exc.start}",
            body[exc.start : exc.start + 4].hex(" "),
            "报文不是 UTF-8。",
            "The message is not UTF-8.",
        ) from exc
    except json.JSONDecodeError as exc:
        where = f"line {exc.lineno} column {exc.colno}"
        raise _broken(
            where, text[exc.pos : exc.pos + 20], "报文不是完整的 JSON。", "The message is no whole JSON."
        ) from exc
    except RecursionError as exc:
        raise _broken("", "", "报文嵌套过深。", "The message is nested too deep.") from exc
    if not isinstance(found, dict):
        raise _broken("", type(found).__name__, "报文须为 JSON 对象。", "A message is a JSON object.")
    # Half a character or a NUL can only come by an escape: the bytes are UTF-8, and the reader takes no bare control character.
    if "\\u" in text or not _is_beyond_doubt(found, 0):
        _check_text(found, "", 0)
    return found


_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def _check_text(value: Any, where: str, depth: int) -> None:
    """Refuse what nests too deep, and text that cannot be stored."""
    if depth > DEPTH_MOST:
        raise _broken(where, "", "报文嵌套过深。", "The message is nested too deep.")
    if isinstance(value, str):
        if _UNSTORABLE.search(value):
            raise _broken(
                where, ascii(value), "文本含有无法保存的字符。", "The text has characters that cannot be stored."
            )
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_text(name, where, depth + 1)
            _check_text(item, f"{where}.{name}" if where else name, depth + 1)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            _check_text(item, f"{where}[{place}]", depth + 1)


def _is_beyond_doubt(value: Any, depth: int) -> bool:
    """Whether nothing nests too deep, where no text needs a look (快速检查)."""
    if depth >= DEPTH_MOST:
        return False
    items: Iterable[Any] = value.values() if isinstance(value, dict) else value
    return all(not isinstance(item, dict | list) or _is_beyond_doubt(item, depth + 1) for item in items)


def read_message(body: bytes, infno: str) -> NationalMessage:
    """A message of one transaction (读取报文). Raises: DataRefused with every fault of the envelope."""
    found = decoded(body)
    faults: list[Refusal] = []

    def said(name: str, most: int, *, needed: bool) -> str:
        value = found.get(name, "")
        if value is None:
            value = ""
        if not isinstance(value, str) or len(value) > most or (needed and not value):
            faults.append(
                _refusal(
                    "NATIONAL_ENVELOPE",
                    name,
                    value,
                    f"{name} 须为{'必填的' if needed else ''} 1 至 {most} 个字符的文本。",
                    f"{name} is {'required ' if needed else ''}text of 1 to {most} characters.",
                    "补全报文头后重发。",
                    "Complete the envelope and send it again.",
                )
            )
            return ""
        return str(value)

    stated = said("infno", 10, needed=True)
    if stated and stated != infno:
        faults.append(
            _refusal(
                "NATIONAL_ENVELOPE",
                "infno",
                stated,
                f"交易编号应为 {infno}。",
                f"The transaction of this path is {infno}.",
                "核对请求地址与交易编号。",
                "Check the address and the transaction number.",
            )
        )
    content = found.get("input")
    if not isinstance(content, dict):
        faults.append(
            _refusal(
                "NATIONAL_ENVELOPE",
                "input",
                type(content).__name__,
                "input 须为 JSON 对象。",
                "input is a JSON object.",
                "按交易规范填写 input。",
                "Fill input by the transaction.",
            )
        )
        content = {}
    message = NationalMessage(
        infno=infno,
        msgid=said("msgid", 60, needed=True),
        hospital_code=said("fixmedins_code", 30, needed=True),
        insured_area=said("insuplc_admdvs", 20, needed=False),
        inf_time=said("inf_time", 30, needed=False),
        signtype=said("signtype", 10, needed=False),
        signature=said("cainfo", 1024, needed=False),
        signed={name: value for name, value in found.items() if name != "cainfo"},
        input=content,
    )
    if faults:
        raise DataRefused(tuple(faults))
    return message


def rows_of(content: Mapping[str, Any], node: str = "data") -> list[dict[str, Any]]:
    """The rows of a node, one object counting as one row (节点的行). Raises: DataRefused."""
    given: Any = content.get(node)
    rows: list[Any] = given if isinstance(given, list) else [given]
    if not rows or any(not isinstance(row, dict) for row in rows):
        raise _broken(
            f"input.{node}", type(given).__name__, f"节点 {node} 须为对象或对象数组。", f"{node} holds objects."
        )
    return rows


def text_in(row: Mapping[str, Any], name: str, most: int, *, needed: bool = True) -> str:
    """One text of a row (节点字段). Raises: DataRefused."""
    value = row.get(name)
    if value in (None, "") and not needed:
        return ""
    if not isinstance(value, str) or not 1 <= len(value) <= most:
        raise _broken(
            f"input.data.{name}", value, f"{name} 须为 1 至 {most} 个字符。", f"{name} has 1 to {most} characters."
        )
    return str(value)


def setlinfo_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """The single row of `setlinfo` (清单信息). Raises: DataRefused."""
    rows = rows_of(content, "setlinfo")
    if len(rows) != 1:
        raise _broken("input.setlinfo", len(rows), "setlinfo 须为一行。", "setlinfo is one row.")
    return rows[0]


def has_payers(content: Mapping[str, Any]) -> bool:
    """Whether the list itself says who paid (报文是否带有支付信息)."""
    setlinfo = setlinfo_of(content)
    return isinstance(content.get("payinfo"), list) and setlinfo.get("medfee_sumamt") not in (None, "")


def canonical_line(content: Mapping[str, Any], envelope: Mapping[str, Any], version: int) -> bytes:
    """The canonical list of a 4101A message (报文转规范清单), as an upload would carry it.

    `envelope`: `fixmedins_code` and `insuplc_admdvs` where the list itself does not say. Absent and blank fields are left out; what the
    list says otherwise is kept as it says it, so that the checks name what is wrong with it.
    """
    line: dict[str, Any] = {}
    for name, value in setlinfo_of(content).items():
        if value is None or value == "":
            continue
        line[name] = _plain(name, value)
    for given, ours in _ALIASES.items():
        if given in line:
            line.setdefault(ours, line[given])
    for name in ("hi_type", "insuplc"):
        kept = line.pop(name, None)
        if kept is not None and line.get(_ALIASES[name]) != kept:
            line[name] = kept
    if envelope.get("fixmedins_code"):
        line.setdefault("fixmedins_code", envelope["fixmedins_code"])
    if envelope.get("insuplc_admdvs"):
        line.setdefault("insu_admdvs", envelope["insuplc_admdvs"])
    for node in _NODES:
        rows = content.get(node)
        if rows:
            given_rows = rows if isinstance(rows, list) else [rows]
            line[node] = [_row(row) for row in given_rows]
    line["version"] = version
    return msgspec.json.encode(line)


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Number):
        if name in _WHOLE:
            whole, _, rest = value.partition(".")
            if whole.isdecimal() and len(whole) < 6 and not rest.strip("0"):
                return int(whole)
        return str(value)
    if name in _WHOLE and isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 6:
        return int(value)
    return value


def _row(row: Any) -> Any:
    if not isinstance(row, dict):
        return row
    return {
        name: str(value) if isinstance(value, Number) else value
        for name, value in row.items()
        if value not in (None, "")
    }


def with_record(line: bytes, record: Mapping[str, Any]) -> bytes:
    """A canonical list completed by its settlement record (合并结算记录): the record's word on money stands."""
    given = msgspec.json.decode(line)
    for name in (*_PAYERS, "payinfo", "iteminfo", "insutype"):
        if record.get(name) not in (None, "", []):
            given[name] = record[name]
    return msgspec.json.encode(given)


def plain(value: Any) -> Any:
    """A value with its numbers as ordinary text, to be written out (数值转文本)."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Number) else value


def shown(content: Mapping[str, Any], record: Mapping[str, Any] | None, stas_type: str) -> dict[str, Any]:
    """A filed list as transaction 4103 answers it, personal fields masked (清单查询结果)."""
    setlinfo = {
        name: MASK if name in PERSONAL and value not in (None, "") else plain(value)
        for name, value in setlinfo_of(content).items()
    }
    output: dict[str, Any] = {"setlinfo": {**setlinfo, "stas_type": stas_type}}
    for node in _NODES:
        rows = plain(content.get(node))
        output[node] = rows if isinstance(rows, list) else [] if rows is None else [rows]
    if record is not None:
        output["setlinfo"].update({name: record[name] for name in _PAYERS if record.get(name)})
        for node in ("payinfo", "iteminfo"):
            output[node] = record.get(node) or output[node]
    return output


def answer(
    message_id: str,
    received_at: str,
    output: Mapping[str, Any] | None,
    refusals: Sequence[Refusal] = (),
    word: str = "",
) -> dict[str, Any]:
    """The national envelope of an answer (应答报文): `infcode` "0" for done, "-1" for refused with every reason in `err_msg`."""
    spoken = word or "；".join(f"{r.code} {r.where}：{r.zh}{r.remedy_zh}" for r in refusals)
    return {
        "infcode": "-1" if refusals or word else "0",
        "inf_refmsgid": message_id,
        "refmsg_time": received_at,
        "respond_time": received_at,
        "err_msg": spoken[:4000],
        "output": dict(output)
        if output is not None
        else {
            "refusals": [
                {
                    "code": r.code,
                    "path": r.where,
                    "saw": r.saw,
                    "message": r.zh,
                    "message_en": r.en,
                    "remedy": r.remedy_zh,
                    "remedy_en": r.remedy_en,
                }
                for r in refusals
            ]
        },
    }
