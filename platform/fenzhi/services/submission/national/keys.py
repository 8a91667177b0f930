"""Keys that national messages are signed with (报文签名密钥): entered by the bureau, encrypted at rest, never shown again."""

from __future__ import annotations

import binascii
import uuid
from dataclasses import dataclass
from datetime import date

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.refusals import DataRefused, NotFound, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.services.submission.national.signature import SECRET_LEAST, SignatureKind
from fenzhi.store.repositories import national, registry
from fenzhi.store.session import UnitOfWork, new_id


@dataclass(frozen=True, slots=True)
class NewMessageKey:
    """A key to register (待登记密钥). `secret`: the shared secret for SM3; for SM2 the public key, hex of 64 or 65 bytes."""

    hospital_code: str
    kind: SignatureKind
    secret: str
    valid_from: date
    valid_to: date


def key_place(hospital_id: int, key_id: uuid.UUID) -> bytes:
    """The place a key's ciphertext is bound to (密文绑定位置)."""
    return hospital_id.to_bytes(8, "big") + key_id.bytes


def _key_bytes(order: NewMessageKey) -> bytes:
    faults: list[Refusal] = []

    def fault(code: str, where: str, saw: str, zh: str, en: str) -> None:
        faults.append(Refusal(code, where, saw, zh, en, "更正后重新登记。", "Correct it and register again."))

    key = b""
    if order.kind is SignatureKind.SM2:
        try:
            key = binascii.unhexlify(order.secret)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) not in (64, 65) or (len(key) == 65 and key[0] != 4):
            fault("MESSAGE_KEY", "secret", f"{len(order.secret)} chars", "SM2 公钥须为 64 或 65 字节（以 04 开头）的十六进制。", "An SM2 public key is hex of 64 bytes, or 65 with a leading 04.")  # fmt: skip
    elif order.kind is SignatureKind.SM3:
        key = order.secret.encode()
        if len(key) < SECRET_LEAST or not order.secret.isprintable():
            fault("MESSAGE_KEY", "secret", f"{len(order.secret)} chars", f"共享密钥须至少 {SECRET_LEAST} 个可见字符。", f"A shared secret has at least {SECRET_LEAST} printable characters.")  # fmt: skip
    else:
        fault("MESSAGE_KEY", "signature", order.kind.value, "须为 SM3 或 SM2。", "It is SM3 or SM2.")
    if order.valid_from > order.valid_to:
        fault("DATES_REVERSED", "validTo", order.valid_to.isoformat(), "止日早于起日。", "It ends before it begins.")
    if faults:
        raise DataRefused(tuple(faults))
    return key


async def register_message_key(platform: Platform, subject: Subject, request: Request, order: NewMessageKey) -> Answer:
    """Register a key of a hospital (登记签名密钥); earlier ones stay valid until their day. Changes: message_key.

    Raises: Forbidden, NotFound, DataRefused.
    """
    subject.scope_for(Duty.REGISTER_MESSAGE_KEYS)
    key = _key_bytes(order)

    async def effect(uow: UnitOfWork) -> Answer:
        hospital = await registry.hospital_by_code(uow, order.hospital_code)
        if hospital is None or hospital.area_id != uow.scope.area:
            raise NotFound("没有该机构。", "No such hospital.")
        message_key_id = new_id()
        await national.add_message_key(
            uow,
            {
                "area_id": hospital.area_id,
                "county_id": hospital.county_id,
                "hospital_id": hospital.hospital_id,
                "message_key_id": message_key_id,
                "signature": order.kind.value,
                "key_id": platform.keyring.key_id,
                "sealed_secret": platform.keyring.seal(
                    hospital.area_id, key, key_place(hospital.hospital_id, message_key_id)
                ),
                "valid_from": order.valid_from,
                "valid_to": order.valid_to,
                "registered_by": uuid.UUID(uow.scope.account_id) if uow.scope.account_id else None,
            },
        )
        return {"type": "MessageKey", "id": str(message_key_id)}

    return await act(platform, subject, Duty.REGISTER_MESSAGE_KEYS, request, effect)
