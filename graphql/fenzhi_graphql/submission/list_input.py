"""A settlement list given field by field (清单录入), turned into the canonical line that an upload would carry.

What is given travels as it was given: values are judged by the same rules as uploaded lists, so amounts and dates are text here too.
"""

from __future__ import annotations

import dataclasses

import msgspec
import strawberry

from fenzhi_graphql.submission.carried_input import CarriedFields, kept


@strawberry.input(description="A diagnosis of a list (住院诊断).")
class DiagnosisInput:
    diag_code: str = strawberry.field(description="Diagnosis code (诊断编码).")
    maindiag_flag: str = strawberry.field(description='"1" for the principal diagnosis, else "0" (主诊断标志).')
    diag_name: str | None = strawberry.field(default=None, description="Name (诊断名称).")
    adm_cond_type: str | None = strawberry.field(default=None, description="Condition on admission (入院病情).")
    diag_type: str | None = kept("Kind of diagnosis", "诊断类别")


@strawberry.input(description="A procedure of a list (手术操作).")
class ProcedureInput:
    oprn_oprt_code: str = strawberry.field(description="Procedure code (手术操作编码).")
    main_oprn_flag: str = strawberry.field(description='"1" for the main procedure, else "0" (主手术标志).')
    oprn_oprt_name: str | None = strawberry.field(default=None, description="Name (手术操作名称).")
    oprn_oprt_begntime: str | None = strawberry.field(
        default=None, description="Begin, a date or date-time (开始时间)."
    )
    oprn_oprt_endtime: str | None = kept("End, a date or date-time", "手术操作结束时间")
    oprn_oprt_date: str | None = kept("Day, where the begin is not known", "手术操作日期")
    oprn_oprt_type: str | None = kept("1 main, 2 other", "手术操作类别")
    anst_way: str | None = kept("Anaesthesia, judged by Q07", "麻醉方式")
    anst_begntime: str | None = kept("Begin of the anaesthesia", "麻醉开始时间")
    anst_endtime: str | None = kept("End of the anaesthesia", "麻醉结束时间")
    oper_dr_name: str | None = kept("Operating physician", "术者医师姓名")
    oper_dr_code: str | None = kept("Code of the operating physician", "术者医师代码")
    anst_dr_name: str | None = kept("Anaesthetist", "麻醉医师姓名")
    anst_dr_code: str | None = kept("Code of the anaesthetist", "麻醉医师代码")


@strawberry.input(description="What one fund paid (基金支付).")
class FundPaymentInput:
    fund_pay_type: str = strawberry.field(description="National code of the fund (基金支付类型).")
    fund_payamt: str = strawberry.field(description='Amount in yuan as text, such as "27068.00" (支付金额).')


@strawberry.input(description="One charge class (收费项目).")
class ChargeItemInput:
    med_chrgitm: str = strawberry.field(description="National code of the charge class (收费项目).")
    amt: str = strawberry.field(description="Amount in yuan as text (金额).")
    claa_sumfee: str | None = kept("Class A in yuan", "甲类费用合计")
    clab_amt: str | None = kept("Class B in yuan", "乙类金额")
    fulamt_ownpay_amt: str | None = kept("Wholly paid by the person, yuan", "全自费金额")
    oth_amt: str | None = kept("Other, yuan", "其他金额")


@strawberry.input(description="One settlement list in national field names; amounts are yuan as text (结算清单).")
class SettlementListInput(CarriedFields):
    setl_id: str = strawberry.field(description="Settlement id (结算号).")
    fixmedins_code: str = strawberry.field(description="Institution code (机构编号).")
    insutype: str = strawberry.field(description="Insurance type, such as 310 (险种类型).")
    psn_no: str = strawberry.field(description="Number of the insured person (人员编号).")
    gend: str = strawberry.field(description="Sex (性别).")
    brdy: str = strawberry.field(description="Date of birth (出生日期).")
    adm_time: str = strawberry.field(description="Admission (入院时间).")
    dscg_time: str = strawberry.field(description="Discharge (出院时间).")
    setl_end_date: str = strawberry.field(description="End of the settlement (结算结束日期).")
    diseinfo: list[DiagnosisInput] = strawberry.field(description="Diagnoses (诊断信息).")
    medfee_sumamt: str = strawberry.field(description="Total cost in yuan (医疗总费用).")
    payinfo: list[FundPaymentInput] = strawberry.field(description="Payments of funds (基金支付).")
    acct_pay: str = strawberry.field(description="Paid from the personal account (个人账户支付).")
    psn_cashpay: str = strawberry.field(description="Paid in cash (个人现金支付).")
    version: int = strawberry.field(default=1, description="Version; a correction takes a higher one (版本).")
    seg_no: int | None = strawberry.field(default=None, description="Segment of a continued stay (续段序号).")
    insu_admdvs: str | None = strawberry.field(default=None, description="Insured area (参保地区划).")
    mdtrt_id: str | None = strawberry.field(default=None, description="Visit id (就诊号).")
    medcasno: str | None = strawberry.field(default=None, description="Medical record number (病案号).")
    psn_name: str | None = strawberry.field(default=None, description="Name (姓名); stored encrypted.")
    certno: str | None = strawberry.field(default=None, description="Certificate number (证件号码); stored encrypted.")
    age: int | None = strawberry.field(default=None, description="Age in full years (年龄).")
    nwb_age: int | None = strawberry.field(default=None, description="Age in days below one year (不足一周岁年龄).")
    setl_begn_date: str | None = strawberry.field(default=None, description="Begin of the settlement (结算开始日期).")
    dcla_time: str | None = strawberry.field(default=None, description="Reporting time (申报时间).")
    act_ipt_days: int | None = strawberry.field(default=None, description="Length of stay in days (住院天数).")
    dscg_way: str | None = strawberry.field(default=None, description="Way of discharge (离院方式).")
    oprninfo: list[ProcedureInput] | None = strawberry.field(default=None, description="Procedures (手术操作信息).")
    iteminfo: list[ChargeItemInput] | None = strawberry.field(default=None, description="Charge classes (收费项目).")


def wire_line(given: SettlementListInput) -> bytes:
    """The canonical line of a list (规范报文行): fields in order, what was not given left out."""
    return msgspec.json.encode(_stated(dataclasses.asdict(given)))


def _stated(value: object) -> object:
    match value:
        case dict():
            return {name: _stated(inner) for name, inner in value.items() if inner is not None}
        case list():
            return [_stated(inner) for inner in value]
        case _:
            return value
