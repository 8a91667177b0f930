"""The world that is probed (探测环境): two provinces that did the whole flow, every word of theirs carrying its tenant's canary."""

from __future__ import annotations

from dataclasses import dataclass, field

from fenzhi.access.roles import KIND_OF_ROLE, Role, TenantKind
from fenzhi.cli.flow.client import Cast
from fenzhi.services.acts import Platform

CANARY = "canary"


def canary(tenant: str) -> str:
    """The word that only rows of a tenant carry (金丝雀标记)."""
    return f"{CANARY}-{tenant}-"


def patient_canary(hospital: str) -> str:
    """The word that only the ids and names of a hospital's patients carry (患者标记); no higher than the city may see it."""
    return f"patient-{hospital}-"


def personal_canary(hospital: str) -> str:
    """The word that only the personal fields of a hospital's patients carry (个人信息标记); in no answer but a reveal's or one's own table."""
    return f"personal-{hospital}-"


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant of the probed world (租户)."""

    code: str
    kind: TenantKind
    parent: str


@dataclass(frozen=True, slots=True)
class Numbers:
    """The surrogate numbers of a tenant, as its rows carry them (租户编号)."""

    province: int | None = None
    area: int | None = None
    county: int | None = None
    hospital: int | None = None


@dataclass
class ProbedWorld:
    """Tenants, who may see whom, and the objects that exist (探测对象)."""

    cast: Cast
    tenants: dict[str, Tenant]
    sandbox: str = ""
    """The province that is a sandbox; integration developers exist only there."""
    numbers: dict[str, Numbers] = field(default_factory=dict)
    objects: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Node type → owning tenant → global ids."""
    unpublished: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """The same for objects that the levels below may not see yet."""
    deleted: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """The same for objects that were voided, rejected, withdrawn or abandoned."""
    platform: Platform | None = None
    """The platform underneath, for who looks past the API."""

    def ancestors(self, tenant: str) -> list[str]:
        """Codes of the tenants above, nearest first."""
        found = []
        parent = self.tenants[tenant].parent
        while parent in self.tenants:
            found.append(parent)
            parent = self.tenants[parent].parent
        return found

    def descendants(self, tenant: str) -> set[str]:
        """Codes of the tenants below."""
        return {code for code in self.tenants if tenant in self.ancestors(code)}

    def relation(self, subject: str, owner: str) -> str:
        """How an owner stands to a subject: own, parent, child, sibling or other_province (关系)."""
        if subject == owner:
            return "own"
        if self.tenants[subject].kind is TenantKind.OPERATOR:
            return "child"
        if owner in self.ancestors(subject):
            return "parent"
        if owner in self.descendants(subject):
            return "child"
        mine, theirs = [subject, *self.ancestors(subject)], [owner, *self.ancestors(owner)]
        return "sibling" if mine[-1] == theirs[-1] else "other_province"

    def foreign_canaries(self, subject: str) -> list[str]:
        """The canaries that no answer to a subject may carry: of every tenant neither above, below nor itself."""
        kind = self.tenants[subject].kind
        hospitals = [code for code, tenant in self.tenants.items() if tenant.kind is TenantKind.HOSPITAL]
        personal = [personal_canary(code) for code in hospitals]
        if kind is TenantKind.OPERATOR:
            return [patient_canary(code) for code in hospitals] + personal
        kin = {subject, *self.ancestors(subject), *self.descendants(subject)}
        patients = [c for c in hospitals if c not in kin or kind is TenantKind.PROVINCE]
        return [canary(code) for code in self.tenants if code not in kin] + [
            *(patient_canary(c) for c in patients),
            *personal,
        ]

    def has_role(self, tenant: str, role: Role) -> bool:
        """Whether a tenant has an account in a role (有无此角色)."""
        is_developer = role is Role.INTEGRATION_DEVELOPER
        return not is_developer or self.sandbox in (tenant, *self.ancestors(tenant))

    def subjects(self) -> list[tuple[str, Role]]:
        """Every role in one tenant of its level; each level has a first tenant that is probed."""
        chosen: dict[TenantKind, str] = {}
        for tenant in self.tenants.values():
            chosen.setdefault(tenant.kind, tenant.code)
        in_sandbox = {
            tenant.kind: code for code, tenant in self.tenants.items() if self.sandbox in (code, *self.ancestors(code))
        }
        return [
            ((in_sandbox if role is Role.INTEGRATION_DEVELOPER else chosen)[kind], role)
            for role, kind in KIND_OF_ROLE.items()
            if kind in chosen
        ]
