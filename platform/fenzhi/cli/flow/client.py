"""Clients of the API (接口客户端), one per tenant and role, with development tokens renewed before they end."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from fenzhi.access.roles import Role
from fenzhi.cli.tokens import TokenMaker
from fenzhi.rules.refusals import Conflict, FenzhiError

_RENEW_AFTER_S = 600.0
_TRIES = 6
_JOB_ENDED = frozenset({"DONE", "REFUSED", "DEAD"})
JOB = "query($id: ID!) { job(id: $id) { state progressDone progressTotal attempt errorCode error errorEn } }"


class StepRefused(Conflict):
    """A step of the flow was refused by the platform (步骤被拒绝); says which and why."""

    code = "STEP_REFUSED"


class ApiUnreachable(FenzhiError):
    """The API does not answer (接口不可达)."""

    code = "API_UNREACHABLE"
    http_status = 503


def fresh_key() -> str:
    """A fresh idempotency key (幂等键)."""
    return uuid.uuid4().hex


@dataclass
class Actor:
    """One signed-in user of the platform (操作者)."""

    http: httpx.AsyncClient
    tenant: str
    role: Role
    make_token: TokenMaker
    _token: str = ""
    _made_at: float = field(default=-1e9)

    async def headers(self) -> dict[str, str]:
        """The Authorization header, with a token that still lives for a while."""
        if time.monotonic() - self._made_at > _RENEW_AFTER_S:
            self._token = await self.make_token(self.tenant, self.role)
            self._made_at = time.monotonic()
        return {"authorization": f"Bearer {self._token}"}

    async def send(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """One request, repeated while the API is away or busy: every change carries its idempotency key.

        A token that is not believed any more, such as one that was signed out, is made anew once; a budget used up is waited for, and
        told where it does not come back. Raises: ApiUnreachable.
        """
        given = kwargs.pop("headers", {})
        may_renew = True
        for attempt in range(_TRIES):
            headers = {**given, **await self.headers()}
            try:
                response = await self.http.request(method, path, headers=headers, **kwargs)
            except httpx.TransportError:
                response = None
            if response is not None and response.status_code == 401 and may_renew:
                self._made_at, may_renew = -1e9, False
                continue
            is_used_up = response is not None and response.status_code == 429 and "RATE_LIMITED" in response.text
            if response is not None and is_used_up and attempt < _TRIES - 1:
                await asyncio.sleep(float(response.headers.get("retry-after", "1")))  # A budget comes back by itself.
                continue
            if response is not None and response.status_code not in (502, 503):
                return response
            await asyncio.sleep(0.3 * 2**attempt)
        raise ApiUnreachable("接口不可达。", f"The API does not answer {method} {path}.")

    async def raw(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The whole answer to a GraphQL document, asked again for a while where the platform is busy."""
        for attempt in range(_TRIES):
            response = await self.send("POST", "/graphql", json={"query": query, "variables": dict(variables or {})})
            answer: dict[str, Any] = response.json()
            codes = {one.get("extensions", {}).get("code") for one in answer.get("errors") or ()}
            if codes != {"UNAVAILABLE"}:
                break
            # The platform is busy or its database away: the same request again does no harm, a change has its key.
            await asyncio.sleep(0.3 * 2**attempt)
        return answer

    async def ask(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The data of a query. Raises: StepRefused with the errors."""
        answer = await self.raw(query, variables)
        if answer.get("errors") or answer.get("error"):
            raise StepRefused(f"查询被拒绝：{_errors(answer)}", f"The query was refused: {_errors(answer)}")
        data: dict[str, Any] = answer["data"]
        return data

    async def do(self, name: str, input_type: str, order: Mapping[str, Any], fields: str) -> dict[str, Any]:
        """Carry out one mutation; its payload. A key is added when the order has none.

        Raises: StepRefused naming every user error.
        """
        document = (
            f"mutation($input: {input_type}!) {{ {name}(input: $input) "
            f"{{ {fields} userErrors {{ code path message messageEn hint saw }} }} }}"
        )
        order = {"idempotencyKey": fresh_key(), **order}
        for attempt in range(_TRIES):
            payload: dict[str, Any] = (await self.ask(document, {"input": order}))[name]
            codes = [error["code"] for error in payload["userErrors"]]
            if codes != ["IDEMPOTENCY_IN_FLIGHT"] and codes != ["TRY_AGAIN"]:
                break
            await asyncio.sleep(0.2 * 2**attempt)
        if payload["userErrors"]:
            shown = payload["userErrors"][:10]
            zh, en = ("; ".join(f"{_place(e)}: {e[text]}" for e in shown) for text in ("message", "messageEn"))
            hint = "; ".join(dict.fromkeys(e["hint"] for e in shown if e["hint"]))
            raise StepRefused(f"{name}：{zh}", f"{name} was refused: {en}", hint=hint)
        return payload

    async def wait(
        self, job_id: str, on_progress: Callable[[int, int], None] | None = None, *, limit_s: float = 900
    ) -> dict[str, Any]:
        """Wait for a job to end. Raises: StepRefused when it ends badly or not in time."""
        pause, waited = 0.05, 0.0
        while waited < limit_s:
            job = (await self.ask(JOB, {"id": job_id}))["job"]
            if job is None:
                raise StepRefused("作业不可见。", "The job is not visible.")
            if on_progress is not None:
                on_progress(job["progressDone"], job["progressTotal"])
            if job["state"] == "DONE":
                return dict(job)
            if job["state"] in _JOB_ENDED:
                raise StepRefused(
                    f"作业失败：{job['errorCode']} {job['error']}", f"{job['errorCode']}: {job['errorEn']}"
                )
            await asyncio.sleep(pause)
            waited += pause
            pause = min(pause * 1.4, 0.5)
        raise StepRefused("作业超时。", f"The job did not end within {limit_s} s.")

    async def all_nodes(
        self, query: str, field: str, variables: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Every node of a connection, page by page; the query takes $after and returns nodes and pageInfo."""
        nodes: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            page: Any = await self.ask(query, {**(variables or {}), "after": after})
            for part in field.split("."):
                page = page[part]
            nodes += page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return nodes
            after = page["pageInfo"]["endCursor"]


@dataclass
class Cast:
    """Everybody who takes part (角色表), made when first asked for."""

    http: httpx.AsyncClient
    make_token: TokenMaker
    _actors: dict[tuple[str, Role], Actor] = field(default_factory=dict)

    def actor(self, tenant: str, role: Role) -> Actor:
        """The actor of a tenant in a role."""
        if (tenant, role) not in self._actors:
            self._actors[tenant, role] = Actor(self.http, tenant, role, self.make_token)
        return self._actors[tenant, role]


def _place(error: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (error["code"], ".".join(error["path"]))))


def _errors(answer: Mapping[str, Any]) -> str:
    if answer.get("error"):
        return f"{answer['error'].get('code')} {answer['error'].get('message')}"
    return "; ".join(f"{e.get('extensions', {}).get('code', '')} {e['message']}" for e in answer["errors"][:5])
