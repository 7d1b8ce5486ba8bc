# What the scripts share; it is sourced, not run. Versions come from ../versions.env alone.
# shellcheck shell=bash

GPU_FOLDER=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly GPU_FOLDER
# shellcheck source=../versions.env
source "$GPU_FOLDER/versions.env"

say() { printf '== %s\n' "$*" >&2; }

fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# The value of an option: need --tp "${2-}"
need() { [[ -n "${2-}" ]] || fail "$1 needs a value; see --help"; }

# The comment at the head of a script is its help.
show_help() { awk 'NR == 1 { next } !/^#/ { exit } { sub(/^# ?/, ""); print }' "$0"; }

require_command() { command -v "$1" >/dev/null || fail "$1 is not installed: $2"; }

require_file() { [[ -e "$1" ]] || fail "$1 is not there: $2"; }

require_version_id() { [[ "$1" =~ ^[a-z0-9][a-z0-9._-]{0,62}@[1-9][0-9]{0,8}$ ]] ||
  fail "'$1' is not NAME@VERSION, as in llama-3.1-8b@1"; }

require_number() { [[ "$2" =~ ^[0-9]+$ ]] || fail "$1 takes a number, not '$2'"; }

require_docker() {
  require_command docker "https://docs.docker.com/engine/install"
  docker info --format '{{json .Runtimes}}' 2>/dev/null | grep -q nvidia ||
    fail "docker has no NVIDIA runtime: install nvidia-container-toolkit"
}

# Runs a command in a container on the GPUs: run_in IMAGE [docker's options ...] -- COMMAND [argument ...]
run_in() {
  local image=$1 options=()
  shift
  while [[ "$1" != "--" ]]; do options+=("$1"); shift; done
  shift
  docker run --rm --gpus all --ipc host --ulimit memlock=-1 --ulimit stack=67108864 \
    --user "$(id -u):$(id -g)" --env HOME=/tmp \
    "${options[@]}" --entrypoint "" "$image" "$@"
}

# Lays out a version, in a container that has tokenizers: lay_out IMAGE REPOSITORY [docker's options ...] -- ARGUMENTS
lay_out() {
  local image=$1 repository=$2 options=()
  shift 2
  while [[ "$1" != "--" ]]; do options+=("$1"); shift; done
  shift
  mkdir -p "$repository"
  run_in "$image" --volume "$(dirname "$GPU_FOLDER"):/ragmesh/triton_models:ro" --env PYTHONPATH=/ragmesh \
    --volume "$(realpath "$repository"):/models" "${options[@]}" -- \
    python3 -m triton_models.gpu "$@" --repository /models
}
