#!/usr/bin/env bash
# The waves of a release, as the matrix of a workflow: synth list --env <environment> --format json | waves.sh
#
# A region's release begins with its stack `events` and what depends on it. A region comes in a later wave if its `events`
# waits for another region's. Each wave also names the stacks that must be there before; the last wave takes whatever is
# left, so that nothing can be forgotten. `access` is no wave's: an administrator deploys it.
set -euo pipefail

jq --compact-output --exit-status '
  def id: "\(.stack)@\(.region)";
  if (.environments | length) != 1 then error("expected one environment") else .environments[0].stacks end
  | . as $stacks
  # Stacks come after those they depend on, so one look from front to back is enough.
  | (reduce $stacks[] as $stack ({};
      . as $found | if $stack.stack == "events" or any($stack.depends_on[]; $found[.] // false)
      then .[$stack | id] = true else . end)) as $released
  | [$stacks[] | select(.stack == "events")] as $events
  | if ($events | length) == 0 then error("no stack `events`") else . end
  | (reduce $events[] as $stack ({};
      . as $waves | .[$stack | id] = 1 + ([$stack.depends_on[] | $waves[.] // 0] | max // 0))) as $wave
  | ([$stacks[].stack] | unique) as $names
  # What a release of a region consists of: those that each region has.
  | [$names[] | . as $name | select([$stacks[] | select(.stack == $name)]
      | length == ($events | length) and all(.[]; $released[id]))] as $rolled
  | ([$wave[]] | max) as $last
  | [range(1; $last + 1) | . as $number
    | [$events[] | select($wave[id] == $number) | .region] as $regions
    | [$stacks[] | . as $stack | select(($rolled | index($stack.stack)) and ($regions | index($stack.region)))] as $own
    | (reduce ($stacks | reverse[]) as $stack ([$own[].depends_on[]];
        if index($stack | id) then . + $stack.depends_on else . end)) as $needed
    | {
        wave: $number,
        name: ($regions | join(" and ")),
        regions: $regions,
        before: (reduce ($stacks[] | select(id as $id | ($needed | index($id)) and ($released[$id] | not) and .stack != "access"))
          as $stack ([]; if index($stack.stack) then . else . + [$stack.stack] end)),
        stacks: (reduce $own[] as $stack ([]; if index($stack.stack) then . else . + [$stack.stack] end)),
        last: ($number == $last)
      }]'
