#!/usr/bin/env bash
# Executes a plan for one wave: release.sh <environment> <wave of waves.sh, as JSON> <plan> <folder of artifacts>
#
# Stacks only: manifests need the image, and its registry may be one of those stacks; manifests.sh comes after.
#
# Ends with the tool's exit code, but for a stale plan, which is no failure: the output `stale` says so, and whoever called
# makes a new plan and has it approved. Other refusals (a missing consent, another run) end with 5 as well, and are failures.
set -euo pipefail

environment=$1 wave=$2 plan=$3 artifacts=$4
said=$(mktemp)
trap 'rm -f "$said"' EXIT

deploy() {
  local code=0
  printf '\n== synth deploy %s\n' "${*:-(everything that is left)}"
  "$(dirname "$0")/told.sh" "$said" \
    synth deploy --env "$environment" --plan "$plan" --from-artifacts "$artifacts" --skip-manifests --yes "$@" || code=$?
  if ((code == 5)) && grep --quiet '^stale plan: ' "$said"; then
    printf '::warning::the plan of %s is stale: something has changed since it was made\n' "$environment"
    printf 'stale=true\n' >>"$GITHUB_OUTPUT"
    exit 0
  fi
  ((code == 0)) || exit "$code"
}

if jq --exit-status .last <<<"$wave" >/dev/null; then
  deploy
else
  mapfile -t before < <(jq --raw-output '.before[] | "--stack", .' <<<"$wave")
  mapfile -t own < <(jq --raw-output '(.stacks[] | "--stack", .), (.regions[] | "--region", .)' <<<"$wave")
  ((${#before[@]} == 0)) || deploy "${before[@]}"
  deploy "${own[@]}"
fi
