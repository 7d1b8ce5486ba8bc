#!/usr/bin/env bash
# Format, lint, types, imports, scripts, proto. Every check runs; the first that fails decides the exit code.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
export PATH="$PWD/.venv/bin:$PATH"
failed=0

check() {
  local name=$1; shift
  local output
  if output=$("$@" 2>&1); then printf '  ok    %s\n' "$name"; else
    printf '  FAIL  %s\n%s\n' "$name" "$output"; failed=1
  fi
}

# shellcheck disable=SC2015,SC2329 # check calls it
generated_is_current() {
  local fresh
  fresh=$(mktemp -d)
  scripts/generate.sh "$fresh" && diff -r -x __pycache__ "$fresh/_generated" ragmesh/v1/_generated &&
    cmp "$fresh/descriptors.binpb" ragmesh/v1/descriptors.binpb || { echo "run: make proto"; rm -rf "$fresh"; return 1; }
  rm -rf "$fresh"
}

# shellcheck disable=SC2329 # check calls it
breaks_nothing() {
  # Against the main branch where it has the contract already; a clone of one commit compares with itself.
  git cat-file -e main:proto/ragmesh/v1/document.proto 2>/dev/null || return 0
  buf breaking --against '.git#branch=main'
}

# shellcheck disable=SC2329 # check calls it
scripts_are_sound() { git ls-files -co --exclude-standard '*.sh' .ci/run | xargs shellcheck; }

check "format (ruff)" ruff format --check .
check "lint (ruff)" ruff check .
check "types (pyright, strict)" pyright --pythonpath .venv/bin/python
check "imports (import-linter)" lint-imports
check "scripts (shellcheck)" scripts_are_sound
check "proto format (buf)" buf format -d --exit-code
check "proto lint (buf)" buf lint
check "proto breaks nothing (buf)" breaks_nothing
check "generated code is current" generated_is_current
exit $failed
