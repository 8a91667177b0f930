"""Scorecard (考核评价): what a published run says about a hospital.

Owns: the indicators with formula, unit, numerator and denominator; the traffic light over policy intervals.
Does not own: weights of an assessment (policy), who sees which hospital (access).
Invariants: an indicator is an exact fraction with both of its parts; without a denominator it has no value and says
why.
"""
