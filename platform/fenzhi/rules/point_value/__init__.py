"""Point value (点值): how many yuan one point is worth, before the year and after it.

Owns: the key of a fund pool, the fund of a period, budget and settlement point value with their basis.
Does not own: the sharing of the fund (clearing): what is printed here is rounded, what is paid there is apportioned.
Invariants: a point value is four integers and a basis; two of different basis never stand in one sum.
"""
