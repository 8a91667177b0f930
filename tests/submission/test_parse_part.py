from __future__ import annotations

import datetime as dt
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from fenzhi.services.submission import parse_part as reader
from fenzhi.services.submission.parse_part import ParsedRow, parse_part
from fenzhi.services.submission.read_faults import read_line

MESSAGE: dict[str, Any] = {
    "setl_id": "S1",
    "version": 1,
    "fixmedins_code": "H41010001",
    "insutype": "310",
    "insu_admdvs": "410100",
    "mdtrt_id": "M1",
    "medcasno": "R1",
    "seg_no": 1,
    "psn_no": "P1",
    "psn_name": "合成患者0001",
    "certno": "C1",
    "gend": "1",
    "brdy": "1950-01-01",
    "age": 75,
    "nwb_age": None,
    "adm_time": "2025-01-03 07:30:00",
    "dscg_time": "2025-01-09",
    "setl_begn_date": "2025-01-03",
    "setl_end_date": "2025-01-09",
    "act_ipt_days": 6,
    "dscg_way": "1",
    "diseinfo": [
        {"diag_code": "I63.900", "diag_name": "脑梗死", "maindiag_flag": "1", "adm_cond_type": "1"},
        {"diag_code": "I10.x00x002", "diag_name": "高血压", "maindiag_flag": "0", "adm_cond_type": "1"},
    ],
    "oprninfo": [
        {
            "oprn_oprt_code": "88.4101",
            "oprn_oprt_name": "脑动脉造影",
            "main_oprn_flag": "1",
            "oprn_oprt_begntime": "2025-01-04",
        }
    ],
    "medfee_sumamt": "27068.00",
    "payinfo": [{"fund_pay_type": "310100", "fund_payamt": "26000.00"}],
    "acct_pay": "0.00",
    "psn_cashpay": "1068.00",
    "iteminfo": [{"med_chrgitm": "14", "amt": "27068.00"}],
}


def line(**changes: Any) -> bytes:
    return json.dumps({**MESSAGE, **changes}, ensure_ascii=False, separators=(",", ":")).encode()


def only(part: bytes) -> ParsedRow:
    (row,) = parse_part(part)
    return row


def found(row: ParsedRow) -> list[tuple[str, str]]:
    return [(fault.code, fault.where) for fault in row.faults]


def slow(raw: bytes) -> Any:
    return read_line(raw, offset=0, ended=True)


def test_a_sound_line_becomes_a_list():
    row = only(line() + b"\n")
    assert (row.row_no, row.offset, row.length, row.faults) == (1, 0, len(line()), ())
    assert row.raw == line()
    given = row.settlement_list
    assert given is not None
    assert (given.setl_id, given.version, given.seg_no, given.hospital_code) == ("S1", 1, 1, "H41010001")
    assert (given.admission_date, given.discharge_date) == (dt.date(2025, 1, 3), dt.date(2025, 1, 9))
    assert (given.total_fen, given.account_fen, given.cash_fen) == (2706800, 0, 106800)
    assert given.fund_payments is not None and given.fund_payments[0] == ("310100", 2600000)
    assert given.diagnoses is not None
    assert [(row.code, row.principal) for row in given.diagnoses] == [("I63.900", True), ("I10.x00x002", False)]
    assert given.procedures[0] == ("88.4101", "脑动脉造影", True, dt.date(2025, 1, 4), None)
    assert given.age_days_stated is None


def test_the_quick_way_and_the_careful_way_read_the_same():
    for raw in (line(), line(version=3, oprninfo=None, iteminfo=None), line(diseinfo=[], payinfo=[], psn_no="")):
        reading = slow(raw)
        assert reading.faults == []
        assert reading.given == only(raw).settlement_list
    spaced = json.dumps(MESSAGE, ensure_ascii=False).replace('":', '" :').encode()
    assert only(spaced).settlement_list == only(line()).settlement_list


