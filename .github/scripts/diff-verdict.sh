#!/usr/bin/env bash
# Whether diffs let a pull request pass: diff-verdict.sh <folder with *.code> [more folders]
#
# A code is the exit code of `synth diff`: 0 no change, 2 changes, 3 destructive, 4 permissions broadened, anything else an
# error. Of several classes in one diff the code tells the gravest, so `DIFF_FAIL_ON` names the least grave that fails:
# `changes` fails by 2, 3 and 4, `destructive` by 3 and 4, `broadened` by 4, `never` by none. An error always fails, and so
# does a folder in which nothing is.
set -euo pipefail

case ${DIFF_FAIL_ON:-never} in
  never) least=5 ;;
  broadened) least=4 ;;
  destructive) least=3 ;;
  changes) least=2 ;;
  *)
    printf '::error::DIFF_FAIL_ON is "%s"; it takes never, broadened, destructive or changes\n' "$DIFF_FAIL_ON"
    exit 1
    ;;
esac

meanings=('no change' 'an error' 'changes' 'destructive changes' 'broadened permissions')
failed=0
for folder in "$@"; do
  codes=("$folder"/*.code)
  if [[ ! -e ${codes[0]} ]]; then
    printf '::error::no diff in %s\n' "$folder"
    failed=1
    continue
  fi
  for file in "${codes[@]}"; do
    environment=$(basename "$file" .code)
    code=$(<"$file")
    if [[ ! $code =~ ^[02-4]$ ]]; then
      printf '::error::the diff of %s failed\n' "$environment"
      failed=1
    elif ((code >= least)); then
      printf '::error::%s has %s, and DIFF_FAIL_ON is "%s"\n' "$environment" "${meanings[code]}" "$DIFF_FAIL_ON"
      failed=1
    else
      printf '%s: %s\n' "$environment" "${meanings[code]}"
    fi
  done
done
exit "$failed"
