"""A value that a scalar refuses is the sender's fault and says so (标量取值有误), however it travels."""

from __future__ import annotations

import pytest
from graphql import GraphQLError

from fenzhi_graphql.schema import build_schema, masked

ORDER = 'idempotencyKey: "k-1234567", run: "r", hospital: "h", voucher: "v", paidOn: "2025-01-01", amountFen: '
LITERAL = "mutation { paymentRecord(input: {" + ORDER + '"12.50"}) { userErrors { code } } }'
VARIABLE = "mutation($fen: Fen!) { paymentRecord(input: {" + ORDER + "$fen}) { userErrors { code } } }"


async def _errors(document: str, variables: dict[str, object]) -> list[GraphQLError]:
    found = await build_schema().execute(document, variable_values=variables)
    return [masked(error, "request-1") for error in found.errors or ()]


@pytest.mark.parametrize(
    ("document", "variables"),
    [(LITERAL, {}), (VARIABLE, {"fen": "12.50"}), (VARIABLE, {"fen": 12.5})],
)
async def test_a_broken_amount_is_named(document: str, variables: dict[str, object]) -> None:
    (error,) = await _errors(document, variables)
    assert error.extensions == {"code": "GRAPHQL_INVALID", "requestId": "request-1"}
    assert "Fen is a whole number of fen as a string" in error.message


def test_a_fault_of_a_resolver_stays_hidden() -> None:
    error = GraphQLError("boom: secret", path=["cases"], original_error=ValueError("secret"))
    shown = masked(error, "request-1")
    assert shown.extensions == {"code": "INTERNAL", "requestId": "request-1"}
    assert "secret" not in shown.message
