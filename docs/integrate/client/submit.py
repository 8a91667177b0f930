"""Submit one file with the generated client: python submit.py FILE (使用生成的客户端上报一个文件)."""

from __future__ import annotations

import os
import sys
import time
import uuid
from pathlib import Path

import httpx
from fenzhi_client import FenzhiClient
from fenzhi_client.enums import BatchMode, BatchPurpose
from fenzhi_client.input_types import BatchCreateInput, BatchSealInput


def main() -> int:
    """Create, upload, seal, wait, print the counts (建批、上传、封存、等待). 0 when no row was refused."""
    url, token = os.environ["FENZHI_URL"], os.environ["FENZHI_TOKEN"]
    headers = {"authorization": f"Bearer {token}"}
    http = httpx.Client(base_url=url, headers=headers, timeout=60)
    client = FenzhiClient(url=f"{url}/graphql", headers=headers)
    order = BatchCreateInput(
        idempotencyKey=uuid.uuid4().hex, purpose=BatchPurpose.LISTS, mode=BatchMode.PARTIAL, label=sys.argv[1][-100:]
    )
    batch = client.create_batch(order).batch_create.batch
    if batch is None:
        raise SystemExit("the batch was refused")
    http.put(f"{batch.upload_path}1", content=Path(sys.argv[1]).read_bytes()).raise_for_status()
    client.seal_batch(BatchSealInput(idempotencyKey=uuid.uuid4().hex, batch=batch.id, parts=1))
    for _ in range(240):
        found = client.get_batch(batch.id).batch
        if found is not None and found.counts is not None:
            print(f"accepted {found.counts.accepted}, refused {found.counts.refused}")
            return 1 if found.counts.refused else 0
        time.sleep(0.25)
    raise SystemExit("no verdict within a minute")


if __name__ == "__main__":
    sys.exit(main())
