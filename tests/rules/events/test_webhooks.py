"""When a message is tried again, and what it is signed with: figures worked by hand."""

from __future__ import annotations

import hashlib
import hmac
import runpy
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fenzhi.access.webhook_hosts import WebhookHosts
from fenzhi.rules.events.webhooks import next_attempt, signature, signature_header

FIRST = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def test_three_days_of_growing_pauses_end_on_the_third_day() -> None:
    times, now, attempts = [FIRST], FIRST, 1
    while (after := next_attempt(FIRST, attempts, now)) is not None:
        times.append(after)
        now, attempts = after, attempts + 1
    minutes = [int((one - FIRST).total_seconds() // 60) for one in times]
    assert minutes == [0, 1, 6, 21, 81, 261, 621, 1341, 2061, 2781, 3501, 4221, 4320]
    assert times[-1] == FIRST + timedelta(days=3)


def test_a_worker_that_came_late_does_not_try_beyond_the_third_day() -> None:
    late = FIRST + timedelta(days=2, hours=23)
    assert next_attempt(FIRST, 12, late) == FIRST + timedelta(days=3)
    assert next_attempt(FIRST, 1, FIRST + timedelta(days=4)) is None


def test_the_signature_is_of_timestamp_and_body() -> None:
    secret, body = b"s" * 32, b'{"id":"1"}'
    wanted = hmac.new(secret, b'1700000000.{"id":"1"}', hashlib.sha256).hexdigest()
    assert signature(secret, 1_700_000_000, body) == wanted
    other = signature(b"t" * 32, 1_700_000_000, body)
    assert signature_header([secret, b"t" * 32], 1_700_000_000, body) == f"t=1700000000,v1={wanted},v1={other}"


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://hooks.example.org/in", True),
        ("https://hooks.example.org:8443/in", False),
        ("http://hooks.example.org/in", False),
        ("https://hooks.example.org.evil.example/in", False),
        ("https://hooks.example.org@evil.example/in", False),
        ("https://evil.example/hooks.example.org", False),
        ("http://127.0.0.1:9000/in", True),
        ("http://127.0.0.1:9001/in", False),
        ("ftp://hooks.example.org/in", False),
        ("https://[::1/in", False),
    ],
)
def test_only_named_hosts_may_be_registered(url: str, allowed: bool) -> None:
    assert WebhookHosts(("hooks.example.org", "127.0.0.1:9000")).allows(url) is allowed


@pytest.mark.parametrize(
    ("address", "plain", "opened"),
    [
        ("8.8.8.8", True, True),
        ("2001:4860:4860::8888", True, True),
        ("10.20.1.1", False, True),
        ("10.21.1.1", False, False),
        ("127.0.0.1", False, False),
        ("::1", False, False),
        ("::ffff:10.20.1.1", False, True),
        ("::ffff:127.0.0.1", False, False),
        ("169.254.169.254", False, False),
        ("192.168.0.1", False, False),
        ("100.64.0.1", False, False),
        ("0.0.0.0", False, False),
        ("224.0.0.1", False, False),
        ("fe80::1%eth0", False, False),
        ("fd00::1", False, False),
        ("no address", False, False),
    ],
)
def test_special_addresses_are_reached_only_where_the_operator_says_so(address: str, plain: bool, opened: bool) -> None:
    assert WebhookHosts(("h",)).reaches(address) is plain
    assert WebhookHosts.of(("h",), ("10.20.0.0/16",)).reaches(address) is opened


def test_the_sample_receiver_takes_what_is_signed_new_and_fresh_and_nothing_else() -> None:
    path = Path(__file__).parents[3] / "docs/integrate/samples/webhook_receiver.py"
    sample = runpy.run_path(str(path))["verified"]
    body, seen = b'{"id":"1"}', set[str]()
    headers = {"Fenzhi-Signature": signature_header([b"old" * 11, b"new" * 11], 1_700_000_000, body)}
    assert sample(headers, body, ["wrong" * 7], seen, 1_700_000_001) is None
    assert sample(headers, body + b" ", ["new" * 11], seen, 1_700_000_001) is None
    assert sample(headers, body, ["new" * 11], seen, 1_700_000_301) is None
    assert sample(headers, body, ["new" * 11], seen, 1_700_000_300) == {"id": "1"}
    assert sample(headers, body, ["old" * 11], seen, 1_700_000_300) is None
    assert sample({}, body, ["new" * 11], seen, 1_700_000_001) is None
