#!/usr/bin/env bash
# Executes a plan for one wave:
# release.sh <environment> <wave of waves.sh, as JSON> <plan> <folder of artifacts> <folder of timelines> <how their names begin>
#
# The tool leaves a page and a record in the folder of timelines, also when it fails, once it has begun to change stacks; of
# what comes before the wave in the folder `before` there.
#
# Stacks only: manifests need the image, and its registry may be one of those stacks; manifests.sh comes after.
#
# Ends with the tool's exit code, but for a stale plan, which is no failure: the output `stale` says so, and whoever called
# makes a new plan and has it approved. Other refusals (a missing consent, another run) end with 5 as well, and are failures.
set -euo pipefail

environment=$1 wave=$2 plan=$3 artifacts=$4 timelines=$5 prefix=$6
name=$(jq --raw-output '.name | gsub("[^A-Za-z0-9-]+"; "-")' <<<"$wave")
said=$(mktemp)
trap 'rm -f "$said"' EXIT

# deploy <folder of the timeline> [options]
deploy() {
  local code=0 timeline="$1/$prefix-$name.html"
  shift
  printf '\n== synth deploy %s\n' "${*:-(everything that is left)}"
  "$(dirname "$0")/told.sh" "$said" \
    synth deploy --env "$environment" --plan "$plan" --from-artifacts "$artifacts" --skip-manifests --yes \
    --timeline "$timeline" "$@" || code=$?
  if ((code == 5)) && grep --quiet '^stale plan: ' "$said"; then
    printf '::warning::the plan of %s is stale: something has changed since it was made\n' "$environment"
    printf 'stale=true\n' >>"$GITHUB_OUTPUT"
    exit 0
  fi
  ((code == 0)) || exit "$code"
}

if jq --exit-status .last <<<"$wave" >/dev/null; then
  deploy "$timelines"
else
  mapfile -t before < <(jq --raw-output '.before[] | "--stack", .' <<<"$wave")
  mapfile -t own < <(jq --raw-output '(.stacks[] | "--stack", .), (.regions[] | "--region", .)' <<<"$wave")
  ((${#before[@]} == 0)) || deploy "$timelines/before" "${before[@]}"
  deploy "$timelines" "${own[@]}"
fi
