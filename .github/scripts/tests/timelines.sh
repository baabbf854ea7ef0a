#!/usr/bin/env bash
# What a summary says of deployments.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

mkdir -p timelines/before
same 'without a record there is nothing to say' '' "$("$scripts/timelines.sh" timelines https://example.com/1 https://example.com/all)"

cat >timelines/west.json <<'END'
{"version": 1, "environment": "staging", "result": "failed",
 "started_at": "2026-12-01T09:50:30.123Z", "ended_at": "2026-12-01T09:56:50Z",
 "lanes": [
  {"name": "keys", "region": "us-west-2", "result": "unchanged", "started_at": "2026-12-01T09:51:00Z", "ended_at": "2026-12-01T09:51:00Z"},
  {"name": "data", "region": "us-west-2", "result": "failed", "started_at": "2026-12-01T09:51:00Z", "ended_at": "2026-12-01T09:56:02.5Z"},
  {"name": "events", "region": "us-east-1", "result": "not_tried"}]}
END
same 'it says how each stack ended' "### staging: failed after 6 min 20 s

[Timeline](https://example.com/1)

| stack | result | took |
|---|---|--:|
| \`data@us-west-2\` | failed | 5 min 2 s |
| \`events@us-east-1\` | not tried |  |" "$("$scripts/timelines.sh" timelines https://example.com/1 https://example.com/all)"

jq '.result = "unchanged" | .lanes |= .[:1]' timelines/west.json >timelines/before/west.json
same 'each record is told, one without changes without a table' '### staging: unchanged after 6 min 20 s|### staging: failed after 6 min 20 s' \
  "$("$scripts/timelines.sh" timelines https://example.com/1 https://example.com/all | grep '^###' | paste --serial --delimiter '|')"
same 'what came before the wave is among all pages' '[Timeline](https://example.com/all)|[Timeline](https://example.com/1)' \
  "$("$scripts/timelines.sh" timelines https://example.com/1 https://example.com/all | grep '^.Timeline' | paste --serial --delimiter '|')"
rm timelines/west.json
same 'no table of nothing' 0 "$("$scripts/timelines.sh" timelines https://example.com/1 https://example.com/all | grep --count '|' || true)"

printf 'no record' >timelines/west.json
same 'what is no record is an error' failed "$("$scripts/timelines.sh" timelines https://example.com/1 https://example.com/all >/dev/null 2>&1 || printf failed)"
