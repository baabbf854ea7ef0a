#!/usr/bin/env bash
# Which plan counts as the reviewed one.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

export REPOSITORY=example/tandem COMMIT=c0ffee

pretend gh <<'END'
case "$*" in
  *commits/c0ffee/pulls) cat pulls.json ;;
  *diff.yml/runs*) cat runs.json ;;
  'run download'*)
    printf '%s\n' "$3 $7" >>told
    [[ -e artifact.json ]] || exit 1
    cp artifact.json "$9/plan.json"
    ;;
esac
END

# plan: whether one is found
plan() {
  rm -rf out told
  "$scripts/reviewed-plan.sh" staging out >output
  [[ -f out/reviewed.json ]] && printf found || printf none
}

pull() { printf '[{"merged_at": %s, "merge_commit_sha": "%s", "head": {"sha": "beef", "repo": {"full_name": "%s"}}}]' "$@" >pulls.json; }
runs() {
  printf '{"workflow_runs": [
    {"id": 1, "run_number": 1, "head_sha": "beef", "head_repository": {"full_name": "%s"}},
    {"id": 3, "run_number": 3, "head_sha": "beef", "head_repository": {"full_name": "%s"}},
    {"id": 2, "run_number": 2, "head_sha": "beef", "head_repository": {"full_name": "%s"}}]}' "$1" "$1" "$1" >runs.json
}

printf '{"stacks": {}, "consents": []}' >artifact.json
pull '"2026-12-01"' c0ffee example/tandem && runs example/tandem
same 'the merged one' found "$(plan)"
same 'of the latest run' '3 plan-staging' "$(<told)"
pull null c0ffee example/tandem
same 'not merged' none "$(plan)"
pull '"2026-12-01"' other example/tandem
same 'merged as another commit' none "$(plan)"
pull '"2026-12-01"' c0ffee stranger/tandem
same 'of a fork' none "$(plan)"
printf '[]' >pulls.json
same 'pushed without a pull request' none "$(plan)"
pull '"2026-12-01"' c0ffee example/tandem && runs stranger/tandem
same 'a run of a fork' none "$(plan)"
runs example/tandem
printf '{"stacks": {}, "consents": [{"resource": "Orders", "reason": "a branch says so"}]}' >artifact.json
same 'one with consents' none "$(plan)"
printf '[1]' >artifact.json
same 'no plan' none "$(plan)"
printf 'no JSON' >artifact.json
same 'no JSON' none "$(plan)"
rm artifact.json
same 'expired' none "$(plan)"
