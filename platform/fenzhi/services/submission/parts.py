"""Parts of a batch (批次分片): received whole or not at all, inflated under a cap, kept compressed and encrypted."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import zstandard
from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.refusals import Conflict, FenzhiError, InvariantBroken, NotFound
from fenzhi.services.acts import Platform, looking
from fenzhi.services.submission.ownership import duty_of, no_such_batch, open_batch
from fenzhi.services.submission.part_formats import NDJSON, received_format
from fenzhi.store.failpoints import failpoint
from fenzhi.store.keyring import Keyring, SealBroken
from fenzhi.store.repositories import submission as store
from fenzhi.store.session import UnitOfWork

PART_MOST = 16 << 20
"""Bytes of one part as sent (分片上传字节上限)."""
INFLATED_MOST = 64 << 20
"""Bytes of one part after inflation (解压后字节上限)."""
LINES_MOST = 100_000
"""Lines of one part (分片行数上限)."""
PARTS_MOST = 10_000
_WINDOW_MOST = 32 << 20
_SLICE = 512
"""Bytes of zstd input taken at a time: one slice inflates to a bounded amount, so the cap is checked before memory is spent."""
SMALL_BYTES = 256 << 10
"""A plain part of so many bytes at the most waits for no other part to be inflated."""
_LARGE = ThreadPoolExecutor(2, "large-part")
"""Two at a time: each holds a part inflated."""


class PartTooLarge(FenzhiError):
    """The part is larger than a part may be (分片过大)."""

    code = "PART_TOO_LARGE"
    http_status = 413


class PartUnreadable(FenzhiError):
    """The part cannot be what its headers say (分片内容与声明不符)."""

    code = "PART_UNREADABLE"
    http_status = 400


class PartTruncated(FenzhiError):
    """The upload broke off; nothing was kept (上传中断)."""

    code = "PART_TRUNCATED"
    http_status = 400


class EncodingUnknown(FenzhiError):
    """A Content-Encoding this path does not take (内容编码不支持)."""

    code = "CONTENT_ENCODING"
    http_status = 415


class PartDiffers(Conflict):
    """The batch has another part of this number (同号分片内容不同)."""

    code = "PART_DIFFERS"


@dataclass(frozen=True, slots=True)
class ReceivedPart:
    """A part ready to be kept (待存分片)."""

    part_no: int
    sha256: bytes
    """Of the part after inflation: the same content is the same part, however it was compressed on the way."""
    size: int
    key_id: str
    sealed: bytes
    format: str = "ndjson"
    charset: str = "UTF-8"


@dataclass(frozen=True, slots=True)
class PartView:
    """A part that is kept (已存分片)."""

    part_no: int
    sha256: bytes
    size: int
    is_new: bool
    format: str = "ndjson"
    """ndjson, csv or xlsx, as found in the part itself (识别出的格式)."""
    charset: str = "UTF-8"
    """The encoding found (检测到的编码); blank for a workbook."""


def part_place(batch_id: uuid.UUID, part_no: int) -> bytes:
    """The place a part's ciphertext is bound to (密文绑定位置)."""
    return batch_id.bytes + part_no.to_bytes(4, "big")


def inflated(body: bytes, encoding: str) -> bytes:
    """The body after its Content-Encoding is undone (解压), never more than `INFLATED_MOST` bytes.

    Raises: EncodingUnknown, PartTooLarge, PartTruncated, PartUnreadable.
    """
    match encoding.strip().lower():
        case "" | "identity":
            found = body
        case "gzip" | "x-gzip":
            found = _gunzipped(body)
        case "zstd":
            found = _unzstd(body)
        case other:
            raise EncodingUnknown(
                f"不支持的 Content-Encoding：{other[:20]}。",
                f"Content-Encoding {other[:20]} is not taken.",
                hint="identity, gzip, zstd",
            )
    if len(found) > INFLATED_MOST:
        raise _too_large()
    if found.count(b"\n") > LINES_MOST:
        raise PartTooLarge(
            f"分片超过 {LINES_MOST} 行，请拆分。",
            f"The part has more than {LINES_MOST} lines; split it.",
            code="PART_TOO_MANY_LINES",
        )
    return found


