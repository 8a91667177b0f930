"""Which mode pays a case (病例的支付方式): exactly one, by the first rule of the policy in force at discharge that fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.refusals import Conflict


class PaymentMode(StrEnum):
    """The modes (支付方式)."""

    DIP = "dip"  # 按病种分值
    DIP_ICU_DAYS = "dip_icu_days"  # 病种分值加重症监护床日
    SINGLE_DISEASE = "single_disease"  # 单病种定额
    PER_DIEM = "per_diem"  # 床日付费，池外
    PER_DIEM_POINTS = "per_diem_points"  # 床日病种，折算分值入池
    ITEM = "item"  # 按项目
    CAPITATION = "capitation"  # 按人头包干
    DRG = "drg"  # 记录，由其自身系统结算
    RARE_DISEASE = "rare_disease"  # 罕见病，多方分担

    @property
    def shares_pool(self) -> bool:
        """Whether the case brings points to the pool (是否以分值参与分配)."""
        return self in (PaymentMode.DIP, PaymentMode.DIP_ICU_DAYS, PaymentMode.PER_DIEM_POINTS)

    @property
    def zh(self) -> str:
        """In Chinese (中文名称)."""
        return _ZH[self]


_ZH = {
    PaymentMode.DIP: "按病种分值",
    PaymentMode.DIP_ICU_DAYS: "病种分值加重症监护床日",
    PaymentMode.SINGLE_DISEASE: "单病种定额",
    PaymentMode.PER_DIEM: "按床日",
    PaymentMode.PER_DIEM_POINTS: "床日病种折算分值",
    PaymentMode.ITEM: "按项目",
    PaymentMode.CAPITATION: "按人头包干",
    PaymentMode.DRG: "按疾病诊断相关分组",
    PaymentMode.RARE_DISEASE: "罕见病多方支付",
}


class ModeRuleUnreadable(Conflict):
    """A row of the mode table that does not read (支付方式表无法识别)."""

    code = "PAYMENT_MODE_UNREADABLE"


class NoMode(Conflict):
    """A case that no rule of the table fits (病例没有对应的支付方式)."""

    code = "PAYMENT_MODE_NONE"


@dataclass(frozen=True, slots=True)
class ModeFacts:
    """What the choice looks at (判定依据). `level` as registered on the day of discharge; `department` None: the list does not say it."""

    group_code: str
    level: str
    department: str | None = ""
    agreement_mode: str = ""
    discharge_date: date | None = None
    principal_diagnosis: str = ""


@dataclass(frozen=True, slots=True)
class ModeRule:
    """One row of the table (支付方式规则). A blank column fits everything; several values are separated by `|`."""

    mode: PaymentMode
    groups: frozenset[str] = frozenset()
    levels: frozenset[str] = frozenset()
    departments: frozenset[str] = frozenset()
    agreement_modes: frozenset[str] = frozenset()

    def fits(self, facts: ModeFacts) -> bool:
        """Whether the rule speaks of the case (是否适用)."""
        pairs = (
            (self.groups, facts.group_code),
            (self.levels, facts.level),
            (self.departments, facts.department),
            (self.agreement_modes, facts.agreement_mode),
        )
        return all(not wanted or had in wanted for wanted, had in pairs)


def mode_rules(rows: Iterable[Mapping[str, str]]) -> tuple[ModeRule, ...]:
    """The rules of a table, in its order (读取支付方式表).

    Policy: payment_mode.table, columns groups, levels, departments, agreement_modes, mode. Raises: ModeRuleUnreadable.
    """
    rules: list[ModeRule] = []
    for row in rows:
        try:
            mode = PaymentMode(row["mode"])
            names = ("groups", "levels", "departments", "agreement_modes")
            rules.append(ModeRule(mode, *(_values(row[name]) for name in names)))
        except (ValueError, KeyError) as error:
            raise ModeRuleUnreadable(
                f"支付方式表第 {len(rules) + 1} 行无法识别：{dict(row)}。",
                f"Row {len(rules) + 1} of the mode table does not read: {dict(row)}.",
            ) from error
    return tuple(rules)


def policy_mode_rules(policy: ResolvedPolicy) -> tuple[ModeRule, ...]:
    """The rules in force (生效的支付方式规则). Resolve the policy for the date of discharge. Raises: PolicyNotEntered."""
    return mode_rules(policy.table("payment_mode.table"))


def mode_of(facts: ModeFacts, rules: Sequence[ModeRule]) -> PaymentMode:
    """The one mode of a case: that of the first rule that fits (病例支付方式). Raises: NoMode."""
    for rule in rules:
        if rule.fits(facts):
            return rule.mode
    raise NoMode(
        f"病种 {facts.group_code}、级别 {facts.level} 没有对应的支付方式。",
        f"No rule gives a mode to group {facts.group_code} at level {facts.level}.",
        group=facts.group_code,
        level=facts.level,
    )


def asks_department(facts: ModeFacts, rules: Sequence[ModeRule]) -> bool:
    """Whether the choice turns on a department that the list does not state (是否因科别未填而无法判定).

    So it is when the first rule that fits, its department apart, names departments.

    >>> rules = (ModeRule(PaymentMode.PER_DIEM, departments=frozenset({"A28"})), ModeRule(PaymentMode.DIP))
    >>> asks_department(ModeFacts("I63", "primary", None), rules), asks_department(ModeFacts("I63", "primary", "A03"), rules)
    (True, False)
    """
    if facts.department is not None:
        return False
    fitting = (rule for rule in rules if replace(rule, departments=frozenset()).fits(facts))
    first = next(fitting, None)
    return first is not None and bool(first.departments)


def cases_by_mode(modes: Mapping[str, PaymentMode]) -> dict[PaymentMode, int]:
    """How many cases each mode pays (各支付方式病例数): they add up to all cases."""
    counts = Counter(modes.values())
    return {mode: counts[mode] for mode in PaymentMode if counts[mode]}


def _values(text: str) -> frozenset[str]:
    return frozenset(part for part in text.split("|") if part)
