#!/usr/bin/env bash
# Runs a command with AWS's credentials for an hour: with-aws.sh <command> [arguments]
#
# GitHub signs a token that says of which repository and environment (or branch) this job is, and AWS changes it for
# credentials of the role `ROLE`, at the endpoint of `AWS_REGION`: no other region is needed. The token lies in a file that
# only this user reads, for as long as the command runs. It is good for minutes and credentials are for an hour, but a
# deployment may take longer. So the token is renewed meanwhile, and the SDK reads it whenever it needs credentials.
set -euo pipefail

: "${ROLE:?set it to the ARN of the role}" "${AWS_REGION:?set it to the region whose endpoint is asked}"
: "${ACTIONS_ID_TOKEN_REQUEST_URL:?the job needs the permission id-token: write}" "${ACTIONS_ID_TOKEN_REQUEST_TOKEN:?}"
(($# >= 1))

folder=$(mktemp -d) # for this user only
renewer=
end() {
  [[ -z $renewer ]] || kill "$renewer" 2>/dev/null || true
  rm -rf "$folder"
}
trap end EXIT

renew() {
  # The header comes by stdin, so that no list of processes shows it.
  printf 'Authorization: bearer %s\n' "$ACTIONS_ID_TOKEN_REQUEST_TOKEN" |
    curl --silent --show-error --fail --retry 5 --retry-all-errors --max-time 30 --header @- \
      "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=sts.amazonaws.com" |
    (umask 077 && jq --raw-output --exit-status .value >"$folder/new")
  # In one step: the SDK may be reading.
  mv "$folder/new" "$folder/token"
}

renew
(
  while sleep "${RENEW_AFTER:-240}"; do renew || true; done
) </dev/null >/dev/null 2>&1 &
renewer=$!

export AWS_ROLE_ARN=$ROLE AWS_WEB_IDENTITY_TOKEN_FILE=$folder/token
export AWS_ROLE_SESSION_NAME=tandem-${GITHUB_RUN_ID:-0}-${GITHUB_RUN_ATTEMPT:-0}
export AWS_STS_REGIONAL_ENDPOINTS=regional AWS_EC2_METADATA_DISABLED=true
# The command gets credentials of this role, and no means to ask GitHub for other tokens.
env -u ACTIONS_ID_TOKEN_REQUEST_URL -u ACTIONS_ID_TOKEN_REQUEST_TOKEN "$@"
