"""Fund (基金): what a pool may pay in a year, and the books in which every fen of it stands.

Owns: the composition of the budget, carve-outs and the proof that nothing is paid twice, the quarterly curve, the
advance, the chart of accounts, the entries of a run and their reversal.
Does not own: how the fund is shared (clearing), what a point is worth (point_value).
Invariants: the parts of a budget add up to its whole; debit equals credit; the books agree with the statements.
"""
