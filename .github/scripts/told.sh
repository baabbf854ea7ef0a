#!/usr/bin/env bash
# Runs a command, and keeps in a file what it says on stderr: told.sh <file> <command...>
#
# The file is complete when this ends, with the command's code. A process substitution would not do: now and then its last
# line came after the command's end, and a stale plan looked like a failure.
set -euo pipefail

file=$1
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkfifo "$folder/pipe"
tee "$file" <"$folder/pipe" >&2 &
writer=$!
code=0
"$@" 2>"$folder/pipe" || code=$?
wait "$writer"
exit "$code"
