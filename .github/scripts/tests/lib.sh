# shellcheck shell=bash
# What every test of a script here needs: a scratch folder, programs that only pretend, and a comparison that counts.

# shellcheck disable=SC2034 # who sources this uses it
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
scratch=$(mktemp -d)
passed=0 failed=0
mkdir "$scratch/bin"
PATH=$scratch/bin:$PATH
cd "$scratch" || exit 1

# Ends a test file: says how it went.
ended() {
  local code=$?
  rm -rf "$scratch"
  if ((code != 0 || failed > 0 || passed == 0)); then
    printf '%s: %d passed, %d failed, ended with %d\n' "$(basename "$0")" "$passed" "$failed" "$code"
    exit 1
  fi
  printf '%s: %d passed\n' "$(basename "$0")" "$passed"
}
trap ended EXIT

# pretend <program>: its text comes by stdin.
pretend() {
  printf '#!/usr/bin/env bash\nset -euo pipefail\n' >"$scratch/bin/$1"
  cat >>"$scratch/bin/$1"
  chmod +x "$scratch/bin/$1"
}

# same <what> <expected> <found>
same() {
  if [[ $2 == "$3" ]]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf '%s: expected\n%s\nfound\n%s\n' "$1" "$2" "$3"
  fi
}

# ends <what> <expected code> <command...>: its output goes into the file `output`.
ends() {
  local what=$1 expected=$2 code=0
  shift 2
  "$@" >output 2>&1 || code=$?
  same "$what" "$expected" "$code"
}