def _too_large() -> PartTooLarge:
    return PartTooLarge(
        f"分片解压后超过 {INFLATED_MOST} 字节，请拆分。", f"The part inflates beyond {INFLATED_MOST} bytes; split it."
    )


def _broken(encoding: str) -> PartUnreadable:
    return PartUnreadable(
        f"分片不是完整的 {encoding} 数据。",
        f"The part is not {encoding} data.",
        hint="核对压缩方式与 Content-Encoding 后重传 / check how it was compressed and send it again",
    )


def _cut() -> PartTruncated:
    return PartTruncated(
        "分片不完整，未保存。", "The part is incomplete; nothing was kept.", hint="重新上传本分片 / send it again"
    )


def _gunzipped(body: bytes) -> bytes:
    out, rest = bytearray(), body
    while rest:
        member = zlib.decompressobj(31)
        try:
            out += member.decompress(rest, INFLATED_MOST + 1 - len(out))
        except zlib.error as exc:
            raise _broken("gzip") from exc
        if len(out) > INFLATED_MOST:
            raise _too_large()
        if not member.eof:
            raise _cut()
        rest = member.unused_data
    return bytes(out)


def _unzstd(body: bytes) -> bytes:
    out, at = bytearray(), 0
    while at < len(body):
        frame = zstandard.ZstdDecompressor(max_window_size=_WINDOW_MOST).decompressobj()
        while not frame.eof:
            if at >= len(body):
                raise _cut()
            piece = body[at : at + _SLICE]
            try:
                out += frame.decompress(piece)
            except zstandard.ZstdError as exc:
                raise _broken("zstd") from exc
            at += len(piece)
            if len(out) > INFLATED_MOST:
                raise _too_large()
        at -= len(frame.unused_data)
    return bytes(out)


def received_part(platform: Platform, area_id: int, batch_id: uuid.UUID, part_no: int, content: bytes) -> ReceivedPart:
    """Compress and encrypt a part for its place (压缩并加密)."""
    packed = zstandard.ZstdCompressor(level=3).compress(content)
    sealed = platform.keyring.seal(area_id, packed, part_place(batch_id, part_no))
    return ReceivedPart(part_no, hashlib.sha256(content).digest(), len(content), platform.keyring.key_id, sealed)


def opened_part(
    platform: Platform, area_id: int, batch_id: uuid.UUID, part_no: int, key_id: str, sealed: bytes
) -> bytes:
    """The content of a kept part (解密并解压). Raises: PartUnreadable when it is not what was kept."""
    return opened_with(platform.keyring, area_id, batch_id, part_no, key_id, sealed)


def opened_with(keyring: Keyring, area_id: int, batch_id: uuid.UUID, part_no: int, key_id: str, sealed: bytes) -> bytes:
    """The content of a kept part, by a keyring at hand (以密钥环解密并解压). Raises: PartUnreadable."""
    try:
        packed = keyring.unseal(area_id, key_id, sealed, part_place(batch_id, part_no))
        return zstandard.ZstdDecompressor().decompress(packed, max_output_size=INFLATED_MOST)
    except (SealBroken, zstandard.ZstdError) as exc:
        raise PartUnreadable(
            "已存分片无法解密，请联系运营方。", "A kept part does not open; ask the operator.", code="PART_SEAL_BROKEN"
        ) from exc


async def keep_received(uow: UnitOfWork, batch_id: uuid.UUID, part: ReceivedPart) -> PartView:
    """Keep a part of an open batch held by this transaction (保存分片).

    The same number with the same content is the same answer. Raises: PartDiffers.
    """
    scope = uow.scope
    found = await store.own_batch(uow, batch_id)
    row = {
        "area_id": scope.area,
        "county_id": found.county_id if found is not None else None,
        "hospital_id": scope.hospital_id,
        "batch_id": batch_id,
        "part_no": part.part_no,
        "sha256": part.sha256,
        "bytes": part.size,
        "key_id": part.key_id,
        "sealed_bytes": part.sealed,
    }
    if await store.keep_part(uow, row):
        return PartView(part.part_no, part.sha256, part.size, True, part.format, part.charset)
    kept = await store.part_digest(uow, batch_id, part.part_no)
    if kept is None or kept.sha256 != part.sha256:
        raise PartDiffers(
            f"第 {part.part_no} 片已上传，且内容不同。",
            f"Part {part.part_no} was uploaded before with another content.",
            hint="核对分片号；已上传的分片不可替换 / check the number; a part is never replaced",
        )
    return PartView(part.part_no, part.sha256, part.size, False, part.format, part.charset)


