"""The page of every code a user can meet (错误代码说明页): docs/refusals/<CODE>.md and the index beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

from fenzhi.cli.documents.codes import CodeFound, codes_of
from fenzhi.rules.submission.refusal_page import refusal_index, refusal_page
from fenzhi.rules.submission.verdict_texts import VERDICT_TEXTS

_CLI = "命令行（退出码 2）/ the command line, exit code 2"
_API = "接口：变更的 `userErrors`、顶层 `errors` 或上传路径的 `error` / the API: `userErrors`, `errors`, or `error` of a path"
_JOB = "作业的 `errorCode` / `errorCode` of a job"
_SENTENCES_MOST = 6


class Reason(NamedTuple):
    """Why a code exists and how to mend it (原因与处理), each in Chinese and English; an absent part is empty."""

    why: tuple[str, str]
    mend: tuple[str, str]
    says: tuple[str, str]


_NO_REASON = Reason(("", ""), ("", ""), ("", ""))
"""For a code whose sentence and remedy in the source say all there is to say."""


def reasons_of(root: Path) -> Mapping[str, Reason]:
    """The reasons a person wrote, `docs/refusals/reasons.yaml` (人工撰写的原因与处理)."""
    given = yaml.safe_load((root / "docs/refusals/reasons.yaml").read_text(encoding="utf-8"))
    parts = ("why", "mend", "says")
    return {
        code: Reason(*((str(row[part][0]), str(row[part][1])) if part in row else ("", "") for part in parts))
        for code, row in given.items()
    }


def lacking(root: Path) -> list[str]:
    """What stands between the codes and their pages (缺失内容): codes without words, words without a code."""
    found, reasons = codes_of(root), reasons_of(root)
    general = {code: entry for code, entry in found.items() if code not in VERDICT_TEXTS}
    gaps = [f"{code}: in docs/refusals/reasons.yaml, but no source gives it" for code in reasons if code not in general]
    for code in general:
        reason = reasons.get(code, _NO_REASON)
        if not reason.says[0] and not general[code].says:
            gaps.append(f"{code}: no sentence in the source, so `says` is needed")
        if not reason.mend[0] and not general[code].mends:
            gaps.append(f"{code}: no remedy in the source, so `mend` is needed")
    return gaps


def refusal_files(root: Path) -> dict[str, str]:
    """Every page by its file name, the index included (全部说明页). Requires: nothing is `lacking`."""
    found, reasons = codes_of(root), reasons_of(root)
    pages = {f"{code}.md": refusal_page(code) for code in VERDICT_TEXTS}
    general = {code: entry for code, entry in found.items() if code not in VERDICT_TEXTS}
    for code, entry in general.items():
        pages[f"{code}.md"] = _page(entry, reasons.get(code, _NO_REASON))
    pages["README.md"] = _index(general, reasons)
    return dict(sorted(pages.items()))


def _where(entry: CodeFound) -> str:
    places = []
    if entry.places - {"cli"}:
        places.append(_API)
    if entry.places & {"services", "rules", "engine", "outbox", "store"}:
        places.append(_JOB)
    if "cli" in entry.places:
        places.append(_CLI)
    return "；".join(places)


def _says(entry: CodeFound, reason: Reason) -> list[tuple[str, str]]:
    return [reason.says] if reason.says[0] else entry.says[:_SENTENCES_MOST]


def _page(entry: CodeFound, reason: Reason) -> str:
    lines = [f"# {entry.code}", "", "| | |", "|---|---|", f"| 出现处 where | {_where(entry)} |"]
    if entry.http_status is not None:
        lines.append(f"| HTTP | {entry.http_status}（GraphQL 之外的路径 / outside GraphQL） |")
    lines += ["", "## 说明 What it says", ""]
    for zh, en in _says(entry, reason):
        lines += [zh, "", en, ""]
    if reason.why[0]:
        lines += ["## 原因 Why", "", reason.why[0], "", reason.why[1], ""]
    lines += ["## 如何处理 How to mend it", ""]
    for zh, en in [reason.mend] if reason.mend[0] else entry.mends:
        lines += [zh, "", en, ""]
    lines.append("花括号中的内容在实际说明里换成所见的值。 / Words in braces are replaced by what was seen.")
    return "\n".join(lines) + "\n"


def _index(general: Mapping[str, CodeFound], reasons: Mapping[str, Reason]) -> str:
    rows = [
        f"| [{code}]({code}.md) | {_says(entry, reasons.get(code, _NO_REASON))[0][0]} |"
        for code, entry in general.items()
    ]
    return "\n".join(
        (
            "# 错误代码 Codes",
            "",
            "平台答复中的每个代码在此各有一页：说明、原因、如何处理。先是清单上报的校验结论，再是其余代码。",
            "",
            "Every code in an answer of the platform has its page here: what it says, why, how to mend it. The findings of",
            "settlement lists come first, all others after them. `make docs` writes the pages from the source and from",
            "`reasons.yaml`; a test compares them.",
            "",
            refusal_index().replace("# ", "## ", 1).rstrip("\n"),
            "",
            "## 其余代码 All others",
            "",
            "| 代码 code | 说明 |",
            "|---|---|",
            *rows,
            "",
        )
    )
