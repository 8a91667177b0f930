"""The job that computes a run (结算计算作业): freeze, compute, check, and record everything in one transaction with the job's end."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import func

from fenzhi.engine.engine import Engine
from fenzhi.outbox.jobs import Fenced
from fenzhi.rules.clearing.annual_clearing import AnnualAccount
from fenzhi.rules.clearing.conservation import SAME_CASES
from fenzhi.rules.clearing.statement import Account, StatementLine
from fenzhi.rules.fund.ledger import LedgerAccount
from fenzhi.rules.quantities import yuan_from_fen
from fenzhi.rules.refusals import Conflict, FenzhiError, InvariantBroken
from fenzhi.rules.working import Working
from fenzhi.services.acts import Platform
from fenzhi.services.clearing.case_shares import ShareCut
from fenzhi.services.clearing.changes import RunChanges, changes_of
from fenzhi.services.clearing.freezing import FrozenRun, freeze
from fenzhi.services.clearing.manifest import in_order
from fenzhi.services.clearing.mode_steps import control_steps, modes_step, plain_finding
from fenzhi.services.clearing.runs import RunKind
from fenzhi.services.clearing.statements import CLEARED, ComputedRun, compute
from fenzhi.services.jobs.execution import JobInHand, engine_slot
from fenzhi.store.failpoints import failpoint
from fenzhi.store.repositories import clearing, point_value
from fenzhi.store.session import Unavailable, UnitOfWork

_STEPS = 4


async def compute_run(job: JobInHand) -> None:
    """Compute the run of a job (计算结算).

    Killed at any moment, it leaves the run computing for the next worker, or computed whole. A law that breaks or a rule that refuses
    stops the run with the reason, nothing of it recorded, and its period is free for a new start.
    Changes: clearing_run, run_case, hospital_statement, ledger_entry, point_value. Raises: InvariantBroken and the refusals of `freeze`
    and `compute`.
    """
    run_id = uuid.UUID(str(job.payload["run"]))
    try:
        async with engine_slot():
            await _compute(job, run_id)
    except (Fenced, Unavailable):
        raise
    except (FenzhiError, InvariantBroken) as exc:
        async with job.reading() as uow:
            await clearing.stop_run(uow, run_id, job.claimed.job_id, job.claimed.attempt, _said(exc))
        raise


def _said(exc: FenzhiError | InvariantBroken) -> str:
    if isinstance(exc, InvariantBroken):
        return f"守恒校验未通过，结算中止。{exc}"
    return f"{exc.code}: {exc.zh} {exc.en}"


async def _compute(job: JobInHand, run_id: uuid.UUID) -> None:
    async with job.reading() as uow:
        frozen = await freeze(uow, run_id)
    failpoint("clearing.after_freeze")
    await job.progress(1, _STEPS)
    computed = await asyncio.to_thread(_in_engine, job.platform, frozen)
    failpoint("clearing.after_compute")
    await job.progress(2, _STEPS)
    result: dict[str, Any] = {"run": str(run_id), "cases": computed.cases.num_rows}
    failpoint("clearing.before_write")
    async with job.finishing(result) as uow:
        await record(uow, frozen, computed)
        failpoint("clearing.before_commit")
    failpoint("clearing.after_commit")


def _in_engine(platform: Platform, frozen: FrozenRun) -> ComputedRun:
    with Engine(memory_limit=f"{platform.memory_limit_mb}MB") as engine:
        return compute(frozen, engine)


async def record(uow: UnitOfWork, frozen: FrozenRun, computed: ComputedRun) -> None:
    """Write a computed run whole (记录结算). Raises: Conflict RUN_STATE when another worker was first; InvariantBroken when what was
    stored is not what was computed."""
    run = frozen.run
    value_id = frozen.price_id if frozen.kind is RunKind.MONTH else await _record_point_value(uow, frozen, computed)
    moved = await clearing.move_run(
        uow,
        run.run_id,
        ("computing",),
        {
            "state": "computed",
            "edition_id": frozen.edition_id,
            "budget_id": frozen.budget_id,
            "point_value_id": value_id,
            "policy_fingerprint": frozen.policy.fingerprint(),
            "rules_version": frozen.manifest["rules_version"],
            "manifest": dict(frozen.manifest),
            "manifest_sha256": frozen.manifest_sha256,
            "result_sha256": computed.result_sha256,
            "pool_fen": computed.accounts[Account.POOL],
            "summary": _summary(computed),
            "as_known_at": frozen.as_known_at,
            "computed_at": func.clock_timestamp(),
        },
    )
    if not moved:
        raise Conflict("结算已不在计算状态。", "The run is not computing any more.", code="RUN_STATE")
    await clearing.write_cases(uow, run.run_id, stored_cases(frozen, computed.cases))
    failpoint("clearing.mid_write")
    waiting = _waiting(frozen, computed)
    await _check_stored(uow, frozen, computed, waiting)
    numbers = {code: number for number, (code, _) in frozen.hospitals.items()}
    changes = await changes_of(uow, frozen, computed)
    await clearing.add_statements(
        uow,
        [
            _statement_row(
                frozen,
                computed,
                line,
                numbers[line.hospital],
                waiting.get(line.hospital, 0),
                changes,
            )
            for line in computed.lines
        ],
    )
    await clearing.add_entries(
        uow,
        {
            "area_id": run.area_id,
            "run_id": run.run_id,
            "insurance": run.insurance,
            "pool_scope": run.pool_scope,
            "year": run.year,
        },
        [(*entry, _memo(frozen)) for entry in computed.entries],
    )


def _memo(frozen: FrozenRun) -> str:
    run = frozen.run
    return f"{run.year}年{'' if frozen.kind is RunKind.YEAR else f'第{run.period}期'}{frozen.kind.zh}"


async def _record_point_value(uow: UnitOfWork, frozen: FrozenRun, computed: ComputedRun) -> uuid.UUID:
    run, value = frozen.run, computed.point_value
    return await point_value.add(
        uow,
        {
            "insurance": run.insurance,
            "pool_scope": run.pool_scope,
            "year": run.year,
            "kind": "settlement",
            "basis": value.basis.value,
            "fund_fen": value.fund_fen,
            "cost_fen": value.cost_fen,
            "booked_fen": value.booked_fen,
            "points": value.points,
            "points_decimals": value.points_decimals,
            "edition_id": frozen.edition_id,
            "run_id": run.run_id,
            "state": "computed",
            "working": {
                "quarter": 4 if frozen.kind is RunKind.YEAR else run.period,
                "printed": computed.printed,
                "steps": [
                    {
                        "rule": "point_value.settlement",
                        "zh": "异地病例按就医地本地基金池价格逐例计付，点值由其合计得出。"
                        if frozen.by_case is not None
                        else "结算点值＝（当期基金 ÷ 基金支付比例）÷ 总分值"
                        + ("。" if frozen.kind is RunKind.YEAR else "；本季为暂定值，年度清算为准。"),
                        "en": "Cases of other areas are paid one by one at the local pool's price; this is what they came to."
                        if frozen.by_case is not None
                        else "Settlement point value: (fund ÷ fund ratio) ÷ points"
                        + ("." if frozen.kind is RunKind.YEAR else "; provisional until the year is cleared."),
                        "values": [
                            ["fund_fen", str(value.fund_fen)],
                            ["booked_fen", str(value.booked_fen)],
                            ["cost_fen", str(value.cost_fen)],
                            ["points", str(value.points)],
                            ["points_decimals", str(value.points_decimals)],
                            ["printed", computed.printed],
                        ],
                        "document": str(frozen.policy.document("point_value.method")),
                    },
                    *_scope_steps(frozen, computed),
                ],
            },
        },
    )


def _scope_steps(frozen: FrozenRun, computed: ComputedRun) -> list[dict[str, Any]]:
    """The point value of every scope of a pool that was divided (各范围点值)."""
    if computed.scoped is None:
        return []
    places = frozen.policy.integer("clearing.printed_decimals")
    return [
        {
            "rule": "point_value.scope",
            "zh": f"范围“{scope}”的结算点值：先按份额分基金，再按本范围分值计算。",
            "en": f"The settlement point value of scope {scope}: the fund is divided first, then shared by the points of the scope.",
            "values": [
                ["scope", scope],
                ["fund_fen", str(value.fund_fen)],
                ["booked_fen", str(value.booked_fen)],
                ["cost_fen", str(value.cost_fen)],
                ["points", str(value.points)],
                ["points_decimals", str(value.points_decimals)],
                ["printed", value.printed(places)],
            ],
            "document": str(frozen.policy.document("point_value.scope")),
        }
        for scope, value in sorted(computed.scoped.point_values.items())
    ]


def _summary(computed: ComputedRun) -> dict[str, Any]:
    balance = computed.balance
    return {
        "pool_fen": balance.pool_fen,
        "draws_fen": balance.draws_fen,
        "gross_fen": balance.gross_fen,
        "returns_fen": balance.returns_fen,
        "unexplained_fen": balance.unexplained_fen,
        "accounts": [
            {"name": account.value, "zh": account.zh, "en": account.value.replace("_", " "), "fen": amount}
            for account, amount in sorted(computed.accounts.items(), key=lambda pair: list(Account).index(pair[0]))
        ]
        + [
            {
                "name": account.value,
                "zh": account.zh,
                "en": account.value.replace("_", " "),
                "fen": sum(line.amount(account) for line in computed.annual.values()),
            }
            for account in (AnnualAccount if computed.annual else ())
        ]
        + [
            {
                "name": f"drawn_from_{name}",
                "zh": f"{LedgerAccount(name).zh}支出",
                "en": f"drawn from {name}",
                "fen": amount,
            }
            for name, amount in computed.bonus_draws.items()
        ],
        "laws": [{"name": law, "unexplained_fen": 0} for law in computed.laws],
        "cases": sum(line.cases for line in computed.lines),
        "pending_cases": sum(computed.pending.values()),
        "pending": dict(computed.pending),
        "points": sum(line.points for line in computed.lines),
        "points_decimals": computed.point_value.points_decimals,
        "cost_fen": sum(line.cost_fen for line in computed.lines),
        "booked_fen": sum(line.booked_fen for line in computed.lines),
        "fund_ratio": str(computed.fund_ratio),
        "point_value_printed": computed.printed,
        "purses": [
            {
                "name": one.set_aside.value,
                "paid_fen": one.paid_fen,
                "set_aside_fen": one.set_aside_fen,
                "from_pool_fen": one.from_pool_fen,
            }
            for one in computed.beside.purses
        ],
    } | ({"controls": [plain_finding(one) for one in computed.beside.findings]} if computed.beside.findings else {})


def stored_cases(frozen: FrozenRun, graded: pa.Table) -> pa.Table:
    """The rows of the run's own table (入算病例行), in order of case id."""
    cases = in_order(graded)
    numbers = sorted(frozen.hospitals)
    index = pc.index_in(cases["hospital_id"], value_set=pa.array(numbers, cases["hospital_id"].type))
    counties = pc.take(pa.array([frozen.hospitals[number][1] for number in numbers], pa.int32()), index)
    return pa.table(
        {
            "county_id": counties,
            "hospital_id": cases["hospital_id"],
            **{
                name: cases[name]
                for name in (
                    "case_id",
                    "disposition",
                    "group_code",
                    "band",
                    "points",
                    "total_fen",
                    "basic_fund_fen",
                    "patient_fen",
                    "los_days",
                    "settlement_month",
                    "group_score",
                    "beside_fen",
                    "mode",
                    "control_fen",
                )
                if name in cases.column_names
            },
            **({"part": cases["part"]} if "part" in cases.column_names else {}),
        }
    )


