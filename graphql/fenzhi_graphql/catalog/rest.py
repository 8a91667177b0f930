"""Upload and download paths of catalogs (目录通道): code tables, groups, lists and auxiliary subtypes as CSV."""

from __future__ import annotations

import hashlib

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fenzhi.access.roles import Duty
from fenzhi.rules.catalog.score_edits import TotalRule
from fenzhi.rules.refusals import DataRefused, FenzhiError, Refusal
from fenzhi.services.acts import Request as Act
from fenzhi.services.acts import as_id
from fenzhi.services.catalog import adequacy, code_tables, groups_file, groups_workbook, lists_file, workbook_upload
from fenzhi.services.submission.part_formats import XLSX_TYPE
from fenzhi_graphql.asgi import BodyTooLarge
from fenzhi_graphql.paging import global_id, key_of

FILE_MOST = 16 << 20
"""Bytes of one catalog or code table file."""


class CatalogFileTooLarge(FenzhiError):
    """The file is larger than this path takes (文件过大)."""

    code = "BODY_TOO_LARGE"
    http_status = 413


class CatalogFileTruncated(FenzhiError):
    """The upload broke off (上传中断)."""

    code = "UPLOAD_TRUNCATED"
    http_status = 400


def _too_large() -> CatalogFileTooLarge:
    return CatalogFileTooLarge(f"文件超过 {FILE_MOST} 字节。", f"The file exceeds {FILE_MOST} bytes.")


async def _body(request: Request) -> bytes:
    """The body, whole. Raises: CatalogFileTooLarge, CatalogFileTruncated."""
    stated = request.headers.get("content-length", "")
    length = int(stated) if stated.isdecimal() and len(stated) < 16 else None
    if length is not None and length > FILE_MOST:
        raise _too_large()
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > FILE_MOST:
                raise _too_large()
    except BodyTooLarge as exc:
        raise _too_large() from exc
    except ClientDisconnect as exc:
        raise _truncated() from exc
    if length is not None and len(body) != length:
        raise _truncated()
    return bytes(body)


def _truncated() -> CatalogFileTruncated:
    return CatalogFileTruncated("上传中断，未保存。", "The upload broke off; nothing was kept.")


def _act(request: Request, operation: str, order: dict[str, object]) -> Act:
    return Act(
        operation=operation,
        key=request.headers.get("idempotency-key", ""),
        order=order,
        request_id=request.state.request_id,
    )


def _constructed(request: Request) -> bool:
    return request.query_params.get("constructed", "").lower() in ("1", "true", "yes")


async def put_code_table(request: Request) -> Response:
    """`PUT /v1/code-tables/{kind}/{version}?document=…&constructed=1`: import a code table (text/csv)."""
    subject = await request.app.state.sign_in.subject(request)
    subject.scope_for(Duty.EDIT_CATALOG)
    content = await _body(request)
    order = code_tables.NewCodeTable(
        kind=request.path_params["kind"].lower(),
        version=request.path_params["version"],
        document=request.query_params.get("document", ""),
        is_constructed=_constructed(request),
    )
    act = _act(
        request,
        "codeTableImport",
        {
            "kind": order.kind,
            "version": order.version,
            "document": order.document,
            "is_constructed": order.is_constructed,
            "sha256": hashlib.sha256(content).hexdigest(),
        },
    )
    answer = await code_tables.import_code_table(request.app.state.platform, subject, act, order, content)
    return JSONResponse({"codeTable": global_id("CodeTable", answer["id"]), "entries": answer["entries"]})


def _mode(request: Request) -> groups_file.ImportMode:
    given = request.query_params.get("mode", "append")
    try:
        return groups_file.ImportMode(given)
    except ValueError:
        raise DataRefused(
            (
                Refusal(
                    "IMPORT_MODE",
                    "mode",
                    given[:40],
                    "导入方式须为 append 或 replace。",
                    "The mode is append or replace.",
                    "改为 append 或 replace。",
                    "Write append or replace.",
                ),
            )
        ) from None


