#!/usr/bin/env bash
# Makes sure that functions start in Lambda: glibc.sh <folder of artifacts>
#
# Lambda's system (Amazon Linux 2023) has glibc 2.34. A program that was linked on a newer one can ask for a newer symbol, and
# then it doesn't start; that would be seen only after the deployment.
set -euo pipefail

newest=2.34
count=0
program=$(mktemp)
trap 'rm -f "$program"' EXIT
while IFS= read -r archive; do
  unzip -p "$archive" bootstrap >"$program"
  asked=$(readelf --version-info --wide "$program" | grep -o 'GLIBC_[0-9.]*' | sort --unique --version-sort | tail -n 1) || true
  printf '%s: %s\n' "$(basename "$archive")" "${asked:-no glibc}"
  if [[ $(printf '%s\n' "$newest" "${asked#GLIBC_}" | sort --version-sort | tail -n 1) != "$newest" ]]; then
    printf '::error::%s asks for %s, and Lambda has %s\n' "$(basename "$archive")" "$asked" "$newest"
    exit 1
  fi
  count=$((count + 1))
done < <(find "$1" -name '*.zip' | sort)
if ((count == 0)); then
  printf '::error::no package in %s\n' "$1"
  exit 1
fi
