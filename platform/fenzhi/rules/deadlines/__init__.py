"""Deadlines (期限): working days, the clocks the law sets, the calendar of annual clearing.

Owns: which days are worked, when a clock ends, which date a year must be cleared by. Does not own: what day it is; every
date is handed in. Invariants: a year whose calendar is not published has a typed answer, never a guess.
"""