async def put_groups(request: Request) -> Response:
    """`PUT /v1/catalog-editions/{id}/groups?mode=append|replace`: read a catalog file into a draft (text/csv)."""
    subject = await request.app.state.sign_in.subject(request)
    subject.scope_for(Duty.EDIT_CATALOG)
    edition_id = as_id(key_of(request.path_params["edition"], "CatalogEdition", "edition"), "edition")
    mode = _mode(request)
    content = await _body(request)
    act = _act(
        request,
        "catalogGroupsImport",
        {"edition": str(edition_id), "mode": mode.value, "sha256": hashlib.sha256(content).hexdigest()},
    )
    answer = await groups_file.put_groups(request.app.state.platform, subject, act, edition_id, content, mode)
    return JSONResponse(
        {
            "edition": global_id("CatalogEdition", answer["id"]),
            "added": answer["added"],
            "groups": answer["groups"],
            "warningCounts": answer["warning_counts"],
            "warnings": [_warning(one) for one in answer["warnings"]],
        }
    )


def _warning(one: dict[str, str]) -> dict[str, str]:
    return {
        "code": one["code"],
        "path": one["where"],
        "saw": one["saw"],
        "message": one["zh"],
        "messageEn": one["en"],
    }


async def get_groups(request: Request) -> Response:
    """`GET /v1/catalog-editions/{id}/groups.csv`: the groups as a file; an imported file leaves in the same bytes."""
    subject = await request.app.state.sign_in.subject(request)
    edition_id = as_id(key_of(request.path_params["edition"], "CatalogEdition", "edition"), "edition")
    code, content = await groups_file.export_groups(request.app.state.platform, subject, edition_id)
    return Response(
        content,
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{code}.csv"'},
    )


def _total_rule(request: Request) -> TotalRule:
    given = request.query_params.get("total", TotalRule.RENORMALISE.value)
    try:
        return TotalRule(given)
    except ValueError:
        raise DataRefused(
            (
                Refusal(
                    "SCORE_TOTAL_RULE",
                    "total",
                    given[:40],
                    "总分值处理须为 renormalise 或 reject。",
                    "The rule of the total is renormalise or reject.",
                    "改为 renormalise 或 reject。",
                    "Write renormalise or reject.",
                ),
            )
        ) from None


async def get_workbook(request: Request) -> Response:
    """`GET /v1/catalog-editions/{id}/groups.xlsx`: the groups as a workbook, which is the template of an upload."""
    subject = await request.app.state.sign_in.subject(request)
    edition_id = as_id(key_of(request.path_params["edition"], "CatalogEdition", "edition"), "edition")
    code, content = await groups_workbook.download_workbook(request.app.state.platform, subject, edition_id)
    return _workbook(content, f"{code}.xlsx", 200)


async def put_workbook(request: Request) -> Response:
    """`PUT /v1/catalog-editions/{id}/groups.xlsx?reason=…&total=renormalise|reject`: take a workbook's changes over.

    Takes xlsx and CSV (UTF-8, GB18030). What was wrong comes back as JSON, or, to who accepts a workbook, as the sender's own
    workbook with its cells marked; either way nothing was taken over.
    """
    subject = await request.app.state.sign_in.subject(request)
    subject.scope_for(Duty.EDIT_CATALOG)
    edition_id = as_id(key_of(request.path_params["edition"], "CatalogEdition", "edition"), "edition")
    order = workbook_upload.WorkbookOrder(request.query_params.get("reason", ""), _total_rule(request))
    content = await _body(request)
    act = _act(
        request,
        "catalogWorkbookUpload",
        {
            "edition": str(edition_id),
            "reason": order.reason,
            "total": order.total_rule.value,
            "sha256": hashlib.sha256(content).hexdigest(),
        },
    )
    try:
        answer = await workbook_upload.upload_workbook(
            request.app.state.platform, subject, act, edition_id, content, order
        )
    except DataRefused as refused:
        if XLSX_TYPE not in request.headers.get("accept", ""):
            raise
        marked = await workbook_upload.annotated_copy(content, refused.refusals)
        response = _workbook(marked, "annotated.xlsx", refused.http_status)
        response.headers["fenzhi-error"] = refused.code
        response.headers["fenzhi-faults"] = str(len(refused.refusals))
        return response
    return JSONResponse(
        {
            "edition": global_id("CatalogEdition", answer["id"]),
            "groups": answer["groups"],
            "changed": answer["changed"],
            "added": answer["added"],
            "removed": answer["removed"],
            "unchanged": answer["unchanged"],
            "scoresEdited": answer["scores_edited"],
            "scoresMoved": answer["scores_moved"],
            "factor": answer["factor"],
            "residual": answer["residual"],
            "warningCounts": answer["warning_counts"],
            "warnings": [_warning(one) for one in answer["warnings"]],
        }
    )


