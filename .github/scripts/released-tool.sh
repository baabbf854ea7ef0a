#!/usr/bin/env bash
# Fetches the tool that the last release was made with: released-tool.sh <folder>
#
# For an emergency, in which nobody wants to wait for a compiler. Only runs of deploy.yml for `main` of this repository count.
# The output `commit` says of which commit it is: environments and scripts must be that commit's, too. Ends with 1 if there is
# no such tool any more; then it must be built.
#
# Needs: GH_TOKEN (reads actions), REPOSITORY.
set -euo pipefail

folder=$1
runs=$(gh api "repos/$REPOSITORY/actions/workflows/deploy.yml/runs?branch=main&status=success&per_page=20" |
  jq --raw-output --arg repository "$REPOSITORY" '
  .workflow_runs[] | select(.head_repository.full_name == $repository and .head_branch == "main" and .event != "pull_request")
  | "\(.id) \(.head_sha)"')
while read -r run commit; do
  [[ -n $run ]] || continue
  if gh run download "$run" --repo "$REPOSITORY" --name tool --dir "$folder"; then
    printf 'the tool is from run %s, of %s\n' "$run" "$commit"
    printf 'commit=%s\n' "$commit" >>"$GITHUB_OUTPUT"
    exit 0
  fi
done <<<"$runs"
printf 'no release of the last time has its tool left\n'
exit 1