def test_the_sound_line_takes_the_quick_way(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a sound line went the careful way")

    monkeypatch.setattr(reader, "read_line", refuse)
    icu = [{"scs_cutd_ward_type": "1", "scs_cutd_sum_dura": "1/13/24"}]
    assert only(line(icuinfo=icu, hi_no="x", oprninfo=[{"oprn_oprt_code": "1", "anst_way": "1"}])).settlement_list


def test_the_type_of_a_procedure_stands_in_for_a_missing_flag():
    rows = [{"oprn_oprt_code": "a", "oprn_oprt_type": "1", "oprn_oprt_date": "2025-01-05"}, {"oprn_oprt_type": "2"}, {}]
    given = only(line(oprninfo=rows)).settlement_list
    assert given is not None
    assert [row.main for row in given.procedures] == [True, False, None]
    assert given.procedures[0].begun_on == dt.date(2025, 1, 5)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"medfee_sumamt": 27068.5}, [("AMOUNT_NOT_TEXT", "medfee_sumamt")]),
        ({"medfee_sumamt": 27068}, [("AMOUNT_NOT_TEXT", "medfee_sumamt")]),
        ({"payinfo": [{"fund_pay_type": "310100", "fund_payamt": 1}]}, [("AMOUNT_NOT_TEXT", "payinfo[0].fund_payamt")]),
        ({"psn_selfpay": 1.5}, [("AMOUNT_NOT_TEXT", "psn_selfpay")]),
        ({"psn_selfpay": "abc"}, [("AMOUNT_MALFORMED", "psn_selfpay")]),
        ({"iteminfo": [{"amt": "1.00", "oth_amt": "1.234"}]}, [("AMOUNT_MALFORMED", "iteminfo[0].oth_amt")]),
        ({"acct_pay": "1e3"}, [("AMOUNT_MALFORMED", "acct_pay")]),
        ({"acct_pay": "1,000.00"}, [("AMOUNT_MALFORMED", "acct_pay")]),
        ({"acct_pay": "１.00"}, [("AMOUNT_MALFORMED", "acct_pay")]),
        ({"acct_pay": "1" * 30}, [("AMOUNT_MALFORMED", "acct_pay")]),
        ({"brdy": "1950/01/01"}, [("DATE_MALFORMED", "brdy")]),
        ({"brdy": "1950-02-30"}, [("DATE_MALFORMED", "brdy")]),
        ({"brdy": "19500101"}, [("DATE_MALFORMED", "brdy")]),
        ({"brdy": "1950-W01-1"}, [("DATE_MALFORMED", "brdy")]),
        ({"adm_time": "2025-01-03T25:00:00"}, [("DATE_MALFORMED", "adm_time")]),
        ({"adm_time": "2025-01-03T08:00:00Z"}, [("DATE_MALFORMED", "adm_time")]),
        ({"adm_time": "2025-01-03T08:00:00"}, []),
        ({"adm_time": "2025-01-03 08:00"}, []),
        ({"setl_id": 5}, [("WRONG_TYPE", "setl_id")]),
        ({"setl_id": True}, [("WRONG_TYPE", "setl_id")]),
        ({"age": "75"}, [("WRONG_TYPE", "age")]),
        ({"age": 75.5}, [("WRONG_TYPE", "age")]),
        ({"age": 151}, [("NUMBER_OUT_OF_RANGE", "age")]),
        ({"age": -1}, [("NUMBER_OUT_OF_RANGE", "age")]),
        ({"version": 0}, [("NUMBER_OUT_OF_RANGE", "version")]),
        ({"version": 10**4000}, [("NUMBER_OUT_OF_RANGE", "version")]),
        ({"setl_id": "x" * 31}, [("TEXT_TOO_LONG", "setl_id")]),
        ({"diseinfo": [{"diag_code": "A", "maindiag_flag": "Y"}]}, [("FLAG_UNKNOWN", "diseinfo[0].maindiag_flag")]),
        ({"diseinfo": {}}, [("WRONG_TYPE", "diseinfo")]),
        ({"diseinfo": [1]}, [("WRONG_TYPE", "diseinfo[0]")]),
        ({"payinfo": [{}] * 51}, [("TOO_MANY_ENTRIES", "payinfo")]),
        ({"psn_no": "a\0b"}, [("NUL_CHARACTER", "psn_no")]),
        ({"hi_no": "a\0b"}, [("NUL_CHARACTER", "hi_no")]),
        ({"medcasnr": "R1"}, [("UNKNOWN_FIELD", "medcasnr")]),
        ({"diseinfo": [{"diag_cod": "A"}]}, [("UNKNOWN_FIELD", "diseinfo[0].diag_cod")]),
        ({"naty": {"deep": {"text": "\0"}}}, [("NUL_CHARACTER", "naty.deep.text")]),
    ],
)
def test_each_fault_of_form_has_its_code_and_path(changes: dict[str, Any], expected: list[tuple[str, str]]):
    row = only(line(**changes))
    assert found(row) == expected
    assert row.settlement_list is not None


