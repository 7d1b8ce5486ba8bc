#!/usr/bin/env bash
# Renews requirements/run.txt and dev.txt from pyproject.toml: exact versions and hashes, no index address.
set -euo pipefail
cd "$(dirname "$0")/.."

.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
compile=(.venv/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate
         pyproject.toml)
"${compile[@]}" -o requirements/run.txt
"${compile[@]}" --group dev --constraint requirements/run.txt -o requirements/dev.txt