async def _check_stored(uow: UnitOfWork, frozen: FrozenRun, computed: ComputedRun, waiting: Mapping[str, int]) -> None:
    """What stands in the table is what was computed: cases and points of every hospital, cleared and pending."""
    stored = {
        (frozen.hospitals[row.hospital_id][0], row.is_cleared): (row.cases, int(row.points))
        for row in await clearing.case_totals(uow, frozen.run.run_id)
    }
    due: dict[tuple[str, bool], tuple[int, int]] = {}
    for line in computed.lines:
        if line.cases:
            due[line.hospital, True] = (line.cases, line.points)
    due.update({(code, False): (n, 0) for code, n in waiting.items()})
    for key in sorted({*stored, *due}):
        if stored.get(key) != due.get(key):
            raise InvariantBroken(
                SAME_CASES, account=key[0], detail=f"stored {stored.get(key)}, computed {due.get(key)}"
            )


def _waiting(frozen: FrozenRun, computed: ComputedRun) -> dict[str, int]:
    pending = computed.cases.filter(pc.not_equal(computed.cases["disposition"], CLEARED))
    counted = pending.group_by("hospital_id").aggregate([("case_id", "count")]).to_pylist()
    return {frozen.hospitals[row["hospital_id"]][0]: row["case_id_count"] for row in counted}


