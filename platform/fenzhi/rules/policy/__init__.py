"""Policy values (策略参数): how much, since when, by which document.

Owns: what a parameter is (unit, Chinese name, allowed methods, range, who enters it), how nation, province and area
layer field by field, which value was in force on a date, the fingerprint a run is pinned to.
Does not own: formulas (the other rooms of `rules`), where values are kept (national: YAML in `policies/`; province and
area: published editions in the store).
Invariants: every value names its document; a value nobody entered is a typed refusal, never a silent default.
"""
