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
    PROVINCE_SETTLEMENT_CLERK = "province_settlement_clerk"  # 省结算经办（区域间清算）
    PROVINCE_SETTLEMENT_APPROVER = "province_settlement_approver"  # 省结算审批
    PROVINCE_SYSTEM_ADMINISTRATOR = "province_system_administrator"  # 省系统管理员（三权分立）
    PROVINCE_SECURITY_ADMINISTRATOR = "province_security_administrator"  # 省安全管理员
    CITY_SETTLEMENT_CLERK = "city_settlement_clerk"  # 市结算经办
    CITY_SETTLEMENT_APPROVER = "city_settlement_approver"  # 市结算审批
    CITY_SYSTEM_ADMINISTRATOR = "city_system_administrator"  # 市系统管理员（三权分立）
    CITY_SECURITY_ADMINISTRATOR = "city_security_administrator"  # 市安全管理员
    COUNTY_AUDITOR = "county_auditor"  # 县审核
    COUNTY_SETTLEMENT_CLERK = "county_settlement_clerk"  # 县结算经办（受委托）
    COUNTY_SETTLEMENT_APPROVER = "county_settlement_approver"  # 县结算审批（受委托）
    HOSPITAL_DEPARTMENT = "hospital_department"  # 科室填报
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
    GIVE_OPINION = "give_opinion"  # 提出病种意见
    EDIT_OVERLAY = "edit_overlay"  # 编制市级调整
    APPROVE_OVERLAY = "approve_overlay"  # 审批市级调整
    READ_POLICY = "read_policy"  # 查政策参数
    PROPOSE_PROVINCE_POLICY = "propose_province_policy"
    APPROVE_PROVINCE_POLICY = "approve_province_policy"
    PROPOSE_AREA_POLICY = "propose_area_policy"
    APPROVE_AREA_POLICY = "approve_area_policy"
    SUBMIT_LISTS = "submit_lists"  # 上报结算清单
    FILE_LISTS = "file_lists"  # 填报清单（未提交）
    RETURN_LISTS = "return_lists"  # 审核、退回清单
    IMPORT_RECORDS = "import_records"  # 导入结算记录
    REGISTER_MESSAGE_KEYS = "register_message_keys"  # 登记报文签名密钥
    IMPORT_HISTORY = "import_history"  # 导入历史病例
    READ_SUBMISSION = "read_submission"  # 查上报与校验
    READ_CASES = "read_cases"  # 查病例（去标识）
    READ_FUND = "read_fund"  # 查预算与点值
    READ_BOOKS = "read_books"  # 查总账；县只见本县机构
    PROPOSE_BUDGET = "propose_budget"
    APPROVE_BUDGET = "approve_budget"
    START_CLEARING = "start_clearing"  # 发起预结算、清算
    APPROVE_CLEARING = "approve_clearing"  # 审批、公布
    READ_CLEARING = "read_clearing"  # 查结算单
    ANSWER_STATEMENT = "answer_statement"  # 确认年度结算单或提出异议
    CLEAR_BETWEEN_AREAS = "clear_between_areas"  # 拟定区域间异地就医清算
    APPROVE_BETWEEN_AREAS = "approve_between_areas"  # 公布区域间清算
    READ_BETWEEN_AREAS = "read_between_areas"  # 查区域间清算
    ENTER_YEAR = "enter_year"  # 录入考核结果、期初余额、往年应收、预付金
    APPROVE_YEAR = "approve_year"
    APPLY_SPECIAL_CASE = "apply_special_case"  # 特例单议申请、申诉
    RUN_REVIEW = "run_review"  # 特例单议组织：专家库、受理、抽取、表决、拟定结果
    APPROVE_REVIEW = "approve_review"  # 批准特例单议结果
    PAY_SPECIAL_CASE = "pay_special_case"  # 登记特例单议池外拨付
    READ_REVIEW = "read_review"  # 查特例单议
    RECORD_PAYMENT = "record_payment"  # 登记拨付
    RECORD_DEDUCTION = "record_deduction"  # 登记审核扣款
    APPROVE_DEDUCTION = "approve_deduction"
    DRAFT_SCORECARD = "draft_scorecard"
    APPROVE_SCORECARD = "approve_scorecard"
    READ_SCORECARD = "read_scorecard"  # 查考核评价
    READ_JOBS = "read_jobs"  # 查作业进度
    READ_AUDIT = "read_audit"  # 查审计
    REVEAL_PERSONAL = "reveal_personal"  # 查看个人信息（逐例留痕）
    READ_ACCOUNTS = "read_accounts"  # 查账号、客户端与授权
    OPEN_ACCOUNTS = "open_accounts"  # 开通账号与客户端（系统管理员）
    PROPOSE_ROLES = "propose_roles"  # 提请授权
    GRANT_ROLES = "grant_roles"  # 授权、撤权、锁定与解锁（安全管理员）
    SIMULATE_RULES = "simulate_rules"  # 模拟质控规则变更
    READ_EVENTS = "read_events"  # 查本机构事件
    MANAGE_WEBHOOKS = "manage_webhooks"  # 维护推送地址
    SIGN_OUT = "sign_out"  # 注销本人令牌


