"""Who may do what (角色与职责).

A `Role` is what a membership grants in one tenant. A `Duty` is one kind of act. The table below is the only place that
joins them; the API, the services and the probes all read it.
"""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A role in one tenant (角色). The value is what tokens and the CLI carry."""

    OPERATOR_ADMIN = "operator_admin"  # 平台运营管理员
    PROVINCE_CATALOG_EDITOR = "province_catalog_editor"  # 省目录编辑
    PROVINCE_CATALOG_APPROVER = "province_catalog_approver"  # 省目录审批
    PROVINCE_ANALYST = "province_analyst"  # 省数据分析（去标识）
    CITY_SETTLEMENT_CLERK = "city_settlement_clerk"  # 市结算经办
    CITY_SETTLEMENT_APPROVER = "city_settlement_approver"  # 市结算审批
    COUNTY_AUDITOR = "county_auditor"  # 县审核
    COUNTY_SETTLEMENT_CLERK = "county_settlement_clerk"  # 县结算经办（受委托）
    COUNTY_SETTLEMENT_APPROVER = "county_settlement_approver"  # 县结算审批（受委托）
    HOSPITAL_SUBMITTER = "hospital_submitter"  # 医院上报
    HOSPITAL_VIEWER = "hospital_viewer"  # 医院查询
    INTEGRATION_DEVELOPER = "integration_developer"  # 接口开发（仅沙箱租户）
    PROVINCE_AUDIT_ADMINISTRATOR = "province_audit_administrator"  # 省审计管理员（不兼任）
    CITY_AUDIT_ADMINISTRATOR = "city_audit_administrator"  # 市审计管理员（不兼任）


class TenantKind(StrEnum):
    """A level of the tenant tree (租户层级)."""

    OPERATOR = "operator"
    PROVINCE = "province"
    CITY = "city"
    COUNTY = "county"
    HOSPITAL = "hospital"


class Duty(StrEnum):
    """One kind of act (职责). Services ask for a scope by naming the duty."""

    ONBOARD_TENANTS = "onboard_tenants"  # 租户与账号开通
    READ_REGISTRY = "read_registry"  # 查机构登记
    EDIT_REGISTRY = "edit_registry"  # 维护等级、系数、协议
    READ_CATALOG = "read_catalog"  # 查目录
    EDIT_CATALOG = "edit_catalog"  # 编制目录
    APPROVE_CATALOG = "approve_catalog"  # 审批发布目录
    EDIT_OVERLAY = "edit_overlay"  # 编制市级调整
    APPROVE_OVERLAY = "approve_overlay"  # 审批市级调整
    READ_POLICY = "read_policy"  # 查政策参数
    PROPOSE_PROVINCE_POLICY = "propose_province_policy"
    APPROVE_PROVINCE_POLICY = "approve_province_policy"
    PROPOSE_AREA_POLICY = "propose_area_policy"
    APPROVE_AREA_POLICY = "approve_area_policy"
    SUBMIT_LISTS = "submit_lists"  # 上报结算清单
    IMPORT_HISTORY = "import_history"  # 导入历史病例
    READ_SUBMISSION = "read_submission"  # 查上报与校验
    READ_CASES = "read_cases"  # 查病例（去标识）
    READ_FUND = "read_fund"  # 查预算与点值
    PROPOSE_BUDGET = "propose_budget"
    APPROVE_BUDGET = "approve_budget"
    START_CLEARING = "start_clearing"  # 发起预结算、清算
    APPROVE_CLEARING = "approve_clearing"  # 审批、公布
    READ_CLEARING = "read_clearing"  # 查结算单
    ANSWER_STATEMENT = "answer_statement"  # 确认年度结算单或提出异议
    ENTER_YEAR = "enter_year"  # 录入考核结果、期初余额、往年应收、预付金
    APPROVE_YEAR = "approve_year"
    RECORD_PAYMENT = "record_payment"  # 登记拨付
    RECORD_DEDUCTION = "record_deduction"  # 登记审核扣款
    APPROVE_DEDUCTION = "approve_deduction"
    DRAFT_SCORECARD = "draft_scorecard"
    APPROVE_SCORECARD = "approve_scorecard"
    READ_SCORECARD = "read_scorecard"  # 查考核评价
    READ_JOBS = "read_jobs"  # 查作业进度
    READ_AUDIT = "read_audit"  # 查审计
    REVEAL_PERSONAL = "reveal_personal"  # 查看个人信息（逐例留痕）


_R = Role
_BUREAU_READERS = frozenset({_R.CITY_SETTLEMENT_CLERK, _R.CITY_SETTLEMENT_APPROVER})
_COUNTY = frozenset({_R.COUNTY_AUDITOR, _R.COUNTY_SETTLEMENT_CLERK, _R.COUNTY_SETTLEMENT_APPROVER})
_HOSPITAL = frozenset({_R.HOSPITAL_SUBMITTER, _R.HOSPITAL_VIEWER, _R.INTEGRATION_DEVELOPER})
_CATALOG = frozenset({_R.PROVINCE_CATALOG_EDITOR, _R.PROVINCE_CATALOG_APPROVER})
_PROVINCE = _CATALOG | {_R.PROVINCE_ANALYST}
_EVERY_TENANT = _PROVINCE | _BUREAU_READERS | _COUNTY | _HOSPITAL

ROLES_OF_DUTY: dict[Duty, frozenset[Role]] = {
    Duty.ONBOARD_TENANTS: frozenset({_R.OPERATOR_ADMIN}),
    Duty.READ_REGISTRY: _EVERY_TENANT | {_R.OPERATOR_ADMIN},
    Duty.EDIT_REGISTRY: frozenset({_R.CITY_SETTLEMENT_CLERK}),
    Duty.READ_CATALOG: _EVERY_TENANT,
    Duty.EDIT_CATALOG: frozenset({_R.PROVINCE_CATALOG_EDITOR}),
    Duty.APPROVE_CATALOG: frozenset({_R.PROVINCE_CATALOG_APPROVER}),
    Duty.EDIT_OVERLAY: frozenset({_R.CITY_SETTLEMENT_CLERK}),
    Duty.APPROVE_OVERLAY: frozenset({_R.CITY_SETTLEMENT_APPROVER}),
    Duty.READ_POLICY: _EVERY_TENANT,
    Duty.PROPOSE_PROVINCE_POLICY: frozenset({_R.PROVINCE_CATALOG_EDITOR}),
    Duty.APPROVE_PROVINCE_POLICY: frozenset({_R.PROVINCE_CATALOG_APPROVER}),
    Duty.PROPOSE_AREA_POLICY: frozenset({_R.CITY_SETTLEMENT_CLERK}),
    Duty.APPROVE_AREA_POLICY: frozenset({_R.CITY_SETTLEMENT_APPROVER}),
    Duty.SUBMIT_LISTS: frozenset({_R.HOSPITAL_SUBMITTER, _R.INTEGRATION_DEVELOPER}),
    Duty.IMPORT_HISTORY: frozenset({_R.CITY_SETTLEMENT_CLERK}),
    Duty.READ_SUBMISSION: _BUREAU_READERS | _COUNTY | _HOSPITAL,
    Duty.READ_CASES: _PROVINCE | _BUREAU_READERS | _COUNTY | _HOSPITAL,
    Duty.READ_FUND: _BUREAU_READERS | {_R.PROVINCE_ANALYST},
    Duty.PROPOSE_BUDGET: frozenset({_R.CITY_SETTLEMENT_CLERK}),
    Duty.APPROVE_BUDGET: frozenset({_R.CITY_SETTLEMENT_APPROVER}),
    Duty.START_CLEARING: frozenset({_R.CITY_SETTLEMENT_CLERK}),
    Duty.APPROVE_CLEARING: frozenset({_R.CITY_SETTLEMENT_APPROVER}),
    Duty.READ_CLEARING: _BUREAU_READERS | _COUNTY | _HOSPITAL | {_R.PROVINCE_ANALYST},
    Duty.ANSWER_STATEMENT: frozenset({_R.HOSPITAL_SUBMITTER}),
    Duty.ENTER_YEAR: frozenset({_R.CITY_SETTLEMENT_CLERK}),
    Duty.APPROVE_YEAR: frozenset({_R.CITY_SETTLEMENT_APPROVER}),
    Duty.RECORD_PAYMENT: frozenset({_R.CITY_SETTLEMENT_CLERK, _R.COUNTY_SETTLEMENT_CLERK}),
    Duty.RECORD_DEDUCTION: frozenset({_R.COUNTY_AUDITOR, _R.CITY_SETTLEMENT_CLERK}),
    Duty.APPROVE_DEDUCTION: frozenset({_R.COUNTY_SETTLEMENT_APPROVER, _R.CITY_SETTLEMENT_APPROVER}),
    Duty.DRAFT_SCORECARD: frozenset({_R.CITY_SETTLEMENT_CLERK}),
    Duty.APPROVE_SCORECARD: frozenset({_R.CITY_SETTLEMENT_APPROVER}),
    Duty.READ_SCORECARD: _BUREAU_READERS | _COUNTY | _HOSPITAL | {_R.PROVINCE_ANALYST},
    Duty.READ_JOBS: _EVERY_TENANT,
    Duty.READ_AUDIT: frozenset({_R.PROVINCE_AUDIT_ADMINISTRATOR, _R.CITY_AUDIT_ADMINISTRATOR}),
    Duty.REVEAL_PERSONAL: _BUREAU_READERS | {_R.HOSPITAL_SUBMITTER},
}

KIND_OF_ROLE: dict[Role, TenantKind] = {
    _R.OPERATOR_ADMIN: TenantKind.OPERATOR,
    **dict.fromkeys(_PROVINCE, TenantKind.PROVINCE),
    **dict.fromkeys(_BUREAU_READERS, TenantKind.CITY),
    **dict.fromkeys(_COUNTY, TenantKind.COUNTY),
    **dict.fromkeys(_HOSPITAL, TenantKind.HOSPITAL),
    _R.PROVINCE_AUDIT_ADMINISTRATOR: TenantKind.PROVINCE,
    _R.CITY_AUDIT_ADMINISTRATOR: TenantKind.CITY,
}

EXCLUSIVE_ROLES: frozenset[Role] = frozenset(role for role in Role if role.value.endswith("_administrator"))
"""Roles whose holder holds no other, in no tenant (不兼任角色). A trigger on `membership` knows them by the same ending."""

MONEY_DUTIES: frozenset[Duty] = frozenset(
    {Duty.APPROVE_BUDGET, Duty.APPROVE_CLEARING, Duty.RECORD_PAYMENT, Duty.APPROVE_YEAR}
)
"""Duties that move money (资金职责): audited at every act."""
