"""The list of settings (配置清单): docs/settings.md, from the class that reads them."""

from __future__ import annotations

import ast
import inspect
import json
from itertools import pairwise

from fenzhi import settings
from fenzhi.settings import PREFIX, SECRETS, Settings

_ALSO = {
    "FENZHI_ADMIN_DATABASE_URL": "administrator's DSN, read by `fenzhi db bootstrap` only (管理员连接)",
    "FENZHI_SHARED": "folder of shared data for the tests; default `../shared` (测试用共享数据)",
    "FENZHI_REQUIRE_SHARED": "`1`: tests that need that folder fail instead of skipping (缺少共享数据时判为失败)",
    "FENZHI_TEST_DATABASE_URL": "superuser's DSN of a server for `make test-system` (外部测试数据库)",
    "FENZHI_TEST_REDIS_URL": "Redis for `make test-system` (外部测试 Redis)",
}
_UNDOCUMENTED = {
    "api_host": "Address the API listens on (监听地址). Anything but loopback needs a real issuer.",
    "jwt_audience": "Audience an access token must name (令牌受众).",
    "log_level": "DEBUG, INFO, WARNING or ERROR (日志级别).",
    "worker_concurrency": "Jobs one worker carries out at once (并行作业数), 1 to 64.",
}


def settings_page() -> str:
    """The page (配置说明页). Raises: LookupError for a setting that nobody describes."""
    described = _described()
    rows = []
    for name, field in Settings.model_fields.items():
        says = described.get(name) or _UNDOCUMENTED.get(name)
        if says is None:
            raise LookupError(f"{name}: say in settings.py what it is")
        variable = f"`{PREFIX}{name.upper()}`"
        if name in SECRETS:
            variable += f" or `{PREFIX}{name.upper()}_FILE`"
        rows.append(f"| {variable} | {_default(name, field.default)} | {says} |")
    also = [f"| `{name}` | {says} |" for name, says in _ALSO.items()]
    return "\n".join(
        (
            "# 配置 Settings",
            "",
            "由 `make docs` 生成。每项配置都是以 `FENZHI_` 开头的环境变量，空值视为未设；密钥也可由 `…_FILE` 所指文件给出，",
            "两者同时设置会被拒绝。`fenzhi doctor` 指出不妥之处及处理办法。",
            "",
            "Written by `make docs` from `platform/fenzhi/settings.py`. Every setting is a variable of the environment; an empty one",
            "counts as unset. A secret may come from the file that `…_FILE` names; both at once are refused. `fenzhi doctor` names",
            "what is wrong and how to mend it.",
            "",
            "| 变量 variable | 缺省 default | 含义 meaning |",
            "|---|---|---|",
            *rows,
            "",
            "## 其他 Besides",
            "",
            "| 变量 variable | 含义 meaning |",
            "|---|---|",
            *also,
            "",
        )
    )


def _default(name: str, value: object) -> str:
    if name == "state_dir":
        return "`./.fenzhi`"
    if value is None or value == "":
        return "unset"
    return f"`{json.dumps(value)}`".replace('"', "")


def _described() -> dict[str, str]:
    """The text below each setting in its class."""
    tree = ast.parse(inspect.getsource(settings))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings")
    found: dict[str, str] = {}
    for before, after in pairwise(body):
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name) and isinstance(after, ast.Expr):
            if isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
                found[before.target.id] = " ".join(after.value.value.split()).replace("|", "\\|")
    return found
