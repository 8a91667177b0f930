"""Payment modes (支付方式): how one case is paid, by one mode, chosen by dated policy.

Owns: which mode a case falls under, what the modes beside DIP pay, monthly caps of total control, rare diseases with
several payers. Does not own: DIP itself (scoring, point_value, clearing); DRG, which is recorded and left to its system.
Invariants: one case, one mode; the parts of every payment add up to what was asked for, to the fen.
"""
