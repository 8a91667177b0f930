#!/bin/sh
# Submit a file of settlement lists and print what became of each (上报示例): curl and sed.
# Environment: FENZHI_URL, FENZHI_TOKEN. Usage: sh submit.sh lists.ndjson
set -eu
KEY=$(date +%s)-$$
send() { curl -sS --fail-with-body -H "Authorization: Bearer $FENZHI_TOKEN" "$@"; }
stop() { printf '%s\n' "$ANSWER" >&2; exit 1; }
ask() {
  ANSWER=$(send "$FENZHI_URL/graphql" -H 'Content-Type: application/json' -d "$1") || stop
  if printf '%s' "$ANSWER" | grep -Eq '"errors": *\[|"userErrors": *\[ *\{'; then stop; fi
}
field() { printf '%s' "$ANSWER" | sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"; }
ask '{"query":"mutation($i: BatchCreateInput!) { batchCreate(input: $i) { batch { id } userErrors { code message } } }","variables":{"i":{"idempotencyKey":"create-'"$KEY"'","purpose":"LISTS","mode":"PARTIAL"}}}'
BATCH=$(field id)
ANSWER=$(send -X PUT --data-binary "@$1" "$FENZHI_URL/v1/batches/$BATCH/parts/1" -H 'Content-Type: application/x-ndjson') || stop
ask '{"query":"mutation($i: BatchSealInput!) { batchSeal(input: $i) { batch { id } userErrors { code message } } }","variables":{"i":{"idempotencyKey":"seal-'"$KEY"'","batch":"'"$BATCH"'","parts":1}}}'
STATE=SEALED
while [ "$STATE" = SEALED ]; do
  sleep 1
  ask '{"query":"query($id: ID!) { batch(id: $id) { state } }","variables":{"id":"'"$BATCH"'"}}'
  STATE=$(field state)
done
echo "$STATE"
send "$FENZHI_URL/v1/batches/$BATCH/verdicts.ndjson"
