"""`python -m fenzhi` is the command `fenzhi`."""

from __future__ import annotations

from fenzhi.cli.entry import main

if __name__ == "__main__":
    main()
