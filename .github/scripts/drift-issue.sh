#!/usr/bin/env bash
# Keeps one issue about an environment's drift: drift-issue.sh <environment> <exit code of `synth drift`> <Markdown file>
#
# With drift (2, 3, 4) it is opened or written anew, without (0) it is closed. Any other code means that nobody knows, and then
# nothing is touched.
#
# Needs: GH_TOKEN (writes issues), REPOSITORY, RUN_URL.
set -euo pipefail

environment=$1 code=$2 file=$3
title="Drift in $environment"
case $code in
  0 | 2 | 3 | 4) ;;
  *)
    printf '::error::synth drift for %s ended with %s\n' "$environment" "$code"
    exit 1
    ;;
esac
if [[ $(head -n 1 "$file") != "<!-- tandem-drift-$environment -->" ]]; then
  printf '::error::the report of %s does not begin with its marker\n' "$environment"
  exit 1
fi

# Only what GitHub Actions wrote: an issue of somebody else may have that title.
found=$(gh api --paginate "repos/$REPOSITORY/issues?state=open&labels=drift&per_page=100" | jq --raw-output --arg title "$title" --slurp '
  [.[][] | select(.user.login == "github-actions[bot]" and .title == $title and .pull_request == null)] | first | .number // empty')

if [[ $code == 0 ]]; then
  if [[ -n $found ]]; then
    jq --null-input --arg run "$RUN_URL" '{body: "No drift any more, as [this run](\($run)) found."}' |
      gh api --method POST "repos/$REPOSITORY/issues/$found/comments" --input - >/dev/null
    gh api --method PATCH "repos/$REPOSITORY/issues/$found" --input - >/dev/null <<<'{"state": "closed", "state_reason": "completed"}'
    printf '%s: no drift any more, issue %s is closed\n' "$environment" "$found"
  else
    printf '%s: no drift\n' "$environment"
  fi
  exit 0
fi

# GitHub takes 65,536 characters, and the tool writes fewer; this is for a report of somebody else's making.
issue=$(jq --null-input --rawfile report "$file" --arg title "$title" --arg run "$RUN_URL" '
  (if ($report | length) > 64000 then $report[:64000] + "\n\n**Cut off here.**" else $report end)
  | {title: $title, labels: ["drift"], body: (. + "\n\n<sub>Found by [this run](\($run)); the next one writes this text anew.</sub>\n")}')
if [[ -n $found ]]; then
  jq '{body}' <<<"$issue" | gh api --method PATCH "repos/$REPOSITORY/issues/$found" --input - >/dev/null
  printf '%s: drift, issue %s is up to date\n' "$environment" "$found"
else
  gh label create drift --repo "$REPOSITORY" --color D93F0B --description 'What is live is not what was deployed' --force
  gh api --method POST "repos/$REPOSITORY/issues" --input - >/dev/null <<<"$issue"
  printf '%s: drift, an issue is opened\n' "$environment"
fi
