#!/usr/bin/env bash
# Executes a plan for one wave: release.sh <environment> <wave of waves.sh, as JSON> <plan> <folder of artifacts> <folder for timelines>
#
# Ends with the tool's exit code, but for 5: the plan is stale, which is no failure. The output `stale` says so, and whoever
# called makes a new plan and has it approved.
set -euo pipefail

environment=$1 wave=$2 plan=$3 artifacts=$4 timelines=$5
mkdir -p "$timelines"
count=0

deploy() {
  local code=0
  count=$((count + 1))
  printf '\n== synth deploy %s\n' "${*:-(everything that is left)}"
  synth deploy --env "$environment" --plan "$plan" --from-artifacts "$artifacts" --yes "$@" || code=$?
  if [[ -f synth.out/timeline.html ]]; then
    mv synth.out/timeline.html "$timelines/$environment-wave-$(jq .wave <<<"$wave")-$count.html"
  fi
  case $code in
    0) ;;
    5)
      printf '::warning::the plan of %s is stale: what is deployed has changed since it was made\n' "$environment"
      printf 'stale=true\n' >>"$GITHUB_OUTPUT"
      exit 0
      ;;
    *) exit "$code" ;;
  esac
}

if jq --exit-status .last <<<"$wave" >/dev/null; then
  deploy
else
  mapfile -t before < <(jq --raw-output '.before[] | "--stack", .' <<<"$wave")
  mapfile -t own < <(jq --raw-output '(.stacks[] | "--stack", .), (.regions[] | "--region", .)' <<<"$wave")
  ((${#before[@]} == 0)) || deploy "${before[@]}"
  deploy "${own[@]}"
fi
