"""`python -m fenzhi_graphql` (接口进程入口)."""

from __future__ import annotations

from fenzhi_graphql.server import main

if __name__ == "__main__":
    main()