async def may_receive(platform: Platform, subject: Subject, batch_id: uuid.UUID, part_no: int) -> None:
    """Refuse before any byte is read what could not be kept anyway (上传前检查). Raises: Forbidden, NotFound, BatchNotOpen."""
    if not 1 <= part_no <= PARTS_MOST:
        raise NotFound(f"分片号须为 1 至 {PARTS_MOST}。", f"Parts are numbered 1 to {PARTS_MOST}.")
    async with looking(platform, subject, duty_of(subject)) as uow:
        await open_batch(uow, batch_id, hold=False)


async def put_part(
    platform: Platform,
    subject: Subject,
    batch_id: uuid.UUID,
    part_no: int,
    body: bytes,
    *,
    encoding: str = "",
    sha256: bytes | None = None,
    media_type: str = "",
) -> PartView:
    """Keep one part of an own open batch (上传分片). `sha256`: what the sender says the body as sent hashes to.

    A workbook or CSV file of lists is opened at once: what is wrong with the table as such is refused here, not at judging. Its
    bytes are kept as sent.

    Changes: batch_part, batch. Raises: NotFound, BatchNotOpen, PartDiffers, PartTooLarge, PartTruncated, PartUnreadable,
    WorkbookRefused, DataRefused.
    """
    duty = duty_of(subject)
    area_id = subject.scope_for(duty).area
    if len(body) > PART_MOST:
        raise PartTooLarge(f"分片超过 {PART_MOST} 字节，请拆分。", f"The part exceeds {PART_MOST} bytes; split it.")

    def prepared() -> ReceivedPart:
        if sha256 is not None and hashlib.sha256(body).digest() != sha256:
            raise PartUnreadable(
                "分片摘要与 Content-Digest 不符，未保存。",
                "The part does not hash to its Content-Digest; nothing was kept.",
                code="CONTENT_DIGEST",
                hint="重新上传本分片 / send it again",
            )
        content = inflated(body, encoding)
        found = received_format(content, media_type) if duty is Duty.SUBMIT_LISTS else NDJSON
        part = received_part(platform, area_id, batch_id, part_no, content)
        return replace(part, format=found.name, charset=found.charset)

    if len(body) <= SMALL_BYTES and encoding.strip().lower() in ("", "identity"):
        part = await asyncio.to_thread(prepared)
    else:
        part = await asyncio.get_running_loop().run_in_executor(_LARGE, prepared)
    async with looking(platform, subject, duty) as uow:
        await open_batch(uow, batch_id, hold=True)
        kept = await keep_received(uow, batch_id, part)
    failpoint("submission.part_kept")
    return kept


async def part_view(platform: Platform, subject: Subject, batch_id: uuid.UUID, part_no: int) -> PartView:
    """Size and digest of a kept part of an own batch (查询分片). Raises: NotFound."""
    async with looking(platform, subject, duty_of(subject)) as uow:
        if await store.own_batch(uow, batch_id) is None:
            raise no_such_batch()
        kept = await store.part_digest(uow, batch_id, part_no)
        if kept is None:
            raise NotFound("没有该分片。", "No such part.")
        return PartView(part_no, kept.sha256, kept.bytes, False)


async def sealed_part(uow: UnitOfWork, batch_id: uuid.UUID, number: int) -> Row[Any]:
    """The encrypted bytes of a part of a sealed batch, with their key (分片密文)."""
    kept = await store.part_sealed(uow, batch_id, number)
    if kept is None:
        raise InvariantBroken("a sealed batch has all its parts", account=str(number))
    return kept


async def part_content(platform: Platform, uow: UnitOfWork, found: Row[Any], number: int) -> bytes:
    """A part of a batch as it was received (分片原文). Raises: PartUnreadable."""
    kept = await sealed_part(uow, found.batch_id, number)
    return await asyncio.to_thread(
        opened_part, platform, found.area_id, found.batch_id, number, kept.key_id, kept.sealed_bytes
    )
