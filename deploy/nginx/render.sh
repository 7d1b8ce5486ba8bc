#!/usr/bin/env bash
# Prints the configuration of nginx for a mesh: deploy/nginx/render.sh > /etc/nginx/nginx.conf
# What it must be told in the environment stands in README.md.
set -euo pipefail

FORM_BYTES=$((128 * 1024)) # what a form has around its file: `metadata`, and the boundaries

main() {
  local name
  for name in GATEWAYS DOCUMENT QUERY ADMIN CERTIFICATE KEY; do
    [[ -n ${!name:-} ]] || { echo "$name is not set: see deploy/nginx/README.md" >&2; exit 1; }
  done
  configuration=$(< "$(dirname "$0")/nginx.conf.template")
  for name in GATEWAYS DOCUMENT QUERY ADMIN; do fill "$name" "$(servers "${!name}")"; done
  fill CERTIFICATE "$CERTIFICATE"
  fill KEY "$KEY"
  fill LISTEN "${LISTEN:-443}"
  fill RUN "${RUN:-/run}"
  fill ACCESS_LOG "${ACCESS_LOG:-/var/log/nginx/access.log}"
  fill UPLOAD_MAX_BYTES $((${UPLOAD_MAX_BYTES:-268435456} + FORM_BYTES))
  printf '%s\n' "$configuration"
}

fill() { configuration=${configuration//"@$1@"/"$2"}; }

# The lines of an upstream out of `host:port host:port`.
# shellcheck disable=SC2086 # an address for each
servers() { printf '    server %s max_fails=2 fail_timeout=5s;\n' $1; }

main
