"""The metadata all tables share: naming convention, column spellings, table classes (表的公共约定)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class TableClass(StrEnum):
    """How a table is walled (表的隔离类别); every table declares exactly one."""

    PLATFORM = "platform"
    PROVINCE = "province"
    AREA = "area"
    HOSPITAL = "hospital"


def walled(table_class: TableClass, reason: str = "") -> dict[str, Any]:
    """The `info` of a table: its class, and the reason where its columns differ from the class's usual ones."""
    return {"table_class": table_class.value, "reason": reason}


def key(name: str, **kwargs: Any) -> Column[Any]:
    """A surrogate UUIDv7 key made by the application (代理主键)."""
    return Column(name, Uuid(as_uuid=True), nullable=False, **kwargs)


def uuid_(name: str, **kwargs: Any) -> Column[Any]:
    """A reference to a surrogate key."""
    return Column(name, Uuid(as_uuid=True), **kwargs)


def code(name: str, **kwargs: Any) -> Column[Any]:
    """A code or key text, compared by bytes (编码, COLLATE "C")."""
    return Column(name, Text(collation="C"), **kwargs)


def words(name: str, **kwargs: Any) -> Column[Any]:
    """Free text (文字)."""
    return Column(name, Text, **kwargs)


def fen(name: str, **kwargs: Any) -> Column[Any]:
    """An amount in fen (分)."""
    return Column(name, BigInteger, **({"nullable": False} | kwargs))


def whole(name: str, **kwargs: Any) -> Column[Any]:
    """A whole number."""
    return Column(name, Integer, **kwargs)


def big(name: str, **kwargs: Any) -> Column[Any]:
    """A large whole number."""
    return Column(name, BigInteger, **kwargs)


def small(name: str, **kwargs: Any) -> Column[Any]:
    """A small whole number."""
    return Column(name, SmallInteger, **kwargs)


def exact(name: str, precision: int, scale: int, **kwargs: Any) -> Column[Any]:
    """An exact decimal (精确小数)."""
    return Column(name, Numeric(precision, scale), **kwargs)


def as_written(name: str, **kwargs: Any) -> Column[Any]:
    """An exact decimal that keeps the places it was written with (按原小数位保存的精确小数)."""
    return Column(name, Numeric, **({"nullable": False} | kwargs))


def flag(name: str, **kwargs: Any) -> Column[Any]:
    """Yes or no."""
    return Column(name, Boolean, nullable=False, **kwargs)


def day(name: str, **kwargs: Any) -> Column[Any]:
    """A calendar day in Asia/Shanghai (日期)."""
    return Column(name, Date, **kwargs)


def moment(name: str, **kwargs: Any) -> Column[Any]:
    """A moment in time (时点)."""
    return Column(name, DateTime(timezone=True), **kwargs)


def recorded_at() -> Column[Any]:
    """When the row was written, by the database's clock (登记时点)."""
    return Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.now())


def octets(name: str, **kwargs: Any) -> Column[Any]:
    """Bytes."""
    return Column(name, LargeBinary, **kwargs)


def document(name: str, **kwargs: Any) -> Column[Any]:
    """A JSON document (working, manifest)."""
    return Column(name, JSONB, **kwargs)


def codes(name: str, **kwargs: Any) -> Column[Any]:
    """A list of codes in order."""
    return Column(name, ARRAY(Text(collation="C")), **kwargs)


def hospital_key() -> list[Column[Any]]:
    """The three tenant columns of a hospital-class table (医院级隔离列)."""
    return [
        Column("area_id", Integer, nullable=False),
        Column("county_id", Integer, nullable=True),
        Column("hospital_id", Integer, nullable=False),
    ]


FALSE = text("false")
