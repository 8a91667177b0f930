"""The check book of a planned hospital, as a service would load it from what the demonstration enters."""

from __future__ import annotations

import datetime as dt

from fenzhi.cli.synthetic.plan import ProvincePlan
from fenzhi.rules.submission.check_policy import (
    AgreementTerm,
    CheckBook,
    CodeEdition,
    LatenessReckoning,
    SubmissionPolicy,
)
from fenzhi.rules.submission.verdict import Severity


def plan_policy(plan: ProvincePlan) -> SubmissionPolicy:
    values = {policy.key: policy.value for policy in plan.policies}
    basic = values["submission.basic_fund_pay_types"]
    insurance_of = values["submission.insurance_types"]
    assert isinstance(basic, dict) and isinstance(insurance_of, dict)
    return SubmissionPolicy(
        insurance_of=insurance_of,
        basic_fund_types={name: frozenset(code for code, of in basic.items() if of == name) for name in basic.values()},
        list_due_days=7,
        lateness_reckoning=LatenessReckoning.DECLARED,
        severities={"GRAY_PRINCIPAL_DIAGNOSIS": Severity(str(values["submission.gray_principal_severity"]))},
    )


def plan_books(plan: ProvincePlan, received_on: dt.date) -> dict[str, CheckBook]:
    policy = plan_policy(plan)
    edition = CodeEdition(
        plan.codes_from,
        None,
        {row.code: row.is_gray for row in plan.diagnoses},
        {row.code: row.is_gray for row in plan.procedures},
    )
    return {
        hospital.code: CheckBook(
            hospital_code=hospital.code,
            policy=policy,
            codes=(edition,),
            agreements=tuple(
                AgreementTerm(term.insurance, term.valid_from, term.valid_to) for term in hospital.agreements
            ),
            received_on=received_on,
        )
        for hospital in plan.hospitals
    }
