from __future__ import annotations

from fenzhi.cli.synthetic.demo_policies import POLICY_FROM, demo_policies
from fenzhi.rules.policy.fields import read_content
from fenzhi.store.policy_files import national_policy


def test_every_value_that_must_be_entered_is_entered_and_is_sound():
    files = national_policy()
    fields = {field.key: field for field in files.fields}
    entered = {policy.key: policy for policy in demo_policies()}
    assert len(entered) == len(demo_policies())
    national = {value.key for value in files.values}
    owed = {key for key, field in fields.items() if not field.optional and key not in national}
    assert owed <= set(entered)
    assert set(entered) <= set(fields)
    for key, policy in entered.items():
        _, refusals = read_content(fields[key], policy.value)
        assert refusals == (), key
        assert policy.effective_from == POLICY_FROM
        assert policy.document.standing == "constructed"
