#!/usr/bin/env bash
# Which exit code fails under which setting.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

# verdict <setting> <code of staging> <code of production>
verdict() {
  rm -rf codes && mkdir codes
  printf '%s\n' "$2" >codes/staging.code
  printf '%s\n' "$3" >codes/production.code
  local code=0
  DIFF_FAIL_ON=$1 "$scripts/diff-verdict.sh" codes >/dev/null || code=$?
  printf '%d' "$code"
}

#       codes  0 2 3 4 1 5
for row in 'never       000011' 'broadened   000111' 'destructive 001111' 'changes     011111'; do
  read -r setting expected <<<"$row"
  found=
  for code in 0 2 3 4 1 5; do
    found+=$(verdict "$setting" 0 "$code")
  done
  same "$setting" "$expected" "$found"
done
same 'the gravest of several decides' 1 "$(verdict destructive 3 0)"
same 'no setting is never' 0 "$(verdict '' 4 4)"
same 'a setting that is none' 1 "$(verdict sometimes 0 0)"
same 'a code that is none' 1 "$(verdict never 0 '0 ')"
same 'an empty code' 1 "$(verdict never 0 '')"
mkdir empty
ends 'nothing was compared' 1 "$scripts/diff-verdict.sh" empty
