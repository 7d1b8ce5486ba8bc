#!/usr/bin/env bash
# Installs the clients that the edge is tested with into .clients: Python ones from requirements/, Node ones by npm.
set -euo pipefail
cd "$(dirname "$0")/../.."

stamp=$(cat requirements/clients*.txt tests/clients/package*.json "$0" | sha256sum)
[[ -f .clients/installed && $(<.clients/installed) == "$stamp" ]] && exit

install() {
  echo "installing requirements/$1.txt"
  .venv/bin/python -m venv ".clients/$1"
  ".clients/$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
    --only-binary :all: -r "requirements/$1.txt"
}

rm -rf .clients
mkdir .clients
install clients
install clients-llamaindex
cp tests/clients/package*.json .clients/
PATH="$PWD/.clients/clients/bin:$PATH" npm --prefix .clients ci --silent --ignore-scripts --no-audit --no-fund
echo "$stamp" > .clients/installed
