"""The bulk driver's own ground (批量驱动): what it learns about a server once, and the connections it opens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import adbc_driver_postgresql
from adbc_driver_manager import AdbcConnection, dbapi

_FAR_END_GONE = (
    "connect_timeout=5&keepalives_idle=30&keepalives_interval=10&keepalives_count=3&tcp_user_timeout=30000"
    "&options=-c%20client_connection_check_interval%3D5s%20-c%20idle_in_transaction_session_timeout%3D120s"
)


class BulkDriver:
    """One per process and server. Opening it reads every column of the server's catalog, which grows with the partitions of every area:
    so it is opened once, and each read opens no more than a connection.
    """

    def __init__(self, dsn: str) -> None:
        self._uri = f"{dsn}{'&' if '?' in dsn else '?'}{_FAR_END_GONE}"
        self._lock = threading.Lock()
        self._opened: Any = None

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """A connection of its own, without autocommit, closed at the end; what was not committed is undone.

        Raises: the driver's errors.
        """
        # The driver counts its connections without a lock of its own.
        with self._lock:
            if self._opened is None:
                self._opened = adbc_driver_postgresql.connect(self._uri)
            opened = AdbcConnection(self._opened)
        try:
            connection = dbapi.Connection(_Kept(), opened)  # type: ignore[arg-type]
        except BaseException:
            with self._lock:
                opened.close()
            raise
        try:
            yield connection
        finally:
            with self._lock:
                connection.close()

    def close(self) -> None:
        """Forget the server; the next connection learns it anew."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None


class _Kept:
    """Stands where a connection would close the driver with itself."""

    def close(self) -> None:
        """The driver stays open: its owner closes it."""


__all__ = ["BulkDriver"]
