"""Where the command `fenzhi` begins (命令入口): Ctrl-C ends it quietly even while it is still being read in."""

from __future__ import annotations

import sys

_BROKEN_OFF = 130


def main() -> None:
    """Run the command line (命令行). Exit code 130 where Ctrl-C came before there was anything to break off."""
    try:
        from fenzhi.cli.main import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = _BROKEN_OFF
    sys.exit(code)
