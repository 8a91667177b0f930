"""Submit a file of settlement lists and print what became of each (上报示例): standard library only.

Environment: FENZHI_URL, FENZHI_TOKEN. Usage: python submit.py lists.ndjson
"""

import hashlib
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

URL = os.environ["FENZHI_URL"].rstrip("/")
TOKEN = os.environ["FENZHI_TOKEN"]


def send(method, path, body, content_type):
    request = urllib.request.Request(URL + path, body, method=method)
    request.add_header("Authorization", "Bearer " + TOKEN)
    request.add_header("Content-Type", content_type)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()
    except urllib.error.HTTPError as refused:
        raise SystemExit(f"{refused.code} {refused.read().decode()}") from None


def ask(query, variables):
    body = json.dumps({"query": query, "variables": variables}).encode()
    answer = json.loads(send("POST", "/graphql", body, "application/json"))
    if answer.get("errors"):
        raise SystemExit(json.dumps(answer["errors"], ensure_ascii=False, indent=2))
    [found] = answer["data"].values()
    if found and found.get("userErrors"):
        raise SystemExit(json.dumps(found["userErrors"], ensure_ascii=False, indent=2))
    return found


def main(path):
    content = Path(path).read_bytes()
    # One key for one content: send the file again, after a broken connection or by mistake, and nothing happens twice.
    key = str(uuid.uuid5(uuid.NAMESPACE_URL, hashlib.sha256(content).hexdigest()))
    created = ask(
        "mutation($i: BatchCreateInput!) { batchCreate(input: $i) { batch { id state uploadPath } userErrors { code message } } }",
        {"i": {"idempotencyKey": "create-" + key, "purpose": "LISTS", "mode": "PARTIAL"}},
    )["batch"]
    if created["state"] == "OPEN":
        send("PUT", created["uploadPath"] + "1", content, "application/x-ndjson")
        ask(
            "mutation($i: BatchSealInput!) { batchSeal(input: $i) { batch { id } userErrors { code message } } }",
            {"i": {"idempotencyKey": "seal-" + key, "batch": created["id"], "parts": 1}},
        )
    counts = "query($id: ID!) { batch(id: $id) { state counts { rows accepted refused } } }"
    for _ in range(600):
        found = ask(counts, {"id": created["id"]})
        if found["state"] in ("JUDGED", "REFUSED"):
            break
        time.sleep(0.2)
    print(json.dumps(found["counts"]))
    verdicts = send("GET", f"/v1/batches/{created['id']}/verdicts.ndjson", None, "application/json")
    sys.stdout.write(verdicts.decode())


if __name__ == "__main__":
    main(sys.argv[1])
