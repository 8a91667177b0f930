"""Clearing (结算清算): from a fund and the points of hospitals to what each is owed, to the fen.

Owns: apportionment, share methods, month and quarter statements, deposit, offsets, the conservation checks.
Does not own: where points come from (scoring), what a point is worth (point_value), when a run may start (services).
Invariants: every fen of the pool is in exactly one hospital's gross or one named account; every statement adds up.
"""
