"""Submission mutations (上报): open, seal or give up a batch; submit up to a hundred lists at once."""

from __future__ import annotations

import uuid

import strawberry

from fenzhi.services.acts import Answer, as_id
from fenzhi.services.submission import batches
from fenzhi_graphql.context import Info
from fenzhi_graphql.outcomes import ERRORS, UserError, answered
from fenzhi_graphql.paging import key_of
from fenzhi_graphql.submission.list_input import SettlementListInput, wire_line
from fenzhi_graphql.submission.types import Batch, BatchMode, BatchPurpose, batch_in_scope

_KEY = "A fresh random key; the same when retrying (幂等键)."


@strawberry.input(description="Open a batch for parts (新建批次).")
class BatchCreateInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    purpose: BatchPurpose = strawberry.field(description="What it will hold (用途).")
    mode: BatchMode = strawberry.field(description="Whether one refused row refuses it (受理方式).")
    label: str = strawberry.field(default="", description="Your own words for it, at most 200 characters (批次说明).")


@strawberry.input(description="Seal a batch: all its parts are there (封存批次).")
class BatchSealInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    batch: strawberry.ID = strawberry.field(description="The batch (批次).")
    parts: int = strawberry.field(description="Number of parts; 1 to this number must be there (分片数).")
    rows: int | None = strawberry.field(
        default=None,
        description="Number of rows sent; a batch that holds another number is refused whole (行数).",
    )


@strawberry.input(description="Give up a batch before its seal (作废批次).")
class BatchAbandonInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    batch: strawberry.ID = strawberry.field(description="The batch (批次).")


@strawberry.input(description="Submit up to 100 lists in one act: batch, part and seal together (直接上报).")
class SettlementListsSubmitInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    lists: list[SettlementListInput] = strawberry.field(description="1 to 100 lists (结算清单).")
    mode: BatchMode = strawberry.field(
        default=BatchMode.PARTIAL, description="Whether one refused list refuses all (受理方式)."
    )
    label: str = strawberry.field(default="", description="Your own words, at most 200 characters (批次说明).")


@strawberry.type(description="The batch, or what stood in the way.")
class BatchPayload:
    batch: Batch | None = strawberry.field(description="The batch (批次).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


async def _payload(info: Info, answer: Answer | None, errors: list[UserError]) -> BatchPayload:
    found = await batch_in_scope(info, str(answer["id"])) if answer else None
    return BatchPayload(batch=found, user_errors=errors)


def _purpose(given: BatchPurpose) -> batches.Purpose:
    return batches.Purpose(str(given.value))


def _mode(given: BatchMode) -> batches.Mode:
    return batches.Mode(str(given.value))


def _batch_id(given: str) -> uuid.UUID:
    return as_id(key_of(given, "Batch", "batch"), "batch")


@strawberry.type
class SubmissionMutation:
    @strawberry.mutation(
        description="Open a batch for parts (新建批次). Role: hospital_submitter for lists, city_settlement_clerk for history."
    )
    async def batch_create(self, info: Info, input: BatchCreateInput) -> BatchPayload:
        context = info.context
        order = batches.NewBatch(_purpose(input.purpose), _mode(input.mode), input.label)
        request = context.request(
            "batchCreate",
            input.idempotency_key,
            {"purpose": order.purpose.value, "mode": order.mode.value, "label": order.label},
        )
        made = batches.create_batch(context.platform, context.subject, request, order)
        return await _payload(info, *await answered(made))

    @strawberry.mutation(
        description="Seal a batch; a worker judges it (封存批次). Role: hospital_submitter, city_settlement_clerk."
    )
    async def batch_seal(self, info: Info, input: BatchSealInput) -> BatchPayload:
        context = info.context

        async def act() -> Answer:
            batch_id = _batch_id(input.batch)
            request = context.request(
                "batchSeal",
                input.idempotency_key,
                {"batch": str(batch_id), "parts": input.parts, "rows": input.rows},
            )
            return await batches.seal_batch(
                context.platform, context.subject, request, batch_id, input.parts, input.rows
            )

        return await _payload(info, *await answered(act()))

    @strawberry.mutation(
        description="Give up a batch before its seal (作废批次). Role: hospital_submitter, city_settlement_clerk."
    )
    async def batch_abandon(self, info: Info, input: BatchAbandonInput) -> BatchPayload:
        context = info.context

        async def act() -> Answer:
            batch_id = _batch_id(input.batch)
            request = context.request("batchAbandon", input.idempotency_key, {"batch": str(batch_id)})
            return await batches.abandon_batch(context.platform, context.subject, request, batch_id)

        return await _payload(info, *await answered(act()))

    @strawberry.mutation(description="Submit up to 100 lists in one act (直接上报). Role: hospital_submitter.")
    async def settlement_lists_submit(self, info: Info, input: SettlementListsSubmitInput) -> BatchPayload:
        context = info.context
        order = batches.NewBatch(batches.Purpose.LISTS, _mode(input.mode), input.label)
        lines = [wire_line(given) for given in input.lists]
        request = context.request(
            "settlementListsSubmit",
            input.idempotency_key,
            {"mode": order.mode.value, "label": order.label, "lists": [line.decode() for line in lines]},
        )
        made = batches.submit_lists(context.platform, context.subject, request, order, lines)
        return await _payload(info, *await answered(made))
