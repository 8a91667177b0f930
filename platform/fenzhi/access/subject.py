"""Who asks (访问主体)."""

from __future__ import annotations

from dataclasses import dataclass

from fenzhi.access.roles import KIND_OF_ROLE, ROLES_OF_DUTY, SECOND_FACTOR_DUTIES, Duty, Role, TenantKind
from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.rules.refusals import Conflict, Forbidden

_DATABASE_ROLE = {
    TenantKind.OPERATOR: DatabaseRole.OPERATOR,
    TenantKind.PROVINCE: DatabaseRole.PROVINCE,
    TenantKind.CITY: DatabaseRole.AREA,
    TenantKind.COUNTY: DatabaseRole.COUNTY,
    TenantKind.HOSPITAL: DatabaseRole.HOSPITAL,
}
_AUDITOR = {TenantKind.PROVINCE: DatabaseRole.PROVINCE_AUDITOR, TenantKind.CITY: DatabaseRole.AREA_AUDITOR}


@dataclass(frozen=True, slots=True)
class Subject:
    """An account acting in one role for one tenant (访问主体), as looked up for this request."""

    account_id: str
    person_id: str
    """The natural person behind the account (自然人); four-eyes steps compare persons, not accounts."""
    client_id: str
    role: Role
    tenant: str
    tenant_kind: TenantKind
    province_id: int | None = None
    area_id: int | None = None
    county_id: int | None = None
    hospital_id: int | None = None
    area_ids: tuple[int, ...] = ()
    is_sandbox: bool = False
    has_second_factor: bool = False
    """Whether the issuer vouches, in this token, for a second factor (双因素)."""
    issuer: str = ""
    token_id: str = ""
    expires_at: int = 0
    """Seconds since 1970 at which the token ends."""

    def may(self, duty: Duty) -> bool:
        """Whether the role carries the duty (有无职责)."""
        return self.role in ROLES_OF_DUTY[duty]

    def scope_for(self, duty: Duty) -> Scope:
        """The scope in which this subject performs the duty (取得数据范围).

        Raises: Forbidden when the role does not carry the duty; SecondFactorRequired when the duty needs a token with one.
        """
        if not self.may(duty):
            raise Forbidden(
                f"角色 {self.role} 无此职责（{duty}）。",
                f"Role {self.role} does not carry the duty {duty}.",
                hint=f"需要的角色 / roles that may: {', '.join(sorted(ROLES_OF_DUTY[duty]))}",
            )
        if duty in SECOND_FACTOR_DUTIES and not self.has_second_factor:
            raise SecondFactorRequired(duty)
        if duty is Duty.READ_AUDIT:
            return self._scope(_AUDITOR[self.tenant_kind])
        return self._scope(_DATABASE_ROLE[self.tenant_kind])

    def witness_scope(self) -> Scope:
        """The scope in which it is written down what this subject saw (留痕数据范围); no duty is needed to be witnessed."""
        return self._scope(_DATABASE_ROLE[self.tenant_kind])

    def _scope(self, role: DatabaseRole) -> Scope:
        return Scope(
            role=role,
            tenant=self.tenant,
            province_id=self.province_id,
            area_id=self.area_id,
            county_id=self.county_id,
            hospital_id=self.hospital_id,
            area_ids=self.area_ids,
            account_id=self.account_id,
            person_id=self.person_id,
        )


def kind_of(role: Role) -> TenantKind:
    """The level of the tree a role belongs to (角色所属层级)."""
    return KIND_OF_ROLE[role]


class SecondFactorRequired(Forbidden):
    """The duty needs a token whose issuer vouches for a second factor (需要第二因素)."""

    code = "SECOND_FACTOR_REQUIRED"

    def __init__(self, duty: Duty) -> None:
        super().__init__(
            "此步骤须以双因素登录后取得的令牌办理。",
            "This step needs a token obtained by signing in with a second factor.",
            hint="以动态口令、智能卡或安全密钥重新登录后，用新令牌重试 / "
            "sign in again with a one-time code, smart card or security key and send the new token",
            duty=duty.value,
        )


class SamePerson(Conflict):
    """One natural person may not take both sides of a four-eyes step (四眼原则)."""

    code = "SAME_PERSON"


def require_second_person(first_person_id: str | None, second_person_id: str) -> None:
    """Refuse a four-eyes step by the person who took the first (双人复核).

    Compares natural persons, so neither a second role nor a second account of the same person helps.
    Raises: SamePerson.
    """
    if not first_person_id or not second_person_id or first_person_id == second_person_id:
        raise SamePerson(
            "提交人与审批人须为不同的自然人。",
            "The proposer and the approver must be different natural persons.",
            hint="请由另一位人员审批 / ask another person to approve",
        )
