#!/usr/bin/env bash
# Asks every region of an environment for its health, as clients would: region-health.sh <environment>
#
# A region answers 200 if it may have traffic. It may need a while after a release, so it is asked for some minutes.
set -euo pipefail

names=$(python3 - "environments/$1.toml" <<'PYTHON'
import sys
import tomllib

with open(sys.argv[1], "rb") as file:
    environment = tomllib.load(file)
domain = environment.get("domain", {}).get("name")
if domain:
    for region in environment["regions"]:
        print(f"{region['name']}.{domain}")
PYTHON
)
if [[ -z $names ]]; then
  printf '::notice::%s has no domain, so nobody can ask for its health\n' "$1"
  exit 0
fi

failed=0
for name in $names; do
  answer=none
  for ((try = 1; try <= ${TRIES:-20}; try++)); do
    answer=$(curl --silent --output /dev/null --write-out '%{http_code}' --max-time 10 "https://$name/health") || true
    [[ $answer != 200 ]] || break
    sleep "${PAUSE:-15}"
  done
  printf '%s: %s\n' "$name" "$answer"
  [[ $answer == 200 ]] || failed=1
done
exit "$failed"
