#!/usr/bin/env bash
# Puts the consumer's image into a region's registry: push-image.sh <environment> <region> <folder in OCI layout>
#
# Every environment and region gets the same bytes, so the digest that ran in staging is the one that runs in production. The
# tag only says from which commit it is, and that it is in use; registries refuse to give a tag another image.
set -euo pipefail

environment=$1 region=$2 layout=$3
uri=$(aws cloudformation describe-stacks --region "$region" --stack-name "tandem-$environment-cluster" \
  --query "Stacks[0].Outputs[?OutputKey=='ConsumerImagesUri'].OutputValue" --output text)
if [[ ! $uri =~ ^[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[a-z0-9._/-]+$ ]]; then
  printf '::error::the stack cluster of %s in %s names no registry\n' "$environment" "$region"
  exit 1
fi
digest=$(jq --raw-output --exit-status 'if (.manifests | length) == 1 then .manifests[0].digest else error("not one image") end' "$layout/index.json")
tag=$GITHUB_SHA-${digest:7:12}

present=$(aws ecr batch-get-image --region "$region" --repository-name "${uri#*/}" --image-ids "imageTag=$tag" \
  --query 'images[0].imageId.imageDigest' --output text)
if [[ $present != "$digest" ]]; then
  aws ecr get-login-password --region "$region" | skopeo login --username AWS --password-stdin "${uri%%/*}"
  trap 'skopeo logout "${uri%%/*}"' EXIT
  skopeo copy --preserve-digests "oci:$layout" "docker://$uri:$tag"
fi
printf '%s\n' "\`$uri@$digest\`" | tee -a "$GITHUB_STEP_SUMMARY"
