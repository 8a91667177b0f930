"""`fenzhi demo` (全流程演示): from an empty machine to published scorecards, on real parts, through the API."""

from fenzhi.cli.demo.command import demo

__all__ = ["demo"]
