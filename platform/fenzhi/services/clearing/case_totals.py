"""What the cases of a run come to, hospital by hospital (病例份额合计): shared out in bulk, added up again, and who takes the last fen."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from fenzhi.engine.engine import Engine
from fenzhi.rules.clearing.conservation import CaseTotals
from fenzhi.rules.clearing.out_of_area import case_amounts
from fenzhi.rules.clearing.scoped_clearing import ScopedShares
from fenzhi.rules.clearing.statement import StatementLine
from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.services.clearing.case_shares import ShareCut, less_patient_cut

_BETWEEN = "\x1f"


@dataclass(frozen=True, slots=True)
class PartShare:
    """What the cases of a hospital in one scope share (机构在一个范围内的份额). Units: fen, points in 10^-d."""

    gross_fen: int
    points: int
    cut: ShareCut

    def described(self) -> dict[str, Any]:
        """As a statement keeps it (入库形式)."""
        return {"gross_fen": self.gross_fen, "points": self.points, "case_cut": self.cut.described()}


class Frozen(Protocol):
    """What is read of a frozen run (所读的冻结依据)."""

    @property
    def hospitals(self) -> Mapping[int, tuple[str, int | None]]: ...
    @property
    def by_case(self) -> Fraction | None: ...


class Shared(Protocol):
    """What is read of the money of a run (所读的结算金额)."""

    @property
    def lines(self) -> tuple[StatementLine, ...]: ...
    @property
    def point_value(self) -> PointValue: ...
    @property
    def less_patient(self) -> bool: ...
    @property
    def scoped(self) -> ScopedShares | None: ...


def amounts_by_case(points: pa.ChunkedArray, fen_per_unit: Fraction) -> pa.ChunkedArray:
    """What each case of another area is paid, in the order of the rows given (异地病例逐例金额). Units: fen."""
    known = pc.unique(points)
    amounts = case_amounts(known.to_pylist(), fen_per_unit)
    return pc.take(pa.array(amounts, pa.int64()), pc.index_in(points, value_set=known))


def share_totals(
    frozen: Frozen, engine: Engine, settled: Shared, cleared: pa.Table
) -> tuple[tuple[CaseTotals, ...], dict[str, ShareCut], dict[str, dict[str, PartShare]]]:
    """The case shares of every hospital, apportioned and added up again; who takes the last fen of each; and the same by scope of a pool that
    was divided (病例份额合计、末位分摊病例). `cleared`: in order of case id. Raises: InvariantBroken when shares do not add up."""
    if cleared.num_rows == 0:
        return (), {}, {}
    counted = cleared.group_by("hospital_id").aggregate([("case_id", "count"), ("points", "sum")]).to_pylist()
    code_of = {row["hospital_id"]: frozen.hospitals[row["hospital_id"]][0] for row in counted}
    gross = {line.hospital: line.gross_fen for line in settled.lines}
    shares, cuts = dict(gross), dict.fromkeys(code_of.values(), ShareCut())
    parts: dict[str, dict[str, PartShare]] = {}
    if frozen.by_case is not None:
        paid = pa.table({"hospital": cleared["hospital_id"], "fen": amounts_by_case(cleared["points"], frozen.by_case)})
        summed = paid.group_by("hospital").aggregate([("fen", "sum")]).to_pylist()
        shares = {code_of[row["hospital"]]: row["fen_sum"] for row in summed}
    elif settled.less_patient:
        for number, code in code_of.items():
            own = cleared.filter(pc.equal(cleared["hospital_id"], number))
            columns = (own[name].to_pylist() for name in ("case_id", "points", "patient_fen"))
            cases = [(uuid.UUID(one), points, other) for one, points, other in zip(*columns, strict=True)]
            cuts[code] = less_patient_cut(gross[code], cases, settled.point_value.fen_per_unit())
    elif settled.scoped is None:
        due = {str(number): gross.get(code, 0) for number, code in code_of.items()}
        found, last = _shared_out(engine, due, pc.cast(cleared["hospital_id"], pa.string()), cleared)
        shares = {code_of[int(number)]: fen for number, fen in found.items()}
        cuts |= {code_of[int(number)]: cut for number, cut in last.items()}
    else:
        shares, parts = _by_part(engine, settled.scoped, code_of, cleared)
    totals = tuple(
        CaseTotals(code, row["case_id_count"], row["points_sum"], shares.get(code, 0))
        for row in counted
        for code in (code_of[row["hospital_id"]],)
    )
    return totals, cuts, parts


def _by_part(
    engine: Engine, scoped: ScopedShares, code_of: Mapping[int, str], cleared: pa.Table
) -> tuple[dict[str, int], dict[str, dict[str, PartShare]]]:
    """Each hospital's gross in each scope over its cases there."""
    keys = pc.binary_join_element_wise(cleared["part"], pc.cast(cleared["hospital_id"], pa.string()), _BETWEEN)
    counted = pa.table({"key": keys, "points": cleared["points"]}).group_by("key").aggregate([("points", "sum")])
    due: dict[str, int] = {}
    points: dict[str, int] = {}
    for row in counted.to_pylist():
        scope, number = row["key"].split(_BETWEEN)
        due[row["key"]] = scoped.shares[scope].shares[code_of[int(number)]].gross_fen
        points[row["key"]] = row["points_sum"]
    found, last = _shared_out(engine, due, keys, cleared)
    shares: dict[str, int] = {}
    parts: dict[str, dict[str, PartShare]] = {}
    for key in sorted(due):
        scope, number = key.split(_BETWEEN)
        code = code_of[int(number)]
        shares[code] = shares.get(code, 0) + found[key]
        parts.setdefault(code, {})[scope] = PartShare(due[key], points[key], last.get(key, ShareCut()))
    return shares, parts


def _shared_out(
    engine: Engine, due: Mapping[str, int], keys: pa.ChunkedArray, cleared: pa.Table
) -> tuple[dict[str, int], dict[str, ShareCut]]:
    """What is due by key over the cases of that key: what their shares add up to, and the last case of each that takes a fen left."""
    # Rows stand in order of case id, so that their numbers break ties as the ids would.
    numbers = pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), cleared.num_rows))
    totals = pa.table({"hospital": pa.array(list(due), pa.string()), "total_fen": pa.array(due.values(), pa.int64())})
    cases = pa.table({"hospital": keys, "points": cleared["points"], "case_id": numbers})
    shared = engine.apportion_cases(totals, cases)
    summed = shared.group_by("hospital").aggregate([("share_fen", "sum")]).to_pylist()
    cuts = {}
    for row in shared.filter(pc.is_valid(shared["last_remainder"])).to_pylist():
        last = cleared["case_id"][row["case_id"] - 1].as_py()
        cuts[row["hospital"]] = ShareCut(row["last_remainder"], uuid.UUID(last))
    return {row["hospital"]: row["share_fen_sum"] for row in summed}, cuts
