"""Full settlement lists (完整结算清单): a synthetic list with every node of the national message, some 6 KB of it.

What is added is carried, not judged: the verdict of a full list is that of the list it was made from. All of it is made up.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import msgspec

from fenzhi.cli.synthetic.message import wire_line
from fenzhi.rules.quantities import fen_from_yuan, yuan_from_fen

_TEXTS = {
    "fixmedins_name": "合成省合成市第一人民医院（构造机构）",
    "naty": "01",
    "ntly": "CHN",
    "prfs": "90",
    "curr_addr": "合成省合成市东城区人民路一百二十三号和平小区十二号楼三单元四零二室",
    "emp_name": "合成市机械制造有限责任公司第二分厂",
    "emp_addr": "合成省合成市工业园区创业大道八十八号综合办公楼三层",
    "emp_tel": "037100000000",
    "poscode": "450000",
    "coner_name": "合成联系人",
    "coner_addr": "合成省合成市东城区人民路一百二十三号和平小区十二号楼三单元四零二室",
    "coner_tel": "13800000000",
    "patn_rlts": "1",
    "patn_cert_type": "01",
    "adm_way": "2",
    "adm_caty": "A03.06",
    "adm_dept_codg": "A030600",
    "adm_dept_name": "神经内科一病区",
    "dscg_caty": "A03.06",
    "dscg_dept_codg": "A030600",
    "dscg_dept_name": "神经内科一病区",
    "ipt_med_type": "1",
    "trt_type": "10",
    "hi_no": "SYNHI000000000001",
    "hi_paymtd": "3",
    "hi_setl_lv": "1",
    "hsorg": "合成市医疗保障局基金中心",
    "hsorg_opter": "SYN001",
    "chfpdr_code": "D410100000001",
    "chfpdr_name": "合成医师甲",
    "resp_nurs_code": "N410100000001",
    "medins_fill_dept": "病案信息管理科",
    "medins_fill_psn": "合成编码员",
    "bill_code": "41010125",
    "bill_no": "0000000001",
    "otp_wm_dise": "脑梗死",
    "wm_dise_code": "I63.900",
    "otp_tcm_dise": "中风病",
    "tcm_dise_code": "A07.01.01",
    "maindiag_flag": "1",
    "days_rinp_flag_31": "1",
    "spga_nurscare_days": "0",
    "lv1_nurscare_days": "2",
    "scd_nurscare_days": "4",
    "lv3_nurscare_days": "0",
    "vent_used_dura": "0/0/0",
    "pwcry_bfadm_coma_dura": "0/0/0",
    "pwcry_afadm_coma_dura": "0/0/0",
    "bld_cat": "3",
    "bld_amt": "2.0",
    "bld_unt": "2",
}
_CLASSES = ("01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14")


def full(message: dict[str, Any], number: int) -> dict[str, Any]:
    """A list with every node filled (补全清单): its own words stand, its items are split further and still add up to its total."""
    chance = random.Random(f"full:{message['setl_id']}:{number}")
    admitted, discharged = message["adm_time"], message["dscg_time"]
    added: dict[str, Any] = dict(_TEXTS) | {
        "biz_sn": f"BIZ{number:020d}",
        "setl_list_sn": f"SN{number:020d}",
        "opspdiseinfo": [
            {
                "diag_name": "高血压病3级（极高危）",
                "diag_code": "I10.x00x002",
                "oprn_oprt_name": "无",
                "oprn_oprt_code": "-",
            }
            for _ in range(4)
        ],
        "icuinfo": [
            {
                "scs_cutd_ward_type": "1",
                "scs_cutd_inpool_time": f"{admitted[:10]} 08:00:00",
                "scs_cutd_exit_time": f"{discharged[:10]} 09:30:00",
                "scs_cutd_sum_dura": "0/1/30",
            }
            for _ in range(4)
        ],
        "bldinfo": [{"bld_cat": "3", "bld_amt": "2.0", "bld_unt": "2"} for _ in range(6)],
    }
    operations = [
        {
            **row,
            "oper_dr_name": "合成手术医师",
            "oper_dr_code": "D410100000002",
            "anst_dr_name": "合成麻醉医师",
            "anst_dr_code": "D410100000003",
            "anst_way": "01",
        }
        for row in message["oprninfo"]
    ]
    return {**added, **message, "oprninfo": operations, "iteminfo": _items(message["iteminfo"], chance)}


def _items(items: list[dict[str, Any]], chance: random.Random) -> list[dict[str, Any]]:
    """The items over all charge classes, with the parts of each (收费项目明细): every sum as it was."""
    amounts = {row["med_chrgitm"]: row["amt"] for row in items}
    rows = []
    for item_class in sorted({*_CLASSES, *amounts}):
        amount = amounts.get(item_class, "0.00")
        fen = fen_from_yuan(amount)
        first = fen * chance.randrange(300, 900) // 1000 if fen > 0 else 0
        rows.append(
            {
                "med_chrgitm": item_class,
                "amt": amount,
                "claa_sumfee": yuan_from_fen(first),
                "clab_amt": yuan_from_fen(max(fen, 0) - first),
                "fulamt_ownpay_amt": "0.00",
                "oth_amt": "0.00",
            }
        )
    return rows


def full_lines(lines: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Wire lines as full ones (补全各行); a line that is deliberately no list stays as it is."""
    for number, (hospital, line) in enumerate(lines, 1):
        try:
            message = msgspec.json.decode(line)
            yield hospital, wire_line(full(message, number))
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError):
            yield hospital, line


def national_input(message: dict[str, Any]) -> dict[str, Any]:
    """A canonical list as the `input` of transaction 4101A (国家接口报文内容), payers and items with it."""
    nodes = ("diseinfo", "oprninfo", "opspdiseinfo", "icuinfo", "bldinfo", "payinfo", "iteminfo")
    setlinfo = {name: value for name, value in message.items() if name not in (*nodes, "version") and value is not None}
    setlinfo |= {"hi_type": setlinfo.pop("insutype"), "insuplc": setlinfo.pop("insu_admdvs")}
    return {"setlinfo": setlinfo, **{node: message.get(node, []) for node in nodes}}
