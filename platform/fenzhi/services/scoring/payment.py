"""How one case is paid (单病例支付方式): its one mode by the policy of its day of discharge, by the rule that runs ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from fenzhi.rules.payment_modes.beside_points import CasePayment
from fenzhi.rules.payment_modes.case_modes import RECORDED, ModeCase, ModeOutcome, ModeTerms, outcome_of
from fenzhi.rules.payment_modes.mode_of_case import ModeFacts, PaymentMode
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.refusals import FenzhiError
from fenzhi.rules.scoring.auxiliary_choice import IcuDayCounting
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.session import UnitOfWork


@dataclass(frozen=True)
class ModeFrame:
    """What the mode of a case is chosen by (支付方式依据)."""

    policy: ResolvedPolicy
    agreement_mode: str
    counting: IcuDayCounting


@dataclass(frozen=True, slots=True)
class CasePaid:
    """How a case is paid (支付方式解释). Units: fen; days."""

    mode: PaymentMode | None
    """None where policy gives the case no mode, or a mode without its terms: `refusal` says which."""
    rests_on: str
    """The parameter that decides, and its row (所依参数)."""
    document: str
    payment: CasePayment | None = None
    """What is paid beside the points."""
    payers: tuple[tuple[str, int], ...] = ()
    icu_days: int | None = None
    unjudged: str = ""
    zh: str = ""
    en: str = ""
    refusal: str = ""


async def mode_frame(uow: UnitOfWork, row: Row[Any], agreement_mode: str, counting: IcuDayCounting) -> ModeFrame:
    """Read what the mode of a stored case is chosen by (装载支付方式依据)."""
    policy = await resolved_policy(uow, row.discharge_date, area_id=row.area_id, insurance=row.insurance)
    return ModeFrame(policy, agreement_mode, counting)


def paid_by(
    row: Row[Any], frame: ModeFrame, group_code: str, level: str, points_decimals: int
) -> tuple[CasePaid, ModeOutcome | None]:
    """The mode of a stored case and what it pays, by the rule that a run asks (病例支付方式)."""
    days = frame.counting.days(row.icu_minutes)
    facts = ModeFacts(
        group_code,
        level,
        row.discharge_department,
        frame.agreement_mode,
        row.discharge_date,
        row.diagnoses[0] if row.diagnoses else "",
    )
    other = row.other_funds_fen + row.account_fen + row.cash_fen
    case = ModeCase(facts, row.total_fen, row.basic_fund_fen, other, row.los_days, days, row.own_paid_fen)
    try:
        terms = ModeTerms.from_policy(frame.policy)
        outcome = outcome_of(case, terms, points_decimals)
    except FenzhiError as refused:
        said = CasePaid(None, "payment_mode.table", _document(frame, "payment_mode.table"), icu_days=days, zh=refused.zh, en=refused.en, refusal=refused.code)  # fmt: skip
        return said, None
    key, place = _rests_on(facts, terms, outcome)
    unjudged = outcome.unjudged
    payers = () if outcome.shared is None else (*outcome.shared.payers, ("patient", outcome.shared.patient_fen))
    said = CasePaid(
        outcome.mode,
        f"{key} {place}".strip(),
        _document(frame, key),
        outcome.payment,
        payers,
        days,
        "" if unjudged is None else unjudged.value,
        outcome.mode.zh if unjudged is None else unjudged.zh,
        outcome.mode.value.replace("_", " ") if unjudged is None else unjudged.en,
    )
    return said, outcome


def disposition_of(outcome: ModeOutcome) -> str | None:
    """Where a run puts the case because of its mode (去向); None: where its group puts it."""
    if outcome.waits and outcome.unjudged is not None:
        return f"pending:{outcome.unjudged.value}"
    if outcome.leaves_pool:
        return f"beside:{outcome.mode.value}"
    return f"recorded:{outcome.mode.value}" if outcome.mode in RECORDED else None


def _rests_on(facts: ModeFacts, terms: ModeTerms, outcome: ModeOutcome) -> tuple[str, str]:
    if outcome.mode is PaymentMode.RARE_DISEASE and terms.is_rare(facts.principal_diagnosis):
        return "rare_disease.diagnoses", ""
    fitting = (n for n, rule in enumerate(terms.rules, start=1) if rule.mode is outcome.mode and rule.fits(facts))
    place = next(fitting, None)
    return "payment_mode.table", "" if place is None else f"#{place}"


def _document(frame: ModeFrame, key: str) -> str:
    return str(frame.policy.document(key)) if frame.policy.has(key) else ""