def _statement_row(
    frozen: FrozenRun,
    computed: ComputedRun,
    line: StatementLine,
    number: int,
    waiting: int,
    found: RunChanges,
) -> dict[str, Any]:
    changes = found.by_hospital.get(line.hospital)
    return {
        "area_id": frozen.run.area_id,
        "county_id": frozen.hospitals[number][1],
        "hospital_id": number,
        "run_id": frozen.run.run_id,
        "cases": line.cases,
        "pending_cases": waiting,
        "points": line.points,
        "cost_fen": line.cost_fen,
        "booked_fen": line.booked_fen,
        "patient_fen": line.patient_fen,
        "gross_fen": line.gross_fen,
        "not_prepaid_fen": line.not_prepaid_fen,
        "cash_cut_fen": line.cash_cut_fen,
        "deductions_fen": line.deductions_fen,
        "assessment_withheld_fen": line.assessment_withheld_fen,
        "band_withheld_fen": line.band_withheld_fen,
        "bonus_fen": line.bonuses_fen,
        "cleared_fen": line.cleared_fen,
        "deposit_withheld_fen": line.deposit_withheld_fen,
        "payable_fen": line.payable_fen,
        "prior_paid_fen": line.payments_recorded_fen,
        "offset_fen": line.offsets_fen,
        "transfer_fen": line.transfer_fen,
        "remainder_fen": line.remainder_fen,
        **_below_payable(computed, line),
        "off_pool_fen": frozen.special.off_pool_of(number),
        "beside_fen": computed.beside.by_hospital().get(number, 0),
        "control_withheld_fen": computed.beside.sums().withheld.get(number, 0) if computed.beside.held else 0,
        "working": {
            "changes": changes,
            "modes": computed.beside.of(number),
            "changes_refused": _refused(found),
            "offsets": [list(pair) for pair in computed.offsets.get(line.hospital, ())],
            "terms": {
                "points_decimals": computed.point_value.points_decimals,
                "fund_ratio": str(line.fund_ratio),
                "fen_per_unit": str(computed.point_value.fen_per_unit()),
                "less_patient": computed.less_patient,
                "default_share_fen": line.default_share_fen,
                "priced_share_fen": line.priced_share_fen,
                "method_share_fen": line.method_share_fen,
                "floor_fen": line.floor_fen,
                "printed_fen": line.printed_fen,
                "deposit_held_before_fen": line.deposit_held_before_fen,
                "deposit_target_fen": line.deposit_target_fen,
                "deposit_posting_fen": line.deposit_posting_fen,
                "case_cut": computed.share_cuts.get(line.hospital, ShareCut()).described(),
                **_parts(computed, line.hospital),
                **({} if frozen.by_case is None else {"by_case": str(frozen.by_case)}),
            },
            "steps": _plain_steps(computed.workings[line.hospital])
            + _special_step(frozen, number)
            + modes_step(computed, number)
            + control_steps(frozen, computed, line.hospital)
            + _changes_step(changes)
            + _refused_step(found),
        },
    }


