#!/usr/bin/env bash
# One comment for each environment, written anew in place, and never somebody else's.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

export REPOSITORY=example/tandem PULL_REQUEST=7 RUN_URL=https://github.com/example/tandem/actions/runs/1

# Knows the comments in `comments.json`, in two pages, and keeps what it is told.
pretend gh <<'END'
case "$*" in
  *--paginate*) cat comments.json ;;
  *) printf '%s %s\n' "$3" "$4" >>told && cat >body ;;
esac
END

bot='"user": {"login": "github-actions[bot]"}'
person='"user": {"login": "somebody"}'
printf '<!-- tandem-diff-staging -->\n### staging\n' >staging.md

# comment <code>
comment() {
  rm -f told body
  CODE=$1 "$scripts/comment.sh" staging staging.md >/dev/null
  cat told 2>/dev/null || printf 'nothing'
}

printf '[]' >comments.json
same 'the first is made' 'POST repos/example/tandem/issues/7/comments' "$(comment 2)"
same 'it begins with the marker' '<!-- tandem-diff-staging -->' "$(jq --raw-output '.body | split("\n")[0]' body)"
same 'it names the run' true "$(jq '.body | contains("actions/runs/1")' body)"
same 'none is made without changes' nothing "$(comment 0)"

cat >comments.json <<END
[{"id": 1, $person, "body": "<!-- tandem-diff-staging -->\nmine"},
 {"id": 2, $bot, "body": "see <!-- tandem-diff-staging -->"},
 {"id": 3, $bot, "body": "<!-- tandem-diff-production -->\nother"}]
[{"id": 4, $bot, "body": "<!-- tandem-diff-staging -->\r\nold"}]
END
same 'the next is written anew' 'PATCH repos/example/tandem/issues/comments/4' "$(comment 2)"
same 'it is told when changes are gone' 'PATCH repos/example/tandem/issues/comments/4' "$(comment 0)"

printf '[{"id": 1, %s, "body": "<!-- tandem-diff-staging -->"}]' "$person" >comments.json
same 'a forged one is left alone' 'POST repos/example/tandem/issues/7/comments' "$(comment 2)"

{ printf '<!-- tandem-diff-staging -->\n' && head -c 200000 /dev/zero | tr '\0' ü; } >staging.md
comment 2 >/dev/null
same 'what is too long is cut' true "$(jq '.body | length < 65536 and contains("Cut off here") and contains("actions/runs/1")' body)"

printf '### staging\n' >staging.md
CODE=2 ends 'no marker, no comment' 1 "$scripts/comment.sh" staging staging.md
printf '<!-- tandem-diff-staging -->\n' >staging.md
PULL_REQUEST='7/../8' CODE=2 ends 'a number is a number' 1 "$scripts/comment.sh" staging staging.md
