#!/usr/bin/env bash
# One issue about drift: opened, written anew, closed.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

export REPOSITORY=example/tandem RUN_URL=https://github.com/example/tandem/actions/runs/1

pretend gh <<'END'
case "$*" in
  *--paginate*) cat issues.json ;;
  'label create'*) printf 'label\n' >>told ;;
  *) printf '%s %s\n' "$3" "$4" >>told && cat >body ;;
esac
END

printf '<!-- tandem-drift-staging -->\na queue was changed\n' >report.md
# issue <code>
issue() {
  rm -f told body
  "$scripts/drift-issue.sh" staging "$1" report.md >/dev/null
  cat told 2>/dev/null || printf 'nothing'
}

bot='"user": {"login": "github-actions[bot]"}'
printf '[{"number": 1, "user": {"login": "somebody"}, "title": "Drift in staging"}, {"number": 2, %s, "title": "Drift in production"}]' "$bot" >issues.json
same 'no drift, no issue' nothing "$(issue 0)"
same 'drift opens one' $'label\nPOST repos/example/tandem/issues' "$(issue 2)"
same 'it has title and label' 'Drift in staging drift' "$(jq --raw-output '"\(.title) \(.labels[0])"' body)"
same 'it has the report and the run' true "$(jq '.body | contains("a queue was changed") and contains("actions/runs/1")' body)"

printf '[{"number": 3, %s, "title": "Drift in staging", "pull_request": {}}][{"number": 4, %s, "title": "Drift in staging"}]' "$bot" "$bot" >issues.json
for code in 2 3 4; do
  same "drift $code is written anew" 'PATCH repos/example/tandem/issues/4' "$(issue "$code")"
done
same 'only its text is' '["body"]' "$(jq --compact-output keys body)"
same 'no drift closes it' $'POST repos/example/tandem/issues/4/comments\nPATCH repos/example/tandem/issues/4' "$(issue 0)"
same 'it is closed' closed "$(jq --raw-output .state body)"

rm -f told
printf '<!-- tandem-drift-production -->\n' >other.md
ends 'a report of another environment' 1 "$scripts/drift-issue.sh" staging 2 other.md
ends 'an error touches nothing' 1 "$scripts/drift-issue.sh" staging 1 report.md
same 'nothing was told' no "$([[ -e told ]] && printf yes || printf no)"