_R = Role
_BUREAU_READERS = frozenset({_R.CITY_SETTLEMENT_CLERK, _R.CITY_SETTLEMENT_APPROVER})
_COUNTY = frozenset({_R.COUNTY_AUDITOR, _R.COUNTY_SETTLEMENT_CLERK, _R.COUNTY_SETTLEMENT_APPROVER})
_HOSPITAL = frozenset({_R.HOSPITAL_DEPARTMENT, _R.HOSPITAL_SUBMITTER, _R.HOSPITAL_VIEWER, _R.INTEGRATION_DEVELOPER})
_CATALOG = frozenset({_R.PROVINCE_CATALOG_EDITOR, _R.PROVINCE_CATALOG_APPROVER})
_PROVINCE_SETTLEMENT = frozenset({_R.PROVINCE_SETTLEMENT_CLERK, _R.PROVINCE_SETTLEMENT_APPROVER})
_PROVINCE = _CATALOG | _PROVINCE_SETTLEMENT | {_R.PROVINCE_ANALYST}
_EVERY_TENANT = _PROVINCE | _BUREAU_READERS | _COUNTY | _HOSPITAL
SYSTEM_ADMINS = frozenset({_R.PROVINCE_SYSTEM_ADMINISTRATOR, _R.CITY_SYSTEM_ADMINISTRATOR})
"""Open accounts and clients, and read nothing of the business (系统管理员)."""
SECURITY_ADMINS = frozenset({_R.PROVINCE_SECURITY_ADMINISTRATOR, _R.CITY_SECURITY_ADMINISTRATOR})
"""Grant and revoke roles, lock and unlock (安全管理员)."""
AUDIT_ADMINS = frozenset({_R.PROVINCE_AUDIT_ADMINISTRATOR, _R.CITY_AUDIT_ADMINISTRATOR})
"""Read the audit and nothing else (审计管理员)."""
ADMINISTRATORS = SYSTEM_ADMINS | SECURITY_ADMINS | AUDIT_ADMINS
"""The three powers kept apart (三权分立): who holds one of these, or the operator's role, holds no other role anywhere."""
_PROVINCE_ADMINS = frozenset(role for role in ADMINISTRATORS if role.value.startswith("province_"))
_CITY_ADMINS = ADMINISTRATORS - _PROVINCE_ADMINS

