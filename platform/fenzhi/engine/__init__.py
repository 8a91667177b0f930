"""The bulk twin of the rules (批量引擎): Arrow in, Arrow out, integers only.

failures.py         what can go wrong, typed
connection.py       one in-process database per engine, bounded in memory and threads
compiled_book.py    an edition and a grouping method as dense integers
scoring_plan.py     scores, coefficients, references and lines as integers
grouping_sql.py     the statements of grouping and scoring
group_and_score.py  cases → group, reason, band, points
apportionment.py    a hospital's money over its cases, to the fen
aggregates.py       per hospital and per group sums
engine.py           the door: `Engine`

Every statement is written by hand over int64, HUGEINT where the bounds of the run demand it. The rules are the
specification: the engine must give the same bytes for every case, and a test holds it to that.
"""
