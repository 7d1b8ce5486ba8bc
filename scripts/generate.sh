#!/usr/bin/env bash
# Generates the package ragmesh.v1 from proto/ into a folder: scripts/generate.sh ragmesh/v1
set -euo pipefail
cd "$(dirname "$0")/.."

export PATH="$PWD/.venv/bin:$PATH"
out=$1
# buf writes below the folder that its template names; another folder gets another template.
template=$(sed "s|out: .*|out: $out/_generated|" buf.gen.yaml)
buf generate --template "$template" 2>/dev/null || buf generate --template "$template"
buf build -o "$out/descriptors.binpb"
