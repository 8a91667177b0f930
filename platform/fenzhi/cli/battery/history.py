"""What the clients asked and were answered (客户端历史): every key sent, every acknowledgement, every answer that should not be."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from fenzhi.cli.flow.client import Actor, StepRefused, fresh_key

PASSING = frozenset(
    {"IDEMPOTENCY_IN_FLIGHT", "TRY_AGAIN", "UNAVAILABLE", "STORAGE_FULL", "DEADLINE", "BODY_SLOW", "TIMED_OUT"}
)
"""Codes after which the same request is sent again (可重试代码)."""
TRY_FOR_S = 90.0
PAUSE_S = 0.15


class NotAcknowledged(Exception):
    """The client went away without an answer (未获确认)."""


@dataclass(slots=True)
class Asked:
    """One change as its client knows it (一次请求)."""

    key: str
    operation: str
    order: Mapping[str, Any]
    tenant: str
    sent: int = 0
    lost: int = 0
    """Times it went out and no answer came, or an answer that says to try again."""
    answer: dict[str, Any] | None = None
    waited_s: float = 0.0

    @property
    def is_acknowledged(self) -> bool:
        """Whether an answer came that says it was done."""
        return self.answer is not None


@dataclass
class History:
    """Every change asked for (请求历史)."""

    asked: list[Asked] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    """Answers a client must never get: 500, no JSON, errors without a code."""
    codes: Counter[str] = field(default_factory=Counter)
    """Codes that said to try again, each as often as it came."""

    async def act(
        self,
        actor: Actor,
        name: str,
        order: Mapping[str, Any],
        fields: str,
        *,
        input_type: str = "",
        gives_up: bool = False,
        path: str = "/graphql",
    ) -> dict[str, Any]:
        """Send one mutation until it is acknowledged, always under the same key; its payload.

        With `gives_up` the client goes away after the first try that brought no answer. Raises: NotAcknowledged, StepRefused.
        """
        document = (
            f"mutation($input: {input_type or name[0].upper() + name[1:] + 'Input'}!) {{ {name}(input: $input) "
            f"{{ {fields} userErrors {{ code path message }} }} }}"
        )
        asked = Asked(fresh_key(), name, order, actor.tenant)
        self.asked.append(asked)
        body = {"query": document, "variables": {"input": {"idempotencyKey": asked.key, **order}}}
        began = time.monotonic()
        while time.monotonic() - began < TRY_FOR_S:
            asked.sent += 1
            response = await self._sent(actor, "POST", path, json=body)
            payload = self._payload(response, name)
            if payload is not None:
                codes = [error["code"] for error in payload["userErrors"]]
                if not codes:
                    asked.answer = payload
                    asked.waited_s = time.monotonic() - began
                    return payload
                if not set(codes) <= PASSING:
                    raise StepRefused(f"{name}：{codes}", f"{name} was refused: {payload['userErrors']}")
            asked.lost += 1
            if gives_up:
                break
            await asyncio.sleep(PAUSE_S)
        raise NotAcknowledged(f"{name} {asked.key}")

    async def put_part(
        self, actor: Actor, upload_path: str, number: int, body: bytes, *, gives_up: bool = False
    ) -> Asked:
        """Send one part until it is kept. The part's number and digest are its key. Raises: NotAcknowledged, StepRefused."""
        digest = hashlib.sha256(body).digest()
        path = f"{upload_path.rstrip('/')}/{number}"
        asked = Asked(f"{path} {digest.hex()}", "part", {"part": number, "sha256": digest}, actor.tenant)
        self.asked.append(asked)
        headers = {
            "content-type": "application/x-ndjson",
            "content-digest": f"sha-256=:{base64.b64encode(digest).decode()}:",
        }
        began = time.monotonic()
        while time.monotonic() - began < TRY_FOR_S:
            asked.sent += 1
            response = await self._sent(actor, "PUT", path, content=body, headers=headers)
            if response is not None and response.status_code in (200, 201):
                asked.answer = response.json()
                asked.waited_s = time.monotonic() - began
                return asked
            if response is not None and response.status_code not in (408, 500, 502, 503):
                raise StepRefused("分片被拒绝", f"the part was refused: {response.status_code} {response.text[:200]}")
            asked.lost += 1
            if gives_up:
                break
            await asyncio.sleep(PAUSE_S)
        raise NotAcknowledged(asked.key)

    async def ask(self, actor: Actor, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The data of a query, asked until it is answered. Raises: NotAcknowledged, StepRefused."""
        began = time.monotonic()
        while time.monotonic() - began < TRY_FOR_S:
            response = await self._sent(actor, "POST", "/graphql", json={"query": query, "variables": dict(variables)})
            if response is not None and response.status_code == 200:
                answer = response.json()
                if not answer.get("errors"):
                    return dict(answer["data"])
                codes = {error.get("extensions", {}).get("code", "") for error in answer["errors"]}
                if not codes <= PASSING:
                    raise StepRefused("查询被拒绝", f"the query was refused: {answer['errors']}")
            await asyncio.sleep(PAUSE_S)
        raise NotAcknowledged(query[:60])

    async def wait(self, actor: Actor, job_id: str, limit_s: float = 120) -> str:
        """The state in which a job ended, or the last one seen within the limit."""
        query = "query($id: ID!) { job(id: $id) { state errorCode attempt } }"
        until = time.monotonic() + limit_s
        state = ""
        while time.monotonic() < until:
            job = (await self.ask(actor, query, {"id": job_id}))["job"]
            state = job["state"] if job["state"] != "REFUSED" else f"REFUSED {job['errorCode']}"
            if job["state"] in ("DONE", "REFUSED", "DEAD"):
                break
            await asyncio.sleep(0.1)
        return state

    async def _sent(self, actor: Actor, method: str, path: str, **kwargs: Any) -> httpx.Response | None:
        headers = {**kwargs.pop("headers", {}), **await actor.headers()}
        try:
            response = await actor.http.request(method, path, headers=headers, **kwargs)
        except httpx.TransportError:
            return None
        self.codes.update(code for code in PASSING if f'"{code}"' in response.text)
        if response.status_code == 500:
            self.odd.append(f"500 {path}: {response.text[:200]}")
        return response

    def _payload(self, response: httpx.Response | None, name: str) -> dict[str, Any] | None:
        """The payload of a mutation, or none where the request should be sent again. Raises: StepRefused."""
        if response is None or response.status_code in (500, 502, 503):
            return None
        try:
            answer = response.json()
        except ValueError:
            self.odd.append(f"no JSON, {response.status_code}: {response.text[:200]}")
            return None
        if answer.get("errors") or answer.get("error"):
            errors = answer.get("errors") or [{"extensions": answer["error"], "message": answer["error"]["message"]}]
            codes = {error.get("extensions", {}).get("code", "") for error in errors}
            if codes <= PASSING:
                return None
            if codes & {"", "INTERNAL"}:
                self.odd.append(f"{name}: {errors}"[:300])
                return None
            raise StepRefused(f"{name}：{codes}", f"{name} was refused: {errors}")
        payload: dict[str, Any] = answer["data"][name]
        return payload
