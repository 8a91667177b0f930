#!/bin/sh
# Submit a file of settlement lists and print what became of each (上报示例): curl and sed.
# Environment: FENZHI_URL, FENZHI_TOKEN. Usage: sh submit.sh lists.ndjson
set -eu
KEY=$(date +%s)-$$
ask() {
  curl -sS --fail-with-body "$FENZHI_URL/graphql" -H "Authorization: Bearer $FENZHI_TOKEN" -H 'Content-Type: application/json' -d "$1"
}
field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"; }
BATCH=$(ask '{"query":"mutation($i: BatchCreateInput!) { batchCreate(input: $i) { batch { id } userErrors { code } } }","variables":{"i":{"idempotencyKey":"create-'"$KEY"'","purpose":"LISTS","mode":"PARTIAL"}}}' | field id)
curl -sS --fail-with-body -X PUT --data-binary "@$1" "$FENZHI_URL/v1/batches/$BATCH/parts/1" -H "Authorization: Bearer $FENZHI_TOKEN" -H 'Content-Type: application/x-ndjson' >/dev/null
ask '{"query":"mutation($i: BatchSealInput!) { batchSeal(input: $i) { batch { id } userErrors { code } } }","variables":{"i":{"idempotencyKey":"seal-'"$KEY"'","batch":"'"$BATCH"'","parts":1}}}' >/dev/null
STATE=SEALED
while [ "$STATE" = SEALED ]; do
  sleep 1
  STATE=$(ask '{"query":"query($id: ID!) { batch(id: $id) { state } }","variables":{"id":"'"$BATCH"'"}}' | field state)
done
echo "$STATE"
curl -sS --fail-with-body "$FENZHI_URL/v1/batches/$BATCH/verdicts.ndjson" -H "Authorization: Bearer $FENZHI_TOKEN"
