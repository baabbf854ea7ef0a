#!/usr/bin/env bash
# Looks for drift and keeps how that ended: drift.sh <environment> <folder>
#
# Writes <folder>/<environment>.md and <folder>/<environment>.code, also when nobody knows: who reads them must not take silence
# for "no drift". Ends with 0 whatever was found, so that one environment doesn't hide the other: drift-issue.sh judges.
set -euo pipefail

environment=$1 folder=$2
mkdir -p "$folder"
code=0
synth drift --env "$environment" --format markdown >"$folder/$environment.md" || code=$?
printf '%d\n' "$code" >"$folder/$environment.code"
if [[ ! -s $folder/$environment.md ]]; then
  printf '<!-- tandem-drift-%s -->\n### %s: nobody knows\n\nThe tool ended with %d; its messages are in the log of the run.\n' \
    "$environment" "$environment" "$code" >"$folder/$environment.md"
fi
printf '%s: ended with %d\n' "$environment" "$code"
