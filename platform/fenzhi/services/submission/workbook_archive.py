"""The archive of an xlsx workbook (工作簿压缩包): refused before parsing where it is dangerous.

The zip's own directory is checked first: number of entries, their sizes and the total. Then every part is inflated under a cap
and no document type is let through.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from io import BytesIO

from fenzhi.rules.refusals import FenzhiError

INFLATED_MOST = 64 << 20
"""Bytes of all entries of a workbook together (解压后字节上限)."""
ENTRIES_MOST = 2_000
CELLS_MOST = 2_000_000
SHEETS_MOST = 50
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_DRAWN = re.compile(r"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)


class WorkbookRefused(FenzhiError):
    """The file is no workbook the platform may open (工作簿不予读取)."""

    code = "WORKBOOK_UNREADABLE"
    http_status = 422


class WorkbookTooLarge(WorkbookRefused):
    """The workbook is larger than it says, or than one may be (工作簿过大)."""

    code = "WORKBOOK_TOO_LARGE"
    http_status = 413


def looks_encrypted_or_old(content: bytes) -> bool:
    """An OLE file: a workbook with a password, or one of Excel 97 to 2003 (加密工作簿或旧版 xls)."""
    return content.startswith(_OLE)


def checked_archive(content: bytes, most: int = INFLATED_MOST) -> zipfile.ZipFile:
    """The archive of a workbook, once its directory shows nothing dangerous (检查压缩包). Raises: WorkbookRefused."""
    if looks_encrypted_or_old(content):
        raise WorkbookRefused(
            "文件有打开密码，或是旧版 xls 格式。",
            "The file has a password, or is of the old xls format.",
            code="WORKBOOK_PASSWORD",
            hint="取消密码，另存为 xlsx 后上传 / remove the password and save it as xlsx",
        )
    try:
        archive = zipfile.ZipFile(BytesIO(content))
        entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error) as exc:
        raise broken() from exc
    if len(entries) > ENTRIES_MOST or sum(entry.file_size for entry in entries) > most:
        largest = max(entries, key=lambda entry: entry.file_size)
        raise too_large(f"{largest.filename[:80]}: {largest.file_size}", most)
    if any(entry.flag_bits & 0x1 for entry in entries):
        raise WorkbookRefused(
            "压缩包已加密。",
            "The archive is encrypted.",
            code="WORKBOOK_PASSWORD",
            hint="取消密码，另存为 xlsx 后上传 / remove the password and save it as xlsx",
        )
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        raise broken()
    if any("vbaproject" in name.lower() for name in names):
        raise _macros()
    spent = 0
    for entry in entries:
        if not entry.filename.lower().endswith((".xml", ".rels")):
            continue
        text = inflated(archive, entry.filename, most - spent)
        spent += len(text)
        if text[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in text[:64]:
            raise broken()
        if _DRAWN.search(text[:4096].decode("utf-8", "replace")):
            raise WorkbookRefused(
                "文件含有文档类型定义，不予读取。",
                "The file declares a document type and is not read.",
                code="WORKBOOK_DOCTYPE",
            )
        if entry.filename == "[Content_Types].xml" and b"macroEnabled" in text:
            raise _macros()
    return archive


def _macros() -> WorkbookRefused:
    return WorkbookRefused(
        "工作簿含有宏，不予读取。",
        "The workbook holds macros and is not read.",
        code="WORKBOOK_MACROS",
        hint="另存为不含宏的 xlsx 后上传 / save it as xlsx without macros",
    )


def too_large(where: str, most: int = INFLATED_MOST) -> WorkbookTooLarge:
    """The refusal of what is too large (工作簿过大): `where` names the part or row at which the limit was passed."""
    return WorkbookTooLarge(
        f"工作簿解压后超过 {most} 字节、{CELLS_MOST} 个单元格或 {SHEETS_MOST} 张表（{where}）。",
        f"The workbook inflates beyond {most} bytes, {CELLS_MOST} cells or {SHEETS_MOST} sheets ({where}).",
        hint="拆分后上传 / split it",
    )


def broken() -> WorkbookRefused:
    """The refusal of what is no whole workbook (工作簿不完整)."""
    return WorkbookRefused(
        "文件不是完整的 xlsx 工作簿。",
        "The file is no whole xlsx workbook.",
        hint="用表格软件打开，另存为 xlsx 后重传 / open it, save it as xlsx and send it again",
    )


def inflated(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """One entry, at most so many bytes (解压一个部件). Raises: WorkbookRefused."""
    try:
        with archive.open(name) as stream:
            found = stream.read(most + 1)
    except KeyError as exc:
        raise broken() from exc
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as exc:
        raise broken() from exc
    if len(found) > most:
        raise too_large(name[:80])
    return found
