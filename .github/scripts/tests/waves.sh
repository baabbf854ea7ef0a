#!/usr/bin/env bash
# The waves that follow from a list of stacks, and what a release does with them.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

# stacks <stack@region needed needed...> ...: the list that the tool would give.
stacks() {
  printf '%s\n' "$@" | jq --raw-input --slurp '{environments: [{stacks: [split("\n")[] | select(. != "") | split(" ")
    | {stack: (.[0] | split("@")[0]), region: (.[0] | split("@")[1]), depends_on: .[1:]}]}]}'
}

start=(access@west 'keys@west access@west' 'keys@east keys@west access@west' 'network@west keys@west' 'network@east keys@east' 'data@west keys@west keys@east')
together=("${start[@]}"
  'events@west data@west access@west' 'api@west events@west' 'cluster@west events@west network@west'
  'events@east data@west access@west' 'api@east events@east' 'cluster@east events@east network@east'
  'routing@west api@west api@east')
after=("${start[@]}"
  'events@east data@west access@west' 'api@east events@east' 'cluster@east events@east network@east'
  'events@west data@west events@east api@east' 'api@west events@west events@east' 'cluster@west events@west network@west events@east'
  'routing@west api@west api@east')

one=$(stacks "${together[@]}" | "$scripts/waves.sh")
same 'regions of one wave go together' '[{"name":"west and east","last":true}]' "$(jq --compact-output '[.[] | {name, last}]' <<<"$one")"
two=$(stacks "${after[@]}" | "$scripts/waves.sh")
same 'a later region has a wave of its own' '[{"name":"east","last":false},{"name":"west","last":true}]' "$(jq --compact-output '[.[] | {name, last}]' <<<"$two")"
same 'what the first needs comes before it' '["keys","network","data"]' "$(jq --compact-output '.[0].before' <<<"$two")"
same 'its own stacks are those of each region' '["events","api","cluster"]' "$(jq --compact-output '.[0].stacks' <<<"$two")"
stacks access@west | ends 'no stack to release' 5 "$scripts/waves.sh"
printf '{"environments": []}' | ends 'no environment' 5 "$scripts/waves.sh"

pretend synth <<'END'
printf '%s\n' "$*" >>asked
cat said >&2
exit "$(<code)"
END
export GITHUB_OUTPUT=$scratch/github_output
# release <code of the tool> <wave>
release() {
  rm -rf asked "$GITHUB_OUTPUT"
  touch "$GITHUB_OUTPUT"
  printf '%d' "$1" >code
  ends "release that ends with $1" "$3" "$scripts/release.sh" staging "$2" plan.json artifacts timelines t-1
}
printf 'progress\n' >said
common='deploy --env staging --plan plan.json --from-artifacts artifacts --skip-manifests --yes'
release 0 "$(jq .[0] <<<"$two")" 0
same 'the first wave is only itself' "$common --timeline timelines/before/t-1-east.html --stack keys --stack network --stack data
$common --timeline timelines/t-1-east.html --stack events --stack api --stack cluster --region east" "$(<asked)"
release 0 "$(jq .[1] <<<"$two")" 0
same 'the last wave is all that is left' "$common --timeline timelines/t-1-west.html" "$(<asked)"
release 0 "$(jq .[0] <<<"$one")" 0
same 'a name of a file has no blanks' "$common --timeline timelines/t-1-west-and-east.html" "$(<asked)"
printf 'refused: another run has it\n' >said
release 5 "$(jq .[0] <<<"$two")" 5
same 'a refusal is not stale' '' "$(<"$GITHUB_OUTPUT")"
printf 'stale plan: what was reviewed is not what would be done\n' >said
release 5 "$(jq .[0] <<<"$two")" 0
same 'a stale plan is told' stale=true "$(<"$GITHUB_OUTPUT")"
same 'and nothing more is begun' 1 "$(wc -l <asked)"
release 1 "$(jq .[0] <<<"$two")" 1
same 'nor after a failure' 1 "$(wc -l <asked)"
same 'a failure is not stale' '' "$(<"$GITHUB_OUTPUT")"

# manifests <code of the tool> <expected code>
manifests() {
  rm -rf asked "$GITHUB_OUTPUT" "$GITHUB_STEP_SUMMARY"
  touch asked "$GITHUB_OUTPUT"
  printf '%d' "$1" >code
  ends "manifests that end with $1" "$2" "$scripts/manifests.sh" staging 'west east' plan.json layout
}
export GITHUB_STEP_SUMMARY=$scratch/summary
mkdir layout
printf '{"manifests": [{"digest": "sha256:0123"}]}' >layout/index.json
apply='kubernetes apply --env staging --folder consumer --image sha256:0123 --region west --region east'
printf 'progress\n' >said
manifests 0 0
same 'nothing is applied unasked' '' "$(<asked)"
same 'but it is said how' "cargo run -p synth -- $apply" "$(grep cargo "$GITHUB_STEP_SUMMARY")"
export APPLY_MANIFESTS=true
manifests 0 0
same 'the image of the layout is applied' "$apply --plan plan.json --yes" "$(<asked)"
manifests 1 1
printf 'refused: others own fields\n' >said
manifests 5 5
same 'a conflict is not stale' '' "$(<"$GITHUB_OUTPUT")"
printf 'stale plan: what was reviewed is not what would be done\n' >said
manifests 5 0
same 'a stale plan of manifests is told' stale=true "$(<"$GITHUB_OUTPUT")"
printf '{"manifests": []}' >layout/index.json
manifests 0 5
