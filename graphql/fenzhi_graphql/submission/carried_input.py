"""Fields of a settlement list that are kept as given, few of them judged (清单其他字段): text, as the national message has them."""

from __future__ import annotations

from typing import Any

import strawberry


def kept(english: str, chinese: str) -> Any:
    """An optional field (可不填)."""
    return strawberry.field(default=None, description=f"{english} ({chinese}).")


@strawberry.input(
    description="A diagnosis and procedure of outpatient chronic and special disease (门诊慢特病诊断信息)."
)
class SpecialDiseaseInput:
    diag_name: str | None = kept("Name of the diagnosis", "诊断名称")
    diag_code: str | None = kept("Diagnosis code", "诊断代码")
    oprn_oprt_name: str | None = kept("Name of the procedure", "手术操作名称")
    oprn_oprt_code: str | None = kept("Procedure code", "手术操作代码")


@strawberry.input(description="A stay in intensive care (重症监护信息).")
class IntensiveCareInput:
    scs_cutd_ward_type: str | None = kept("Kind of ward", "重症监护病房类型")
    scs_cutd_inpool_time: str | None = kept("Entered, a date and time", "重症监护进入时间")
    scs_cutd_exit_time: str | None = kept("Left, a date and time", "重症监护退出时间")
    scs_cutd_sum_dura: str | None = kept("Length, days/hours/minutes", "重症监护合计时长")


@strawberry.input(description="A transfusion (输血信息).")
class TransfusionInput:
    bld_cat: str | None = kept("Kind of blood", "输血品种")
    bld_amt: str | None = kept("Amount", "输血量")
    bld_unt: str | None = kept("Unit", "输血计量单位")


