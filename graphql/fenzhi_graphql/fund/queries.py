"""Fund queries (基金查询)."""

from __future__ import annotations

import strawberry

from fenzhi.services.fund import budgets, deductions, payments
from fenzhi_graphql.context import Info
from fenzhi_graphql.fund.types import AuditDeduction, FundBudget, Payment
from fenzhi_graphql.jobs.types import uuid_of
from fenzhi_graphql.paging import Connection, connection, keys_of, page_size


@strawberry.type
class FundQuery:
    @strawberry.field(description="Every version of the budgets of a year (预算). Roles: city, province analyst.")
    async def fund_budgets(self, info: Info, year: int) -> list[FundBudget]:
        context = info.context
        return [FundBudget.of(view) for view in await budgets.budgets(context.platform, context.subject, year)]

    @strawberry.field(description="Payments recorded, in order of recording (拨付列表).")
    async def payments(
        self, info: Info, first: int, after: str | None = None, year: int | None = None, hospital: str = ""
    ) -> Connection[Payment]:
        context = info.context
        size = page_size(first)
        place = f"payments/{year}/{hospital}"
        keys = keys_of(context, place, after)
        last = uuid_of(str(keys[0])) if keys else None
        views = await payments.payments(context.platform, context.subject, last, size + 1, year=year, hospital=hospital)
        return connection(context, place, views, size, Payment.of, lambda view: [str(view.payment_id)])

    @strawberry.field(description="Audit deductions, in order of entry (扣款列表); a hospital sees its approved ones.")
    async def audit_deductions(
        self, info: Info, first: int, after: str | None = None, year: int | None = None
    ) -> Connection[AuditDeduction]:
        context = info.context
        size = page_size(first)
        place = f"auditDeductions/{year}"
        keys = keys_of(context, place, after)
        last = uuid_of(str(keys[0])) if keys else None
        views = await deductions.deductions(context.platform, context.subject, last, size + 1, year=year)
        return connection(context, place, views, size, AuditDeduction.of, lambda view: [str(view.deduction_id)])