def _special_step(frozen: FrozenRun, number: int) -> list[dict[str, Any]]:
    """The hospital's reviewed cases as a step of the working; none where it has none."""
    special = frozen.special
    values: list[list[str]] = []
    for case in sorted(one for one, hospital in special.hospital_of.items() if hospital == number):
        if case in special.points:
            places = special.points_decimals or 0
            values.append([f"points {case}", str(Decimal(special.points[case]).scaleb(-places))])
        elif case in special.off_pool:
            values.append([f"off_pool {case}", yuan_from_fen(special.off_pool[case])])
        else:
            values.append([f"in_review {case}", ""])
    if not values:
        return []
    return [
        {
            "rule": "review.special_cases",
            "zh": "特例单议：核定分值的病例以核定分值参与分配；池外支付的病例退出基金池，金额另行拨付；评审中的病例列入名单。",
            "en": "Special cases: awarded points share in the pool; a case paid beside the pool has left it and is paid apart; one in review "
            "is on its list.",
            "values": values,
            "document": "",
        }
    ]


def _parts(computed: ComputedRun, hospital: str) -> dict[str, Any]:
    """What the cases of a hospital share in each scope, where the pool was divided."""
    parts = computed.part_cuts.get(hospital)
    return {} if parts is None else {"parts": {scope: one.described() for scope, one in parts.items()}}


