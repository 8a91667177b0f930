"""Receive Fenzhi webhooks (接收推送), with the standard library only: `FENZHI_WEBHOOK_SECRET=… python webhook_receiver.py 8080`.

Verify first, answer quickly, work afterwards. In front of it stands whatever ends TLS for your host.
"""

import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WINDOW_S = 300
SECRETS = os.environ.get("FENZHI_WEBHOOK_SECRET", "").split()
SEEN = set()


def verified(headers, body, secrets, seen, now):
    """The message, or None when it is forged, too old or here already (验证签名、时间戳与重复)."""
    stated = [part.partition("=") for part in headers.get("Fenzhi-Signature", "").split(",")]
    timestamp = next((value for name, _, value in stated if name == "t"), "")
    if not timestamp.isdigit() or abs(now - int(timestamp)) > WINDOW_S:
        return None
    text = timestamp.encode() + b"." + body
    wanted = [hmac.new(secret.encode(), text, hashlib.sha256).hexdigest() for secret in secrets]
    given = [value for name, _, value in stated if name == "v1"]
    if not any(hmac.compare_digest(one, other) for one in wanted for other in given):
        return None
    message = json.loads(body)
    if message["id"] in seen:  # Keep the ids where they survive a restart; three days are enough.
        return None
    seen.add(message["id"])
    return message


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(min(int(self.headers.get("Content-Length", "0")), 65_536))
        message = verified(self.headers, body, SECRETS, SEEN, time.time())
        # What is here already is answered like what is new, or it would be sent again; what is forged is told nothing.
        self.send_response(204)
        self.end_headers()
        if message is not None:
            print(message["seq"], message["kind"], message["subject"]["type"], message["facts"], flush=True)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