@strawberry.input
class CarriedFields:
    """What every list may tell besides."""

    setl_list_sn: str | None = kept("Number of the list", "清单流水号")
    fixmedins_name: str | None = kept("Institution", "定点医药机构名称")
    hi_setl_lv: str | None = kept("Settlement level", "医保结算等级")
    hi_no: str | None = kept("Insurance number; stored encrypted", "医保编号")
    ntly: str | None = kept("Nationality", "国籍")
    naty: str | None = kept("Ethnic group", "民族")
    patn_cert_type: str | None = kept("Kind of certificate", "患者证件类别")
    prfs: str | None = kept("Occupation", "职业")
    curr_addr: str | None = kept("Address; stored encrypted", "现住址")
    emp_name: str | None = kept("Employer; stored encrypted", "单位名称")
    emp_addr: str | None = kept("Address of the employer; stored encrypted", "单位地址")
    emp_tel: str | None = kept("Telephone of the employer; stored encrypted", "单位电话")
    poscode: str | None = kept("Postcode", "邮编")
    coner_name: str | None = kept("Contact; stored encrypted", "联系人姓名")
    patn_rlts: str | None = kept("Relation to the patient", "与患者关系")
    coner_addr: str | None = kept("Address of the contact; stored encrypted", "联系人地址")
    coner_tel: str | None = kept("Telephone of the contact; stored encrypted", "联系人电话")
    sp_psn_type: str | None = kept("Special group of persons", "特殊人员类型")
    nwb_adm_type: str | None = kept("Kind of admission of a newborn", "新生儿入院类型")
    nwb_bir_wt: str | None = kept("Birth weight in grams", "新生儿出生体重，克")
    nwb_adm_wt: str | None = kept("Weight on admission in grams", "新生儿入院体重，克")
    mul_nwb_bir_wt: str | None = kept("Birth weights of several newborns", "多新生儿出生体重")
    mul_nwb_adm_wt: str | None = kept("Weights on admission of several newborns", "多新生儿入院体重")
    opsp_diag_caty: str | None = kept("Department of the chronic disease", "门诊慢特病诊断科别")
    opsp_mdtrt_date: str | None = kept("Day of the outpatient visit", "门诊慢特病就诊日期")
    ipt_med_type: str | None = kept("Kind of inpatient care", "住院医疗类型")
    adm_way: str | None = kept("Way of admission", "入院途径")
    trt_type: str | None = kept("Kind of treatment", "治疗类别")
    adm_caty: str | None = kept("Specialty on admission", "入院科别")
    adm_dept_codg: str | None = kept("Code of the department on admission", "入院科室编码")
    adm_dept_name: str | None = kept("Department on admission", "入院科室名称")
    refldept_dept: str | None = kept("Specialty moved to", "转科科别")
    dscg_caty: str | None = kept("Specialty on discharge", "出院科别")
    dscg_dept_codg: str | None = kept("Code of the department on discharge", "出院科室编码")
    dscg_dept_name: str | None = kept("Department on discharge", "出院科室名称")
    otp_wm_dise: str | None = kept("Outpatient diagnosis", "门（急）诊西医诊断")
    wm_dise_code: str | None = kept("Code of the outpatient diagnosis", "西医诊断疾病代码")
    otp_tcm_dise: str | None = kept("Outpatient diagnosis of Chinese medicine", "门（急）诊中医诊断")
    tcm_dise_code: str | None = kept("Code of the diagnosis of Chinese medicine", "中医诊断代码")
    diag_code_cnt: int | None = kept("How many diagnoses", "诊断代码计数")
    maindiag_flag: str | None = kept('Principal diagnosis given, "1" or "0"', "主诊断标志")
    oprn_oprt_code_cnt: int | None = kept("How many procedures", "手术操作代码计数")
    vent_used_dura: str | None = kept("Ventilator, days/hours/minutes", "呼吸机使用时长")
    pwcry_bfadm_coma_dura: str | None = kept("Coma before admission, days/hours/minutes", "颅脑损伤患者入院前昏迷时长")
    pwcry_afadm_coma_dura: str | None = kept("Coma after admission, days/hours/minutes", "颅脑损伤患者入院后昏迷时长")
    bld_cat: str | None = kept("Kind of blood", "输血品种")
    bld_amt: str | None = kept("Amount of blood", "输血量")
    bld_unt: str | None = kept("Unit of blood", "输血计量单位")
    spga_nurscare_days: str | None = kept("Days of special nursing", "特级护理天数")
    lv1_nurscare_days: str | None = kept("Days of first level nursing", "一级护理天数")
    scd_nurscare_days: str | None = kept("Days of second level nursing", "二级护理天数")
    lv3_nurscare_days: str | None = kept("Days of third level nursing", "三级护理天数")
    acp_medins_name: str | None = kept("Institution that takes over", "拟接收机构名称")
    acp_optins_code: str | None = kept("Code of the institution that takes over", "拟接收机构代码")
    bill_code: str | None = kept("Code of the bill", "票据代码")
    bill_no: str | None = kept("Number of the bill", "票据号码")
    biz_sn: str | None = kept("Number of the business", "业务流水号")
    days_rinp_flag_31: str | None = kept('Readmission within 31 days planned, "1" or "0"', "出院31天内再住院计划标志")
    days_rinp_pup_31: str | None = kept("Purpose of the readmission", "出院31天内再住院目的")
    chfpdr_name: str | None = kept("Chief physician", "主诊医师姓名")
    chfpdr_code: str | None = kept("Code of the chief physician", "主诊医师代码")
    resp_nurs_code: str | None = kept("Code of the nurse in charge", "责任护士代码")
    psn_selfpay: str | None = kept("Paid by the person within the catalogs, yuan", "个人自付")
    psn_ownpay: str | None = kept("Paid by the person outside the catalogs, yuan", "个人自费")
    hi_paymtd: str | None = kept("Mode of payment", "医保支付方式")
    hsorg: str | None = kept("Insurance agency", "医保机构")
    hsorg_opter: str | None = kept("Officer of the agency", "医保机构经办人")
    medins_fill_dept: str | None = kept("Department that filled the list in", "医疗机构填报部门")
    medins_fill_psn: str | None = kept("Who filled the list in", "医疗机构填报人")
    stas_type: str | None = kept("State of the list at its sender", "状态分类")
    chk_cont: str | None = kept("Contents of the check", "审核内容")
    ccmcc_flag: str | None = kept("Mark of complications, judged by Q19", "并发症合并症标志")
    opspdiseinfo: list[SpecialDiseaseInput] | None = kept(
        "Outpatient chronic and special disease", "门诊慢特病诊断信息"
    )
    icuinfo: list[IntensiveCareInput] | None = kept("Intensive care", "重症监护信息")
    bldinfo: list[TransfusionInput] | None = kept("Transfusions", "输血信息")
