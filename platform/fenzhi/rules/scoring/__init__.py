"""Scoring rules (计分): the points of one case.

cost_outliers.py   bands around the reference cost and the multiplier of each
score_case.py      score × coefficients × outlier multiplier, rounded once
"""
