#!/usr/bin/env bash
# A diff always leaves a code and a text.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

pretend synth <<'END'
printf '%s\n' "$*" >asked
[[ $ENDS == 1 ]] || printf '<!-- tandem-diff-staging -->\nthe diff\n'
exit "$ENDS"
END

for code in 0 2 3 4; do
  ENDS=$code ends "code $code is a diff" 0 "$scripts/diff.sh" staging out --out plan.json
  same "code $code is kept" "$code" "$(<out/staging.code)"
  same "text of $code is kept" 'the diff' "$(tail -n 1 out/staging.md)"
done
same 'options are handed on' 'diff --env staging --format markdown --out plan.json' "$(<asked)"
ENDS=1 ends 'an error is none' 1 "$scripts/diff.sh" staging out
same 'an error is kept' 1 "$(<out/staging.code)"
same 'an error has a text' '<!-- tandem-diff-staging -->' "$(head -n 1 out/staging.md)"
