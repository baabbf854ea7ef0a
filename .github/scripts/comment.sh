#!/usr/bin/env bash
# Puts a diff under a pull request, in one comment that later runs write anew: comment.sh <environment> <Markdown file>
#
# The comment is found by the hidden marker in its first line, and only if GitHub Actions wrote it: anybody can write a marker
# into a comment of his own. Without changes no comment is begun; one that is there is told.
#
# Needs: GH_TOKEN, REPOSITORY, PULL_REQUEST (number), CODE (of `synth diff`), RUN_URL.
set -euo pipefail

environment=$1 file=$2
marker="<!-- tandem-diff-$environment -->"
[[ $PULL_REQUEST =~ ^[0-9]+$ ]]
if [[ $(head -n 1 "$file") != "$marker" ]]; then
  printf '::error::the diff of %s does not begin with %s\n' "$environment" "$marker"
  exit 1
fi

# GitHub takes 65,536 characters. The tool stays below; this is for what it doesn't foresee.
body=$(jq --null-input --rawfile diff "$file" --arg run "$RUN_URL" '
  ($diff | rtrimstr("\n")) as $diff
  | (if ($diff | length) > 64000 then $diff[:64000] + "\n\n**Cut off here.**" else $diff end)
  | {body: (. + "\n\n<sub>The whole diff and the plan are artifacts of [this run](\($run)).</sub>\n")}')

comments="repos/$REPOSITORY/issues/$PULL_REQUEST/comments"
found=$(gh api --paginate "$comments?per_page=100" | jq --raw-output --arg marker "$marker" --slurp '
  [.[][] | select(.user.login == "github-actions[bot]")
         | select(.body | split("\n")[0] | rtrimstr("\r") == $marker)] | first | .id // empty')

if [[ -n $found ]]; then
  gh api --method PATCH "repos/$REPOSITORY/issues/comments/$found" --input - <<<"$body" >/dev/null
  printf '%s: comment %s is up to date\n' "$environment" "$found"
elif [[ $CODE == 0 ]]; then
  printf '%s: no change, so no comment\n' "$environment"
else
  gh api --method POST "$comments" --input - <<<"$body" >/dev/null
  printf '%s: a comment is made\n' "$environment"
fi