def _changes_step(changes: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The causes of the change as a step of the working; none where nothing was settled before."""
    if changes is None:
        return []
    values = [["before", yuan_from_fen(changes["before_fen"])]]
    values += [[name, yuan_from_fen(amount)] for name, amount in changes["causes"] if amount]
    values.append(["after", yuan_from_fen(changes["after_fen"])])
    return [
        {
            "rule": "clearing.changes",
            "zh": "与原结算应拨付的差额，按固定次序逐项归因，每项为两次完整计算之差，合计等于变动。",
            "en": "The change since what was settled before, cause by cause in a fixed order, each the difference of two full computations; "
            "they add up to it.",
            "values": values,
            "document": "",
        }
    ]


def _refused(found: RunChanges) -> dict[str, str] | None:
    """Why a run that replaces earlier ones gives no causes."""
    why = found.refusal
    return None if why is None else {"code": why.code, "zh": why.zh, "en": why.en}


def _refused_step(found: RunChanges) -> list[dict[str, Any]]:
    """The same as a step of the working; none where the causes are given, or nothing was settled before."""
    why = _refused(found)
    if why is None:
        return []
    return [
        {
            "rule": "clearing.changes_refused",
            "zh": f"与原结算的差额未能归因：{why['zh']}",
            "en": f"No causes are given for the change since what was settled before: {why['en']}",
            "values": [["code", why["code"]]],
            "document": "",
        }
    ]


def _below_payable(computed: ComputedRun, line: StatementLine) -> dict[str, int]:
    annual = computed.annual.get(line.hospital)
    amounts = {account: annual.amount(account) if annual else 0 for account in AnnualAccount}
    return {f"{account.value}_fen": amount for account, amount in amounts.items()}


def _plain_steps(working: Working) -> list[dict[str, Any]]:
    return [
        {
            "rule": step.rule,
            "zh": step.zh,
            "en": step.en,
            "values": [list(pair) for pair in step.values],
            "document": step.document,
        }
        for step in working
    ]
