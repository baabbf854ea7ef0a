#!/usr/bin/env bash
# The token: where it lies, that it is renewed, that it goes.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

export ROLE=arn:aws:iam::000000000000:role/reader AWS_REGION=us-east-1
export ACTIONS_ID_TOKEN_REQUEST_URL='https://example.com/token?v=1' ACTIONS_ID_TOKEN_REQUEST_TOKEN=secret

# Gives another token each time.
pretend curl <<'END'
printf '%s\n' "$*" >>asked
cat >>header
printf '{"value": "token-%d"}' "$(wc -l <asked)"
END

cat >command.sh <<'END'
printf '%s %s\n' "$AWS_ROLE_ARN" "$AWS_REGION" >seen
cp "$AWS_WEB_IDENTITY_TOKEN_FILE" first
stat --format %a "$AWS_WEB_IDENTITY_TOKEN_FILE" >mode
printf '%s' "$AWS_WEB_IDENTITY_TOKEN_FILE" >place
for ((try = 0; try < 100; try++)); do
  [[ $(<"$AWS_WEB_IDENTITY_TOKEN_FILE") == token-1 ]] || break
  sleep 0.1
done
cp "$AWS_WEB_IDENTITY_TOKEN_FILE" second
printf '%s' "${ACTIONS_ID_TOKEN_REQUEST_TOKEN:-none}" >left
exit 3
END
RENEW_AFTER=0.2 ends 'the code is the command'"'"'s' 3 "$scripts/with-aws.sh" bash command.sh
same 'role and region are set' 'arn:aws:iam::000000000000:role/reader us-east-1' "$(<seen)"
same 'the token is there' token-1 "$(<first)"
same 'it is renewed' yes "$(grep -q '^token-[2-9]' second && printf yes)"
same 'only this user reads it' 600 "$(<mode)"
same 'it is gone afterwards' gone "$([[ -e $(<place) ]] && printf there || printf gone)"
same 'the command can get no other token' none "$(<left)"
same 'no list of processes shows the secret' '' "$(grep secret asked || true)"
same 'GitHub gets it' 'Authorization: bearer secret' "$(head -n 1 header)"
same 'it is for AWS' yes "$(head -n 1 asked | grep -q 'token?v=1&audience=sts.amazonaws.com$' && printf yes)"
pretend curl <<'END'
exit 22
END
ends 'without a token nothing is run' 22 "$scripts/with-aws.sh" touch run
same 'indeed' no "$([[ -e run ]] && printf yes || printf no)"
