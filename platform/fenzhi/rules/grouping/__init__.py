"""Grouping rules (入组): which disease group a case belongs to, and why no other.

grouping_method.py   the choices a policy makes
outcome.py           reasons, rejected candidates, the outcome
catalog_book.py      an edition, indexed by diagnosis key
group_case.py        one case into its group, with its working
"""
