"""The battery (长时测试组): attacks and faults by section, each counted by target, each repeatable by its seed."""

from fenzhi.cli.battery.command import battery

__all__ = ["battery"]
