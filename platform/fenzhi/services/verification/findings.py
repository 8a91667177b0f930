"""What a verification looked at and what it found (核验结论)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CHECKS: Mapping[str, tuple[str, str]] = {
    "schema.revision": ("结构版本为本版本的最新版本", "the schema is at this release's revision"),
    "schema.walls": ("租户隔离墙完整", "the walls between tenants stand"),
    "schema.triggers": ("只增不改与状态触发器存在且启用", "append-only and state triggers are there and enabled"),
    "schema.indexes": ("索引与约束有效", "indexes and constraints are valid"),
    "pages.checksums": ("数据页校验和无失败记录", "no page failed its checksum"),
    "run.manifest": ("清单与其摘要一致", "a manifest hashes to its digest"),
    "run.cases": (
        "病例集的数目、叶与默克尔根可由已存病例重算",
        "count, leaves and Merkle root follow from the stored cases",
    ),
    "run.result": (
        "结果摘要可由已存结算单与病例重算",
        "the result digest follows from the stored statements and cases",
    ),
    "run.replay": (
        "由清单与已分组病例重新结算，逐行、逐账户、逐分录与已存结果一致",
        "computed again from its manifest and graded cases, a run gives the stored lines, accounts, entries and digest",
    ),
    "run.pool": ("第一恒等式：基金＋动用＝应付＋归还", "first identity: pool + draws = gross + returns"),
    "run.hospital": ("第二恒等式与划拨恒等式", "second identity and transfer of every hospital"),
    "run.totals": ("各结算单合计与结算汇总、病例一致", "statements add up to the run's summary and to its cases"),
    "run.eyes": ("审批与发起不是同一人", "who approved is not who started"),
    "ledger.balance": ("每次结算借贷相等", "debit and credit of every run are equal"),
    "ledger.accounts": (
        "各基金池、机构、账户余额与结算单一致",
        "the balance of every pool, hospital and account is what the statements say",
    ),
    "batch.parts": ("批次分片齐全", "a batch has all its parts"),
    "batch.originals": ("原件可解密且摘要一致", "an original opens and hashes to its digest"),
    "batch.rows": ("逐行去向与批次计数一致", "every row of a batch is accounted for"),
    "case.digest": ("病例摘要可由原件重算", "the digest of a case follows from its original"),
    "case.facts": ("病例各项与原件一致", "the facts of a case are those of its original"),
    "case.payers": ("四类支付合计等于总费用", "the four payers add up to the total"),
    "rows.orphans": ("没有无主的行", "no row without what it belongs to"),
    "rows.tenants": ("每一行都属于已登记的租户", "every row belongs to a tenant that exists"),
    "jobs.states": ("作业状态自洽", "jobs are in states that can be"),
    "audit.chain": ("审计链完整", "the audit chain holds"),
}
"""Every check by name: what holds when all is well, in Chinese and English."""
FINDINGS_MOST = 1_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be (一项不符)."""

    check: str
    place: str
    """Which row, run, hospital or object."""
    saw: str
    """What was found instead. Never a patient's field."""

    @property
    def zh(self) -> str:
        return f"不符：{CHECKS[self.check][0]}（{self.place}）"

    @property
    def en(self) -> str:
        return f"not so: {CHECKS[self.check][1]} ({self.place}): {self.saw}"


@dataclass
class Verification:
    """Counts by check, what was found, what could not be looked at (核验记录)."""

    looked: dict[str, int] = field(default_factory=dict)
    found: list[Finding] = field(default_factory=list)
    fallen: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    """Check → why nobody looked."""
    figures: dict[str, Any] = field(default_factory=dict)

    def saw(self, check: str, holds: bool, place: str, saw: str = "") -> None:
        """Count one look; keep the finding when it does not hold. Requires: `check` is in `CHECKS`."""
        if check not in CHECKS:
            raise ValueError(f"no such check: {check}")
        self.looked[check] = self.looked.get(check, 0) + 1
        if not holds:
            self.fallen[check] = self.fallen.get(check, 0) + 1
            if len(self.found) < FINDINGS_MOST:
                self.found.append(Finding(check, place, saw[:300]))

    def same(self, check: str, place: str, stored: object, due: object) -> None:
        """Count one comparison of what is stored with what is due."""
        self.saw(check, stored == due, place, f"stored {stored}, due {due}")

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found (是否完好)."""
        return not self.fallen

    def report(self) -> dict[str, Any]:
        """As JSON values (核验报告)."""
        return {
            "ok": self.is_sound,
            "looked_at": dict(sorted(self.looked.items())),
            "fallen": dict(sorted(self.fallen.items())),
            "findings": [{"check": f.check, "place": f.place, "zh": f.zh, "en": f.en} for f in self.found],
            "not_looked_at": dict(sorted(self.left_out.items())),
            "figures": self.figures,
        }