ROLES_OF_DUTY: dict[Duty, frozenset[Role]] = {
    Duty.ONBOARD_TENANTS: frozenset({_R.OPERATOR_ADMIN}),
    Duty.READ_REGISTRY: _EVERY_TENANT | SYSTEM_ADMINS | SECURITY_ADMINS | {_R.OPERATOR_ADMIN},
    Duty.EDIT_REGISTRY: frozenset({_R.CITY_SETTLEMENT_CLERK}),
    Duty.READ_CATALOG: _EVERY_TENANT,
    Duty.EDIT_CATALOG: frozenset({_R.PROVINCE_CATALOG_EDITOR}),
    Duty.APPROVE_CATALOG: frozenset({_R.PROVINCE_CATALOG_APPROVER}),
    Duty.GIVE_OPINION: frozenset({_R.HOSPITAL_SUBMITTER, _R.INTEGRATION_DEVELOPER}),
    Duty.EDIT_OVERLAY: frozenset({_R.CITY_SETTLEMENT_CLERK}),
    Duty.APPROVE_OVERLAY: frozenset({_R.CITY_SETTLEMENT_APPROVER}),
    Duty.READ_POLICY: _EVERY_TENANT,
    Duty.PROPOSE_PROVINCE_POLICY: frozenset({_R.PROVINCE_CATALOG_EDITOR}),
    Duty.APPROVE_PROVINCE_POLICY: frozenset({_R.PROVINCE_CATALOG_APPROVER}),
    Duty.PROPOSE_AREA_POLICY: frozenset({_R.CITY_SETTLEMENT_CLERK}),
    Duty.APPROVE_AREA_POLICY: frozenset({_R.CITY_SETTLEMENT_APPROVER}),
    Duty.SUBMIT_LISTS: frozenset({_R.HOSPITAL_SUBMITTER, _R.INTEGRATION_DEVELOPER}),
    Duty.FILE_LISTS: frozenset({_R.HOSPITAL_DEPARTMENT, _R.HOSPITAL_SUBMITTER, _R.INTEGRATION_DEVELOPER}),
    Duty.RETURN_LISTS: frozenset({_R.COUNTY_AUDITOR, _R.CITY_SETTLEMENT_CLERK}),
    Duty.IMPORT_RECORDS: frozenset({_R.CITY_SETTLEMENT_CLERK}),
    Duty.REGISTER_MESSAGE_KEYS: frozenset({_R.CITY_SETTLEMENT_CLERK}),
    Duty.IMPORT_HISTORY: frozenset({_R.CITY_SETTLEMENT_CLERK}),
    Duty.READ_SUBMISSION: _BUREAU_READERS | _COUNTY | _HOSPITAL,
    Duty.READ_CASES: _CATALOG | {_R.PROVINCE_ANALYST} | _BUREAU_READERS | _COUNTY | _HOSPITAL,
    Duty.READ_FUND: _BUREAU_READERS | {_R.PROVINCE_ANALYST},
    Duty.READ_BOOKS: _BUREAU_READERS | {_R.PROVINCE_ANALYST, _R.COUNTY_SETTLEMENT_CLERK, _R.COUNTY_SETTLEMENT_APPROVER},
    Duty.PROPOSE_BUDGET: frozenset({_R.CITY_SETTLEMENT_CLERK}),
    Duty.APPROVE_BUDGET: frozenset({_R.CITY_SETTLEMENT_APPROVER}),
    Duty.START_CLEARING: frozenset({_R.CITY_SETTLEMENT_CLERK}),
    Duty.APPROVE_CLEARING: frozenset({_R.CITY_SETTLEMENT_APPROVER}),
    Duty.READ_CLEARING: _BUREAU_READERS | _COUNTY | _HOSPITAL | {_R.PROVINCE_ANALYST},
    Duty.ANSWER_STATEMENT: frozenset({_R.HOSPITAL_SUBMITTER}),
    Duty.CLEAR_BETWEEN_AREAS: frozenset({_R.PROVINCE_SETTLEMENT_CLERK}),
    Duty.APPROVE_BETWEEN_AREAS: frozenset({_R.PROVINCE_SETTLEMENT_APPROVER}),
    Duty.READ_BETWEEN_AREAS: _BUREAU_READERS | _PROVINCE_SETTLEMENT,
    Duty.ENTER_YEAR: frozenset({_R.CITY_SETTLEMENT_CLERK}),
    Duty.APPROVE_YEAR: frozenset({_R.CITY_SETTLEMENT_APPROVER}),
    Duty.APPLY_SPECIAL_CASE: frozenset({_R.HOSPITAL_SUBMITTER}),
    Duty.RUN_REVIEW: frozenset({_R.CITY_SETTLEMENT_CLERK}),
    Duty.APPROVE_REVIEW: frozenset({_R.CITY_SETTLEMENT_APPROVER}),
    Duty.PAY_SPECIAL_CASE: frozenset({_R.CITY_SETTLEMENT_CLERK}),
    Duty.READ_REVIEW: _BUREAU_READERS | _COUNTY | _HOSPITAL | {_R.PROVINCE_ANALYST},
    Duty.RECORD_PAYMENT: frozenset({_R.CITY_SETTLEMENT_CLERK, _R.COUNTY_SETTLEMENT_CLERK}),
    Duty.RECORD_DEDUCTION: frozenset({_R.COUNTY_AUDITOR, _R.CITY_SETTLEMENT_CLERK}),
    Duty.APPROVE_DEDUCTION: frozenset({_R.COUNTY_SETTLEMENT_APPROVER, _R.CITY_SETTLEMENT_APPROVER}),
    Duty.DRAFT_SCORECARD: frozenset({_R.CITY_SETTLEMENT_CLERK}),
    Duty.APPROVE_SCORECARD: frozenset({_R.CITY_SETTLEMENT_APPROVER}),
    Duty.READ_SCORECARD: _BUREAU_READERS | _COUNTY | _HOSPITAL | {_R.PROVINCE_ANALYST},
    Duty.READ_JOBS: _EVERY_TENANT,
    Duty.READ_AUDIT: AUDIT_ADMINS,
    Duty.REVEAL_PERSONAL: _BUREAU_READERS | {_R.HOSPITAL_SUBMITTER},
    Duty.READ_ACCOUNTS: SYSTEM_ADMINS | SECURITY_ADMINS | {_R.OPERATOR_ADMIN},
    Duty.OPEN_ACCOUNTS: SYSTEM_ADMINS | {_R.OPERATOR_ADMIN},
    Duty.PROPOSE_ROLES: SYSTEM_ADMINS | SECURITY_ADMINS | {_R.OPERATOR_ADMIN},
    Duty.GRANT_ROLES: SECURITY_ADMINS | {_R.OPERATOR_ADMIN},
    Duty.SIMULATE_RULES: _BUREAU_READERS,
    Duty.READ_EVENTS: _BUREAU_READERS | _COUNTY | _HOSPITAL,
    Duty.MANAGE_WEBHOOKS: frozenset(
        {
            _R.CITY_SETTLEMENT_CLERK,
            _R.COUNTY_AUDITOR,
            _R.COUNTY_SETTLEMENT_CLERK,
            _R.HOSPITAL_SUBMITTER,
            _R.INTEGRATION_DEVELOPER,
        }
    ),
    Duty.SIGN_OUT: frozenset(_R),
}

