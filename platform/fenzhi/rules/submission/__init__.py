"""Submission (清单上报): what a settlement list says, what may be wrong with it, and the case it becomes.

- `settlement_list`: one list as the checks see it, exact and free of its wire form
- `verdict`: one finding about a list, in both languages
- `format_texts`, `table_texts`, `check_texts`, `optional_texts`, `verdict_texts`: every code a hospital can meet, with its words
- `check_policy`: how strict the checks are, by dated policy
- `case_checks`: the quality-control rules
- `optional_checks`: rules an area may switch on
- `verdict_price`: what a finding costs or endangers
- `case_facts`: the facts of an accepted list that grouping, scoring and clearing use
- `refusal_page`: the page that explains a code
"""
