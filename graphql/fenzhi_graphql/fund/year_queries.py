"""Queries of what a year needs (年度录入事项查询)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

import strawberry

from fenzhi.rules.quantities import decimal_places
from fenzhi.services.fund import books, composition, year_entries
from fenzhi_graphql.context import Info
from fenzhi_graphql.fund.types import Insurance, PoolScope
from fenzhi_graphql.fund.year_types import AccountOpening, Advance, AssessmentResult, Receivable, VolumeBaseline
from fenzhi_graphql.jobs.types import uuid_of
from fenzhi_graphql.paging import Connection, connection, keys_of, page_size
from fenzhi_graphql.scalars import ExactDecimal, Fen

T = TypeVar("T")


@strawberry.type(description="Where one account of a pool's year stands in the books (科目余额).")
class BookBalance:
    hospital_code: str = strawberry.field(description="Institution code, blank for the pool itself (机构编码).")
    account: str = strawberry.field(description="Account, such as payable (科目).")
    zh: str = strawberry.field(description="Name in Chinese (中文名称).")
    balance_fen: Fen = strawberry.field(description="Balance in fen, debit positive, credit negative (余额，分).")


async def _page(
    info: Info, kind: str, of: Callable[[year_entries.EntryView], T], first: int, after: str | None, year: int | None
) -> Connection[T]:
    context = info.context
    size = page_size(first)
    place = f"{kind}/{year}"
    keys = keys_of(context, place, after)
    last = uuid_of(str(keys[0])) if keys else None
    views = await year_entries.entries(context.platform, context.subject, kind, last, size + 1, wanted_year=year)
    return connection(context, place, views, size, of, lambda view: [str(view.entry_id)])


@strawberry.type
class YearQuery:
    @strawberry.field(
        description="Assessments of a year, in order of entry; below the city approved ones (考核结果列表)."
    )
    async def assessment_results(
        self, info: Info, first: int, after: str | None = None, year: int | None = None
    ) -> Connection[AssessmentResult]:
        return await _page(info, "AssessmentResult", AssessmentResult.of, first, after, year)

    @strawberry.field(description="Opening balances of accounts (账户期初余额列表). Roles: city, province analyst.")
    async def account_openings(
        self, info: Info, first: int, after: str | None = None, year: int | None = None
    ) -> Connection[AccountOpening]:
        return await _page(info, "AccountOpening", AccountOpening.of, first, after, year)

    @strawberry.field(description="What hospitals owe, in order of entry; below the city approved ones (应收款列表).")
    async def receivables(
        self, info: Info, first: int, after: str | None = None, year: int | None = None
    ) -> Connection[Receivable]:
        return await _page(info, "Receivable", Receivable.of, first, after, year)

    @strawberry.field(description="Advances with their reconciliation; below the city approved ones (预付金列表).")
    async def advances(
        self, info: Info, first: int, after: str | None = None, year: int | None = None
    ) -> Connection[Advance]:
        return await _page(info, "Advance", Advance.of, first, after, year)

    @strawberry.field(description="Baselines of an elastic point value; below the city approved ones (基准量列表).")
    async def volume_baselines(
        self, info: Info, first: int, after: str | None = None, year: int | None = None
    ) -> Connection[VolumeBaseline]:
        return await _page(info, "VolumeBaseline", VolumeBaseline.of, first, after, year)

    @strawberry.field(
        description="The books of a pool's year: every source and every published run; they sum to 0 (总账余额). "
        "Roles: city, province analyst; a county's settlement staff see the accounts of their own hospitals."
    )
    async def fund_books(self, info: Info, insurance: Insurance, pool_scope: PoolScope, year: int) -> list[BookBalance]:
        context = info.context
        found = await books.books(context.platform, context.subject, (insurance.value, pool_scope.value, year))
        return [
            BookBalance(hospital_code=b.hospital_code, account=b.account, zh=b.zh, balance_fen=Fen(b.balance_fen))
            for b in found
        ]

    @strawberry.field(
        description="The quarterly curve that the booked seasons of the years before suggest, four cumulative shares (季度进度测算). "
        "Roles: city."
    )
    async def fund_curve_suggested(self, info: Info, insurance: Insurance, year: int) -> list[ExactDecimal]:
        context = info.context
        shares = await composition.suggested_curve(context.platform, context.subject, insurance.value, year)
        return [ExactDecimal(Decimal(decimal_places(share, 10)).normalize()) for share in shares]
