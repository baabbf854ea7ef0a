#!/usr/bin/env bash
# Fetches the plan that was reviewed with the commit that was merged: reviewed-plan.sh <environment> <folder>
#
# Writes <folder>/reviewed.json, or nothing if there is no such plan: no pull request, a fork's, an artifact that has expired.
# Only a run of diff.yml for the merged head counts, and only of a branch of this repository. Whoever could write such a
# branch could also write its plan, so it is not trusted for that: the tool refuses a plan whose templates aren't this
# checkout's, and people approve what the run shows.
#
# Needs: GH_TOKEN (reads actions and pull requests), REPOSITORY, COMMIT.
set -euo pipefail

environment=$1 folder=$2
none() {
  printf '%s\n' "$1"
  exit 0
}

head=$(gh api "repos/$REPOSITORY/commits/$COMMIT/pulls" | jq --raw-output --arg commit "$COMMIT" --arg repository "$REPOSITORY" '
  [.[] | select(.merged_at != null and .merge_commit_sha == $commit and .head.repo.full_name == $repository)]
  | first | .head.sha // empty')
[[ -n $head ]] || none 'no pull request of this repository was merged as this commit'

run=$(gh api "repos/$REPOSITORY/actions/workflows/diff.yml/runs?event=pull_request&head_sha=$head&status=completed&per_page=50" |
  jq --raw-output --arg repository "$REPOSITORY" --arg head "$head" '
  [.workflow_runs[] | select(.head_repository.full_name == $repository and .head_sha == $head)]
  | max_by(.run_number) | .id // empty')
[[ -n $run ]] || none "no diff was made of $head"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
gh run download "$run" --repo "$REPOSITORY" --name "plan-$environment" --dir "$scratch" || none "run $run has no plan of $environment"
# It is data from elsewhere: one file of a size that a plan may have.
plan=$scratch/plan.json
[[ -f $plan && ! -L $plan ]] || none "run $run has no plan of $environment"
if (($(stat --format %s "$plan") > 20000000)) || ! jq --exit-status 'type == "object"' "$plan" >/dev/null 2>&1; then
  printf '::warning::what run %s kept as plan of %s is none\n' "$run" "$environment"
  exit 0
fi
# Consent to lose data comes from who deploys, never from a branch.
if ! jq --exit-status '.consents == []' "$plan" >/dev/null; then
  printf '::warning::the plan of %s of run %s holds consents, so it is not taken\n' "$environment" "$run"
  exit 0
fi
mkdir -p "$folder"
cp "$plan" "$folder/reviewed.json"
printf 'the plan of %s is from run %s, of %s\n' "$environment" "$run" "$head"