KIND_OF_ROLE: dict[Role, TenantKind] = {
    _R.OPERATOR_ADMIN: TenantKind.OPERATOR,
    **dict.fromkeys(_PROVINCE | _PROVINCE_ADMINS, TenantKind.PROVINCE),
    **dict.fromkeys(_BUREAU_READERS | _CITY_ADMINS, TenantKind.CITY),
    **dict.fromkeys(_COUNTY, TenantKind.COUNTY),
    **dict.fromkeys(_HOSPITAL, TenantKind.HOSPITAL),
}

EXCLUSIVE_ROLES: frozenset[Role] = frozenset(role for role in Role if role.value.endswith("_administrator"))
"""Roles whose holder holds no other, in no tenant (不兼任角色). A trigger and two constraints on `membership` know them by the same ending."""

MONEY_DUTIES: frozenset[Duty] = frozenset(
    {
        Duty.PROPOSE_BUDGET,
        Duty.APPROVE_BUDGET,
        Duty.START_CLEARING,
        Duty.APPROVE_CLEARING,
        Duty.CLEAR_BETWEEN_AREAS,
        Duty.APPROVE_BETWEEN_AREAS,
        Duty.RECORD_PAYMENT,
        Duty.RECORD_DEDUCTION,
        Duty.APPROVE_DEDUCTION,
        Duty.APPROVE_YEAR,
        Duty.APPROVE_REVIEW,
        Duty.PAY_SPECIAL_CASE,
    }
)
"""Duties that move money (资金职责): audited at every act."""

SECOND_FACTOR_DUTIES: frozenset[Duty] = MONEY_DUTIES | {
    Duty.APPROVE_PROVINCE_POLICY,
    Duty.APPROVE_AREA_POLICY,
    Duty.GRANT_ROLES,
}
"""Duties that need a token whose issuer vouches for a second factor (需第二因素的职责): money, policy in force, power over others."""

POWER_ROLES: frozenset[Role] = (
    ADMINISTRATORS
    | {role for duty in SECOND_FACTOR_DUTIES for role in ROLES_OF_DUTY[duty]}
    | ROLES_OF_DUTY[Duty.APPROVE_CATALOG]
    | ROLES_OF_DUTY[Duty.ONBOARD_TENANTS]
)
"""Roles with power over money, law or others (授权须双人的角色): one person proposes them, another grants."""