def test_every_fault_of_a_list_is_named_at_once_and_the_sound_fields_are_read():
    row = only(
        line(
            medfee_sumamt=1.5,
            brdy="x",
            age="75",
            strange=1,
            diseinfo=[{"diag_code": "I63.900", "maindiag_flag": "1"}, 7, {"diag_code": 5, "maindiag_flag": "2"}],
        )
    )
    assert sorted(found(row)) == sorted(
        [
            ("DATE_MALFORMED", "brdy"),
            ("WRONG_TYPE", "age"),
            ("WRONG_TYPE", "diseinfo[1]"),
            ("WRONG_TYPE", "diseinfo[2].diag_code"),
            ("FLAG_UNKNOWN", "diseinfo[2].maindiag_flag"),
            ("AMOUNT_NOT_TEXT", "medfee_sumamt"),
            ("UNKNOWN_FIELD", "strange"),
        ]
    )
    given = row.settlement_list
    assert given is not None
    assert (given.setl_id, given.total_fen, given.birth_date, given.cash_fen) == ("S1", None, None, 106800)
    assert given.diagnoses is not None and len(given.diagnoses) == 3
    assert {"medfee_sumamt", "brdy", "age", "diseinfo[1].diag_code", "diseinfo[2].diag_code"} <= given.unread
    assert "psn_cashpay" not in given.unread


def test_the_words_say_what_was_seen_and_what_to_do():
    (fault,) = only(line(medfee_sumamt=27068.50)).faults
    assert fault.saw == "27068.5"
    assert fault.zh == "金额 medfee_sumamt 写成了数字 27068.5；金额必须是字符串。"
    assert fault.en == "The amount medfee_sumamt is the number 27068.5; amounts must be text."
    assert fault.remedy_zh == '请写成带引号的十进制文本，例如 "27068.00"。'
    own = line().replace(b'"27068.00","payinfo"', b'27068.10,"payinfo"')
    assert only(own).faults[0].saw == "27068.10"  # The number's own text, never through a float.


def test_personal_text_is_not_repeated_in_a_fault():
    (fault,) = only(line(certno="4" * 60)).faults
    assert (fault.code, fault.saw) == ("TEXT_TOO_LONG", "***")


def test_a_repeated_key_is_refused_and_neither_value_is_chosen():
    raw = line()[:-1] + b',"acct_pay":"9.00"}'
    row = only(raw)
    assert found(row) == [("DUPLICATE_KEY", "acct_pay")]
    assert row.settlement_list is not None and row.settlement_list.account_fen is None
    inner = line().replace(b'"diag_code":"I63.900"', b'"diag_code":"I63.900","diag_code":"I64.x00"')
    assert found(only(inner)) == [("DUPLICATE_KEY", "diseinfo[0].diag_code")]
    masked = line()[:-1] + b',"acct_pay" :"9.00"}'
    assert found(only(masked)) == [("DUPLICATE_KEY", "acct_pay")]
    hidden = line().replace(b'"acct_pay":', b'"acct_pay":"1.00","acct_\\u0070ay" :')
    assert found(only(hidden)) == [("DUPLICATE_KEY", "acct_pay")]
    carried = line(icuinfo=[{"a": "1"}]).replace(b'{"a":"1"}', b'{"a":"1","a":"2"}')
    assert found(only(carried)) == [("DUPLICATE_KEY", "icuinfo[0].a")]


@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity"])
def test_what_is_no_number_is_refused(word: bytes):
    row = only(line().replace(b'"age":75', b'"age":' + word))
    assert found(row) == [("NUMBER_NOT_FINITE", "age")]
    assert row.faults[0].saw == word.decode()


def test_half_a_character_is_refused_and_a_whole_one_is_not():
    row = only(line().replace("合成患者0001".encode(), b"\\ud83d"))
    assert found(row) == [("LONE_SURROGATE", "psn_name")]
    assert "\ud83d" not in row.faults[0].saw
    whole = only(line().replace("合成患者0001".encode(), b"\\ud842\\udfb7"))
    assert whole.faults == ()
    assert whole.settlement_list is not None and whole.settlement_list.person_name == "𠮷"


def test_other_encodings_are_named_with_the_place_of_the_first_foreign_byte():
    before = line() + b"\n"
    chinese = line().decode().encode("gb18030")
    foreign = len(before) + chinese.index("合".encode("gb18030"))
    rows = list(parse_part(before + chinese + b"\n" + line(setl_id="S3") + b"\n"))
    assert [found(row) for row in rows] == [
        [],
        [("ENCODING_NOT_UTF8", f"byte {foreign}")],
        [],
    ]
    assert "GB18030" in rows[1].faults[0].zh
    assert rows[2].row_no == 3
    assert rows[2].offset == len(before) + len(chinese) + 1


