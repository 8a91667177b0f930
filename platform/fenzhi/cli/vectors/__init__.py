"""Conformance vectors (一致性向量): cases with expected answers that owe nothing to the engine or the rules.

reference.py   the slow reference: own parsing, fractions, brute force; imports nothing of the platform
invent.py      worlds and cases from a seed; imports nothing of the platform either
by_hand.yaml   cases made by hand, layer by layer
command.py     `fenzhi vectors write|check`
"""
