# Shell functions for trying the platform by hand (动手试用): `. docs/ask.sh`, from the folder of the checkout.
# Needs a running platform of this machine (`make demo` or `make up`) and curl.

API=$(.venv/bin/fenzhi status --json | .venv/bin/python -c 'import json, sys; print(json.load(sys.stdin)["api_url"])')

token() {  # token TENANT ROLE: a development token, at most fifteen minutes (开发令牌)
  .venv/bin/fenzhi token --tenant "$1" --role "$2"
}

ask() {  # ask TENANT ROLE 'GRAPHQL' ['VARIABLES AS JSON']: one request, its answer on one line per field (发送一个请求)
  .venv/bin/python -c 'import json, sys; print(json.dumps({"query": sys.argv[1], "variables": json.loads(sys.argv[2] or "{}")}))' \
    "$3" "$4" |
    curl -s "$API/graphql" -H "Authorization: Bearer $(token "$1" "$2")" -H 'Content-Type: application/json' --data-binary @- |
    .venv/bin/python -m json.tool --no-ensure-ascii --indent 1
}

pick() {  # ask … | pick data.batchCreate.batch.id: one value out of an answer (取出一个值)
  .venv/bin/python -c 'import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1].split("."):
    value = value[int(key) if key.isdigit() else key]
print(value)' "$1"
}
