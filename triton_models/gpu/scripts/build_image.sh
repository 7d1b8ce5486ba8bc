#!/usr/bin/env bash
# Builds the container for embedder and reranker: Triton and tokenizers, of the versions in versions.env.
#
#   build_image.sh
#
# Validated, not run here.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1-} in
  -h | --help) show_help; exit ;;
  ?*) fail "it takes no arguments; see --help" ;;
esac
require_command docker "https://docs.docker.com/engine/install"
docker build --tag "$ENCODER_IMAGE" --build-arg "ENCODER_BASE_IMAGE=$ENCODER_BASE_IMAGE" \
  --build-arg "TOKENIZERS_VERSION=$TOKENIZERS_VERSION" "$GPU_FOLDER"
