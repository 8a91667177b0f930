"""Cases into groups, reasons, bands and points, in bulk (批量入组计分)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from fenzhi.engine.case_preparation import flagged, preparation
from fenzhi.engine.columns import check_columns, extremes
from fenzhi.engine.compiled_book import MATCHED_BITS, CompiledBook
from fenzhi.engine.connection import HUGEINT_MAX, INT64_MAX, BulkConnection
from fenzhi.engine.failures import EngineFailed, bounds_exceeded, input_refused
from fenzhi.engine.grouping_sql import grouping_statement, scoring_statement
from fenzhi.engine.scoring_plan import SOURCES, ScoringPlan, run_bounds
from fenzhi.rules.grouping.outcome import REASONS
from fenzhi.rules.scoring.cost_outliers import BANDS

MOST_PROCEDURES = (1 << MATCHED_BITS) - 1

_REASONS = pa.array([reason.value for reason in REASONS], pa.string())
_BANDS = pa.array([band.value for band in BANDS], pa.string())
_SOURCES = pa.array([source.value for source in SOURCES], pa.string())


def group_cases(connection: BulkConnection, cases: pa.Table, book: CompiledBook, *, batch_rows: int) -> pa.Table:
    """Cases into groups only (批量入组): see `Engine.group`."""
    coded = flagged(_coded(cases, book), cases, book)
    _check_procedures(coded)
    if book.nearest_cost:
        given = "cost_fen" in cases.column_names
        coded = coded.append_column("cost_fen", cases["cost_fen"] if given else pa.nulls(cases.num_rows, pa.int64()))
    statement = grouping_statement(book)
    parts = [
        _group_columns(
            _answer(connection, statement, {"cases": batch, **_book_tables(connection, batch, book)}),
            book,
        )
        for batch in _batches(coded, batch_rows)
    ]
    return pa.concat_tables(parts)


def group_and_score_cases(
    connection: BulkConnection, cases: pa.Table, plan: ScoringPlan, *, batch_rows: int
) -> pa.Table:
    """Cases into groups and points (批量入组计分): see `Engine.group_and_score`."""
    book = plan.book
    coded = flagged(_coded(cases, book), cases, book)
    _check_procedures(coded)
    coded = _with_scoring_columns(coded, cases, plan)
    largest_cost = pc.max(coded["cost_fen"]).as_py() or 0
    bounds = run_bounds(plan, largest_cost)
    for what, value in (
        ("正常病例 normal case", bounds.normal),
        ("异常病例 outlier case", bounds.outlier),
        ("空白病种 blank group", bounds.blank),
    ):
        if value > HUGEINT_MAX:
            raise bounds_exceeded(f"计分中间量 intermediate of a {what}", value, HUGEINT_MAX)
    statement = scoring_statement(plan, bounds)
    parts: list[pa.Table] = []
    for batch in _batches(coded, batch_rows):
        found = _answer(
            connection,
            statement,
            {
                "cases": batch,
                **_book_tables(connection, batch, book),
                "prices": plan.prices,
                "factors": plan.factor_table,
                "auxiliaries": plan.auxiliary_table,
            },
        )
        scored = _group_columns(found, book)
        scored = scored.append_column("band", _words(found["band"], _BANDS))
        scored = scored.append_column("reference_source", _words(found["source"], _SOURCES))
        parts.append(scored.append_column("points", found["points"]))
    return pa.concat_tables(parts)


def group_and_score_editions(
    connection: BulkConnection, cases: pa.Table, plans: Mapping[str, ScoringPlan], *, batch_rows: int
) -> pa.Table:
    """Cases of several editions (多版本批量入组计分): see `Engine.group_and_score_editions`."""
    check_columns(cases, {"edition_id": pa.string()}, "cases")
    ordinals = _ordinals(cases.num_rows)
    wanted = pc.unique(cases["edition_id"]).to_pylist()
    unplanned = sorted(set(wanted) - set(plans))
    if unplanned:
        raise input_refused(
            "有病例的目录版本没有计分方案。", "An edition of a case has no plan.", editions=", ".join(unplanned)
        )
    parts: list[pa.Table] = []
    for edition_id in sorted(wanted):
        chosen = pc.equal(cases["edition_id"], edition_id)
        mine = cases.filter(chosen)
        scored = group_and_score_cases(connection, mine, plans[edition_id], batch_rows=batch_rows)
        scored = scored.set_column(0, "ordinal", ordinals.filter(chosen.combine_chunks()))
        code = scored.column_names.index("group_code")
        scored = scored.set_column(code, "group_code", pc.cast(scored["group_code"], pa.string()))
        parts.append(scored.append_column("edition_id", mine["edition_id"]))
    if not parts:
        return _no_editions()
    together = pa.concat_tables(parts).unify_dictionaries()
    return together.take(pc.sort_indices(together["ordinal"]))


def _no_editions() -> pa.Table:
    words = pa.dictionary(pa.int8(), pa.string())
    kinds = {"ordinal": pa.int64(), "group_code": pa.string(), "reason": words, "band": words}
    kinds |= {"reference_source": words, "points": pa.int64(), "edition_id": pa.string()}
    return pa.schema(list(kinds.items())).empty_table()


def _book_tables(connection: BulkConnection, batch: pa.Table, book: CompiledBook) -> dict[str, pa.Table]:
    tables = {"diagnoses": book.diagnoses, "matches": book.matches, "singles": book.singles}
    if book.edition.lists.touches_procedures:
        tables["effective"] = preparation(connection, batch, book)
    return tables


def _coded(cases: pa.Table, book: CompiledBook) -> pa.Table:
    for name in ("principal_diagnosis", "procedures"):
        if name not in cases.column_names:
            raise input_refused(f"缺少列 {name}。", f"The column {name} is missing.", missing=name)
    principal, procedures = cases["principal_diagnosis"], cases["procedures"]
    if principal.type == pa.int32() and procedures.type == pa.list_(pa.int32()):
        if principal.null_count or procedures.null_count:
            raise input_refused("整数编码列不得有空值。", "Coded columns may hold no nulls.")
        low, high = extremes(principal)
        if low < -2 or high >= len(book.diagnosis_codes):
            raise input_refused("诊断编号超出目录。", "A diagnosis number is outside the book.", saw=f"{low}..{high}")
        coded = pa.table({"diagnosis": principal, "procedures": procedures})
    else:
        coded = book.encode(principal, procedures)
    return coded.append_column("ordinal", _ordinals(cases.num_rows))


def _with_scoring_columns(coded: pa.Table, cases: pa.Table, plan: ScoringPlan) -> pa.Table:
    wanted = {"cost_fen": pa.int64(), "factor": pa.int32()}
    check_columns(cases, wanted, "cases")
    for name in wanted:
        coded = coded.append_column(name, cases[name])
    low, high = extremes(coded["cost_fen"])
    if low < 0:
        raise input_refused("病例费用为负，不能计分。", "A case cost is below zero.", saw=str(low))
    if high == INT64_MAX:
        # That number stands for a line that does not exist.
        raise bounds_exceeded("病例费用 cost of a case", high, INT64_MAX - 1)
    _within(coded["factor"], len(plan.factors), "factor")
    if "auxiliary" in cases.column_names:
        auxiliary = pc.cast(cases["auxiliary"], pa.int32())
        if auxiliary.null_count:
            raise input_refused("列 auxiliary 有空值。", "The column auxiliary holds nulls.", column="auxiliary")
        _within(auxiliary, len(plan.auxiliaries), "auxiliary")
    else:
        auxiliary = pa.repeat(pa.scalar(0, pa.int32()), cases.num_rows)
        if len(plan.auxiliaries) != 1:
            raise input_refused(
                "有多个辅助系数，须指明列 auxiliary。", "Several auxiliary coefficients: name one per case."
            )
    return coded.append_column("auxiliary", auxiliary)


def _within(column: pa.ChunkedArray, count: int, name: str) -> None:
    low, high = extremes(column)
    if low < 0 or high >= count:
        raise input_refused(
            f"列 {name} 的编号超出范围。", f"A number of {name} is outside the plan.", saw=f"{low}..{high}"
        )


def _check_procedures(coded: pa.Table) -> None:
    """Refuse what the comparison number cannot count (单病例手术操作数上限)."""
    longest = pc.max(pc.list_value_length(coded["procedures"])).as_py() or 0
    if longest > MOST_PROCEDURES:
        raise bounds_exceeded("单个病例的手术操作数 procedures of one case", longest, MOST_PROCEDURES)


def _ordinals(count: int) -> pa.Array:
    counted = pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), count))
    return pc.subtract(counted, pa.scalar(1, pa.int64()))


def _batches(coded: pa.Table, batch_rows: int) -> Iterator[pa.Table]:
    for start in range(0, max(1, coded.num_rows), batch_rows):
        yield coded.slice(start, batch_rows)


def _answer(connection: BulkConnection, statement: str, tables: dict[str, pa.Table]) -> pa.Table:
    found = connection.run(statement, tables)
    if found.num_rows != tables["cases"].num_rows:
        raise EngineFailed(
            "入组结果行数与病例数不同。",
            "The engine answered another number of rows than it was given.",
            given=str(tables["cases"].num_rows),
            answered=str(found.num_rows),
        )
    if not found["ordinal"].equals(tables["cases"]["ordinal"]):
        # DuckDB may drop the order of an answer while its insertion order is off; the rows are all there.
        found = found.take(pc.sort_indices(found["ordinal"]))
        if not found["ordinal"].equals(tables["cases"]["ordinal"]):
            raise EngineFailed("入组结果与病例不能一一对应。", "The engine's rows are not the rows it was given.")
    return found


def _group_columns(found: pa.Table, book: CompiledBook) -> pa.Table:
    return pa.table(
        {
            "ordinal": found["ordinal"],
            "group_code": _words(found["group_number"], book.group_codes),
            "reason": _words(found["reason"], _REASONS),
        }
    )


def _words(numbers: pa.ChunkedArray, words: pa.Array) -> pa.ChunkedArray:
    """Engine numbers as dictionary text (编号转文本): the numbers stay what they are, the words are shared."""
    kind = pa.dictionary(numbers.type, pa.string())
    chunks = [pa.DictionaryArray.from_arrays(chunk, words) for chunk in numbers.chunks]
    return pa.chunked_array(chunks, type=kind)
