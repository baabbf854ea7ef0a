#!/usr/bin/env bash
# The image's registry, the tool of the last release, a region's health, the C library.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

export GITHUB_SHA=c0ffee GITHUB_STEP_SUMMARY=$scratch/summary
digest=sha256:0123456789abcdef
mkdir layout
printf '{"manifests": [{"digest": "%s"}]}' "$digest" >layout/index.json
pretend aws <<'END'
case "$*" in
  *describe-stacks*) cat uri ;;
  *batch-get-image*) cat present ;;
  *get-login-password*) printf 'password' ;;
esac
END
pretend skopeo <<'END'
[[ $1 != login ]] || cat >/dev/null
printf '%s\n' "$*" >>asked
END
uri=000000000000.dkr.ecr.us-east-1.amazonaws.com/tandem-staging/consumer
printf '%s\n' "$uri" >uri
printf 'None\n' >present
ends 'an image is pushed' 0 "$scripts/push-image.sh" staging us-east-1 layout
same 'with the digest that it has' "copy --preserve-digests oci:layout docker://$uri:c0ffee-0123456789ab" "$(grep copy asked)"
same 'which is told' "\`$uri@$digest\`" "$(<summary)"
rm -f asked && printf '%s\n' "$digest" >present
ends 'one that is there' 0 "$scripts/push-image.sh" staging us-east-1 layout
same 'is not pushed again' no "$([[ -e asked ]] && printf yes || printf no)"
printf 'None\n' >uri
ends 'no registry' 1 "$scripts/push-image.sh" staging us-east-1 layout
printf '%s\n' "$uri" >uri && printf '{"manifests": [1, 2]}' >layout/index.json
ends 'not one image' 5 "$scripts/push-image.sh" staging us-east-1 layout

mkdir environments
printf '[[regions]]\nname = "us-west-2"\n[[regions]]\nname = "us-east-1"\n[domain]\nname = "example.com"\n' >environments/staging.toml
printf '[[regions]]\nname = "us-west-2"\n' >environments/sandbox.toml
pretend curl <<'END'
printf '%s\n' "${@: -1}" >>asked
[[ $* == *us-east-1* ]] && cat east || printf 200
END
export TRIES=2 PAUSE=0
rm -f asked && printf 200 >east
ends 'all are well' 0 "$scripts/region-health.sh" staging
same 'each is asked' $'https://us-west-2.example.com/health\nhttps://us-east-1.example.com/health' "$(<asked)"
printf 503 >east
ends 'one is not' 1 "$scripts/region-health.sh" staging
ends 'no domain' 0 "$scripts/region-health.sh" sandbox

mkdir artifacts
pretend unzip <<'END'
:
END
pretend readelf <<'END'
cat asks
END
ends 'no package' 1 "$scripts/glibc.sh" artifacts
touch artifacts/authorizer.zip
printf 'Name: GLIBC_2.17 Name: GLIBC_2.9\n' >asks
ends 'an old C library' 0 "$scripts/glibc.sh" artifacts
printf 'Name: GLIBC_2.34 Name: GLIBC_2.4\n' >asks
ends 'that of Lambda' 0 "$scripts/glibc.sh" artifacts
printf 'Name: GLIBC_2.4 Name: GLIBC_2.38\n' >asks
ends 'a newer one' 1 "$scripts/glibc.sh" artifacts
