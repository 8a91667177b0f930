"""Catalog rules (目录): what a disease group is, the text a catalog is published in, editions, scores from history.

disease_group.py     the group, its key, the order of diagnosis keys
conjunctions.py      the procedure grammar: `/` any of, `+` and
edition.py           code tables and the published, immutable edition
catalog_text.py      a catalog file in and, byte for byte, out again
code_table_text.py   a code table file in
score_derivation.py  groups and scores built from history, case by case
derivation_from_sums.py  the same from sums of equal cases
reference_costs.py   mean cost of a group, per hospital level, of last year
score_edits.py       edits and overlays that keep Σ score × n
groups_from_sums.py  groups by exact procedure set, with mean, variation, weight
related_uplift.py    when related procedures make a group of their own
auxiliary_catalog.py subtypes of a group: gates, triggers, the highest alone
layers.py            how many groups a layer has
dialects.py          the grammars in which catalogs are published
dialect_text.py      a catalog of any dialect in and, byte for byte, out again
dialect_writing.py   groups written in a dialect
dialect_records.py   cutting a file into rows that keep their text
dialect_faults.py    what can be wrong with a catalog file, in words
lint.py              groups no case can reach, or that contend for one
edition_diff.py      what changed between two editions
"""
