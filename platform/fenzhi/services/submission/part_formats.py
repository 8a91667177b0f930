"""What a part holds (分片格式): NDJSON, CSV or a workbook, told by the bytes themselves, so that a wrong header harms nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from fenzhi.rules.refusals import DataRefused, FenzhiError
from fenzhi.services.submission.parse_part import ParsedRow, parse_part
from fenzhi.services.submission.table_lists import looks_like_table, read_table, table_rows
from fenzhi.services.submission.workbook_cells import WorkbookRefused, checked_archive, looks_encrypted_or_old

XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV_TYPE = "text/csv"


class FormatDiffers(FenzhiError):
    """The part is not what its Content-Type says (内容与 Content-Type 不符)."""

    code = "CONTENT_TYPE_DIFFERS"
    http_status = 415


class PartFormat(NamedTuple):
    """Format and encoding of a part (分片格式与编码)."""

    name: str
    charset: str


NDJSON = PartFormat("ndjson", "UTF-8")


def received_format(content: bytes, media_type: str) -> PartFormat:
    """What an uploaded part is (识别上传的分片); a table is opened, and refused for what it as such gets wrong.

    Raises: FormatDiffers, WorkbookRefused, DataRefused.
    """
    stated = media_type.partition(";")[0].strip().lower()
    if stated == XLSX_TYPE or looks_encrypted_or_old(content):
        checked_archive(content)
    found = looks_like_table(content)
    if found:
        table = read_table(content)
        return PartFormat(table.format, table.charset)
    if stated == CSV_TYPE:
        raise FormatDiffers(
            "文件首行不是含有结算号（setl_id）列的表头，或不以逗号分隔。",
            "The first line is no header with a column setl_id, or the file is not separated by commas.",
            hint="首行写列名，以逗号分隔；可下载模板 / name the columns in the first line; see the template",
        )
    return NDJSON


def rows_of_part(content: bytes) -> tuple[Iterator[ParsedRow], int]:
    """The rows of a kept part in order, and how many row numbers it takes up (分片行与行号跨度)."""
    if looks_like_table(content):
        try:
            table = read_table(content)
        except (WorkbookRefused, DataRefused):
            pass  # Kept before tables were read: the reader of lines names what the bytes are.
        else:
            return table_rows(table), table.last_row
    return parse_part(content), line_count(content)


def line_count(content: bytes) -> int:
    """Lines of a part, the last one with or without its break (行数)."""
    return content.count(b"\n") + (0 if not content or content.endswith(b"\n") else 1)