@pytest.mark.parametrize(
    ("part", "guess"),
    [
        (line().decode().encode("utf-16"), "UTF-16"),
        (line().decode().encode("utf-16-le"), "UTF-16"),
        (b"PK\x03\x04rest\n\n", "ZIP/XLSX"),
        (b"\x1f\x8brest\n\n", "gzip"),
    ],
)
def test_a_part_that_is_no_utf8_text_is_refused_as_a_whole(part: bytes, guess: str):
    row = only(part)
    assert found(row) == [("ENCODING_NOT_UTF8", "byte 0")]
    assert guess in row.faults[0].en


def test_a_byte_order_mark_is_skipped_and_reported():
    rows = list(parse_part(b"\xef\xbb\xbf" + line() + b"\r\n" + line(setl_id="S2")))
    assert [found(row) for row in rows] == [[("BYTE_ORDER_MARK", "byte 0")], []]
    assert [row.offset for row in rows] == [3, 3 + len(line()) + 2]
    assert rows[0].length == len(line())


@pytest.mark.parametrize("cut", [1, 200, -1, -2, -3])
def test_an_upload_cut_short_is_told_from_a_broken_line(cut: int):
    row = only(line()[:cut])
    assert found(row) == [("TRUNCATED_LINE", "")]
    assert row.settlement_list is None
    ended = only(line()[:cut] + b"\n")
    assert [code for code, _ in found(ended)] == ["NOT_JSON"]


def test_a_cut_inside_a_character_is_a_cut():
    end = line().index("者".encode()) + 1
    assert found(only(line()[:end])) == [("TRUNCATED_LINE", "")]


@pytest.mark.parametrize(
    ("raw", "kind"), [(b"[1]", "数组"), (b'"x"', "文本"), (b"1", "整数"), (b"null", "空值"), (b"1.5", "小数")]
)
def test_a_line_that_is_no_object(raw: bytes, kind: str):
    row = only(raw)
    assert found(row) == [("NOT_AN_OBJECT", "")]
    assert row.faults[0].zh == f"本行不是 JSON 对象，而是{kind}。"


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("levels", [20, 200_000])
def test_deep_nesting_is_refused_without_harm(opening: bytes, levels: int):
    raw = b'{"naty":' + (opening * levels)[:900_000]
    assert found(only(raw)) == [("NESTING_TOO_DEEP", "")]
    closed = line(naty=json.loads("[" * 20 + "]" * 20))
    assert found(only(closed)) == [("NESTING_TOO_DEEP", "")]


def test_brackets_in_text_are_not_nesting():
    row = only(line(psn_name="[" * 40 + "\\"))
    assert row.faults == ()


def test_a_line_too_long_is_counted_and_not_kept():
    part = b"x" * 150 + b"\n" + b'{"setl_id":"S2"}\n'
    rows = list(parse_part([part[:40], part[40:155], part[155:]], max_line_bytes=100))
    assert [(row.row_no, row.offset, row.length) for row in rows] == [(1, 0, 150), (2, 151, 16)]
    assert found(rows[0]) == [("LINE_TOO_LONG", "")]
    assert rows[0].raw == b""
    assert rows[1].settlement_list is not None and rows[1].settlement_list.setl_id == "S2"
    assert [found(row) for row in parse_part(b"x" * 101, max_line_bytes=100)] == [[("LINE_TOO_LONG", "")]]
    assert [found(row) for row in parse_part(line(), max_line_bytes=len(line()))] == [[]]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_rows_do_not_depend_on_how_the_bytes_arrive(size: int):
    part = b"\xef\xbb\xbf" + line() + b"\n\n  \r\n" + line(setl_id="S2", age="x") + b"\r\n" + line(setl_id="S3")[:-5]
    chunks = [part[at : at + size] for at in range(0, len(part), size)]
    whole = list(parse_part(part))
    assert list(parse_part(chunks)) == whole
    assert [row.row_no for row in whole] == [1, 4, 5]
    assert [part[row.offset : row.offset + row.length] for row in whole] == [row.raw for row in whole]


def test_faults_of_one_line_are_bounded():
    row = only(line(**{f"strange_{place}": 1 for place in range(1000)}))
    assert len(row.faults) == 200


def test_a_hostile_line_is_read_in_linear_time():
    assert found(only(b'{"naty":"' + b'\\"' * 400_000)) == [("TRUNCATED_LINE", "")]


def test_an_empty_part_has_no_rows():
    assert list(parse_part(b"")) == []
    assert list(parse_part([b"", b"\n", b"\n"])) == []


def test_memory_stays_bounded():
    def chunks() -> Iterator[bytes]:
        piece = (line() + b"\n") * 40
        for _ in range(60):
            yield piece
        for _ in range(60):
            yield b"y" * 60_000

    tracemalloc.start()
    try:
        rows = sum(1 for _ in parse_part(chunks()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows == 2401
    assert peak < 6_000_000
