"""Special-case review (特例单议): which cases may ask, how many are heard, who hears them, what it means for money.

Owns: eligibility, the cap of the area and its queue, the draw of experts, the vote, the outcome in points or off pool,
statistics. Does not own: the time of the clocks (deadlines), the sharing of the fund (clearing).
Invariants: the cap is the area's and never a hospital's; a draw can be repeated by anyone who has its seed; an outcome
enters one year once.
"""
