#!/usr/bin/env bash
# A search for drift always leaves a code and a text.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

pretend synth <<'END'
printf '%s\n' "$*" >asked
[[ $SAYS == nothing ]] || printf '<!-- tandem-drift-staging -->\nthe report\n'
exit "$ENDS"
END

for code in 0 2 3 4 1; do
  SAYS=report ENDS=$code ends "code $code is an answer" 0 "$scripts/drift.sh" staging out
  same "code $code is kept" "$code" "$(<out/staging.code)"
  same "text of $code is kept" 'the report' "$(tail -n 1 out/staging.md)"
done
same 'the environment is named' 'drift --env staging --format markdown' "$(<asked)"
SAYS=nothing ENDS=1 ends 'an error ends nothing' 0 "$scripts/drift.sh" staging out
same 'an error is kept' 1 "$(<out/staging.code)"
same 'an error has a text' '<!-- tandem-drift-staging -->' "$(head -n 1 out/staging.md)"
