#!/usr/bin/env bash
# What a summary says of deployments: timelines.sh <folder of timelines> <address of the page> <address of all pages>
#
# Writes Markdown to stdout: how each deployment ended, and how long each stack took that was not left alone. Without a record
# there is nothing to say. The page is of the folder's own record; those of `before` are among all.
set -euo pipefail

folder=$1 page=$2 all=$3
for record in "$folder"/before/*.json "$folder"/*.json; do
  [[ -e $record ]] || continue
  address=$page
  [[ $record != "$folder/before/"* ]] || address=$all
  jq --raw-output --arg address "$address" '
    # Fractions of a second are too fine for a summary, and for jq.
    def secs: sub("\\.[0-9]+Z$"; "Z") | fromdateiso8601;
    def took:
      if .started_at == null or .ended_at == null then "" else
        ((.ended_at | secs) - (.started_at | secs)) | "\(. / 60 | floor) min \(. % 60) s"
      end;
    [.lanes[] | select(.result != "unchanged")] as $lanes
    | "### \(.environment): \(.result | gsub("_"; " ")) after \(took)\n\n[Timeline](\($address))\n",
      if $lanes == [] then empty else
        "| stack | result | took |\n|---|---|--:|",
        ($lanes[] | "| `\(.name)@\(.region)` | \(.result | gsub("_"; " ")) | \(took) |"),
        ""
      end
  ' "$record"
done