async def get_adequacy(request: Request) -> Response:
    """`GET /v1/catalog-editions/{id}/adequacy.md`: the adequacy report of an edition as a page of Markdown."""
    subject = await request.app.state.sign_in.subject(request)
    edition_id = as_id(key_of(request.path_params["edition"], "CatalogEdition", "edition"), "edition")
    code, page = await adequacy.adequacy_document(request.app.state.platform, subject, edition_id)
    headers = {"content-disposition": f'attachment; filename="{code}-adequacy.md"'}
    return Response(page.encode(), media_type="text/markdown; charset=utf-8", headers=headers)


def _workbook(content: bytes, name: str, status: int) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(content, status_code=status, media_type=XLSX_TYPE, headers=headers)


async def _put_table(request: Request, operation: str) -> Response:
    subject = await request.app.state.sign_in.subject(request)
    subject.scope_for(Duty.EDIT_CATALOG)
    edition_id = as_id(key_of(request.path_params["edition"], "CatalogEdition", "edition"), "edition")
    content = await _body(request)
    act = _act(request, operation, {"edition": str(edition_id), "sha256": hashlib.sha256(content).hexdigest()})
    put = lists_file.put_lists if operation == "catalogListsImport" else lists_file.put_subtypes
    answer = await put(request.app.state.platform, subject, act, edition_id, content)
    return JSONResponse(
        {"edition": global_id("CatalogEdition", answer["id"]), "rows": answer["rows"], "counts": answer["counts"]}
    )


async def put_lists(request: Request) -> Response:
    """`PUT /v1/catalog-editions/{id}/lists`: read the lists of a draft anew (text/csv: list,code,scope)."""
    return await _put_table(request, "catalogListsImport")


async def put_subtypes(request: Request) -> Response:
    """`PUT /v1/catalog-editions/{id}/subtypes`: read the auxiliary subtypes of a draft anew (text/csv)."""
    return await _put_table(request, "catalogSubtypesImport")


async def _get_table(request: Request, what: str) -> Response:
    subject = await request.app.state.sign_in.subject(request)
    edition_id = as_id(key_of(request.path_params["edition"], "CatalogEdition", "edition"), "edition")
    export = lists_file.export_lists if what == "lists" else lists_file.export_subtypes
    code, content = await export(request.app.state.platform, subject, edition_id)
    return Response(
        content,
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{code}-{what}.csv"'},
    )


async def get_lists(request: Request) -> Response:
    """`GET /v1/catalog-editions/{id}/lists.csv`: the lists of an edition as a file."""
    return await _get_table(request, "lists")


async def get_subtypes(request: Request) -> Response:
    """`GET /v1/catalog-editions/{id}/subtypes.csv`: the auxiliary subtypes of an edition as a file."""
    return await _get_table(request, "subtypes")


def catalog_routes() -> list[Route]:
    """The paths (路径)."""
    return [
        Route("/v1/code-tables/{kind}/{version}", put_code_table, methods=["PUT"]),
        Route("/v1/catalog-editions/{edition}/groups", put_groups, methods=["PUT"]),
        Route("/v1/catalog-editions/{edition}/groups.csv", get_groups, methods=["GET"]),
        Route("/v1/catalog-editions/{edition}/adequacy.md", get_adequacy, methods=["GET"]),
        Route("/v1/catalog-editions/{edition}/groups.xlsx", get_workbook, methods=["GET"]),
        Route("/v1/catalog-editions/{edition}/groups.xlsx", put_workbook, methods=["PUT"]),
        Route("/v1/catalog-editions/{edition}/lists", put_lists, methods=["PUT"]),
        Route("/v1/catalog-editions/{edition}/lists.csv", get_lists, methods=["GET"]),
        Route("/v1/catalog-editions/{edition}/subtypes", put_subtypes, methods=["PUT"]),
        Route("/v1/catalog-editions/{edition}/subtypes.csv", get_subtypes, methods=["GET"]),
    ]
