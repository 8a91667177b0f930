"""The words of the rules that hold one part of a list against another (证据一致性规则文本)."""

from __future__ import annotations

from fenzhi.rules.submission.verdict import Dimension, Severity, VerdictText

_ACCURATE = Dimension.ACCURATE
_WARNING = Severity.WARNING

EVIDENCE_TEXTS: tuple[VerdictText, ...] = (
    VerdictText(
        "DIAGNOSIS_PROCEDURE_MISMATCH",
        "Q09",
        _ACCURATE,
        _WARNING,
        "手术操作 {coded} 须有诊断 {wanted} 之一，清单没有。",
        "Procedure {coded} goes with one of the diagnoses {wanted}; the list has none.",
        "核对手术操作编码，或补填相应诊断。",
        "Check the procedure, or state the diagnosis it was done for.",
    ),
    VerdictText(
        "DIAGNOSIS_COST_MISMATCH",
        "Q09",
        _ACCURATE,
        _WARNING,
        "主要诊断 {coded} 的总费用 {amount} 元不在 {limits} 元之内。",
        "A total of {amount} yuan for the principal diagnosis {coded} is outside {limits}.",
        "核对主要诊断与费用。",
        "Check the principal diagnosis and the charges.",
    ),
    VerdictText(
        "DURATION_UNREADABLE",
        "Q11",
        _ACCURATE,
        _WARNING,
        "时长“{duration}”不是“天/小时/分钟”。",
        "'{duration}' is no duration of days/hours/minutes.",
        "按“天/小时/分钟”填写，如 1/13/24；小时小于 24，分钟小于 60。",
        "Write days/hours/minutes, such as 1/13/24, with hours below 24 and minutes below 60.",
    ),
    VerdictText(
        "DURATION_BEYOND_STAY",
        "Q11",
        _ACCURATE,
        _WARNING,
        "时长 {duration} 超过住院 {days} 天。",
        "A duration of {duration} is longer than a stay of {days} days.",
        "核对呼吸机、重症监护时长与出入院时间。",
        "Check the duration and the dates of the stay.",
    ),
    VerdictText(
        "PROCEDURE_WITHOUT_SURGERY_CHARGE",
        "Q14",
        _ACCURATE,
        _WARNING,
        "有手术操作 {coded}，没有手术费，疑高套手术。",
        "Procedure {coded} and no surgery charge: it may not have been done.",
        "核对手术记录与收费；未实施的请删除编码。",
        "Check the record and the charges; take the code out if it was not done.",
    ),
    VerdictText(
        "COMPLICATION_WITHOUT_DIAGNOSIS",
        "Q19",
        _ACCURATE,
        _WARNING,
        "标记为 {mark}，没有相应的并发症诊断。",
        "Marked {mark}, and no diagnosis is one.",
        "补填并发症诊断，或更正标记。",
        "State the diagnosis, or correct the mark.",
    ),
    VerdictText(
        "PROCEDURE_ANAESTHESIA_MISMATCH",
        "Q29",
        _ACCURATE,
        _WARNING,
        "手术操作 {coded} 的麻醉方式 {way} 不在 {allowed} 之内；病例冻结，待医保部门核实后恢复。",
        "Procedure {coded} under anaesthesia {way}, which is none of {allowed}; the case is held until a bureau releases it.",
        "核对手术操作与麻醉方式；有误的更正后重报，无误的向医保部门说明。",
        "Check procedure and anaesthesia; correct and submit again, or explain to the bureau.",
    ),
    VerdictText(
        "CHECK_NOT_JUDGED",
        "Q24",
        _ACCURATE,
        _WARNING,
        "无法判定 {check}：{missing}。",
        "{check} cannot be judged: {missing_en}.",
        "补齐所缺数据后重新判定；清单未因此通过或不通过。",
        "Supply what is missing; the list neither passed nor failed by this.",
        judged=False,
    ),
)
