#!/usr/bin/env bash
# Unloads a version and its parts: first what clients ask, whose answers come to their end, then the rest.
#
#   unload.sh llama-3.1-8b@1
#   unload.sh e5-large@1 --http 127.0.0.1:8010
#
#   --http HOST:PORT   Triton's HTTP endpoint (default: 127.0.0.1:8000)
#
# Promote another version before: a mesh that still asks for this one gets UNAVAILABLE. Validated, not run here.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

model="" http=127.0.0.1:8000
while (($#)); do
  case $1 in
    -h | --help) show_help; exit ;;
    --http) need "$1" "${2-}"; http=$2; shift 2 ;;
    --*) fail "$1 is not an option; see --help" ;;
    *) model=$1; shift ;;
  esac
done
[[ -n "$model" ]] || fail "which NAME@VERSION? See --help"
require_version_id "$model"
require_command curl "apt install curl"
require_command python3 "apt install python3"

post() { curl --fail-with-body --silent --show-error --request POST "http://$http/v2/repository/$1" --data "${2-}"; }

# Name and state of the version and of its parts, the version first.
loaded() {
  local index
  index=$(post index '{}') || fail "Triton at $http says: ${index:-nothing}"
  python3 -c '
import json, sys
version = sys.argv[1]
states = {model["name"]: model.get("state", "UNAVAILABLE") for model in json.load(sys.stdin)}
ours = sorted(name for name in states if name == version or name.startswith(version + "."))
print(*(f"{name} {states[name]}" for name in ours if states[name] != "UNAVAILABLE"), sep="\n")
' "$model" <<<"$index"
}

parts=$(loaded)
[[ -n "$parts" ]] || fail "$model is not loaded at $http"
while read -r part _; do
  say "unloading $part"
  post "models/$part/unload" '{}' >/dev/null || fail "Triton at $http could not unload $part"
  # Answers in flight need the parts until they end: a part goes when what asks it is gone.
  while [[ "$(loaded)" == *"$part "* ]]; do sleep 0.2; done
done <<<"$parts"
