#!/usr/bin/env bash
# Applies what runs in the clusters of a wave's regions, with the image that was pushed there:
# manifests.sh <environment> <regions, with spaces between> <plan> <folder in OCI layout>
#
# Only if APPLY_MANIFESTS is `true`: clusters are private, so the runner must be where it reaches them. Otherwise the summary
# says what is left to do, and where. Ends as release.sh does: a stale plan is no failure, and the output `stale` says so.
set -euo pipefail

environment=$1 regions=$2 plan=$3 layout=$4
digest=$(jq --raw-output --exit-status 'if (.manifests | length) == 1 then .manifests[0].digest else error("not one image") end' "$layout/index.json")
command=(kubernetes apply --env "$environment" --folder consumer --image "$digest")
for region in $regions; do command+=(--region "$region"); done

if [[ ${APPLY_MANIFESTS:-} != true ]]; then
  # shellcheck disable=SC2016 # backticks of Markdown
  printf 'The clusters were left alone. From a place that reaches them, on this commit:\n\n```sh\ncargo run -p synth -- %s\n```\n' \
    "${command[*]}" | tee -a "$GITHUB_STEP_SUMMARY"
  exit 0
fi

said=$(mktemp)
trap 'rm -f "$said"' EXIT
code=0
printf '\n== synth %s\n' "${command[*]}"
"$(dirname "$0")/told.sh" "$said" synth "${command[@]}" --plan "$plan" --yes || code=$?
if ((code == 5)) && grep --quiet '^stale plan: ' "$said"; then
  printf '::warning::the plan of %s is stale: something in the clusters has changed since it was made\n' "$environment"
  printf 'stale=true\n' >>"$GITHUB_OUTPUT"
  exit 0
fi
exit "$code"
