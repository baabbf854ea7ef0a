#!/usr/bin/env bash
# Makes a diff and keeps how it ended: diff.sh <environment> <folder> [options of `synth diff`]
#
# Writes <folder>/<environment>.md and <folder>/<environment>.code, also when the diff fails: who reads them must not take
# silence for "no change". Ends with 1 if there is no diff, and with 0 whatever changes there are: diff-verdict.sh decides
# about those.
set -euo pipefail

environment=$1 folder=$2
shift 2
mkdir -p "$folder"
code=0
synth diff --env "$environment" --format markdown "$@" >"$folder/$environment.md" || code=$?
printf '%d\n' "$code" >"$folder/$environment.code"
case $code in
  0 | 2 | 3 | 4) exit 0 ;;
esac
printf '<!-- tandem-diff-%s -->\n### %s: the diff failed\n\nThe tool ended with %d; its messages are in the log of the run.\n' \
  "$environment" "$environment" "$code" >"$folder/$environment.md"
printf '::error::synth diff for %s ended with %d\n' "$environment" "$code"
exit 1
