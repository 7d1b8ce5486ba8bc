#!/usr/bin/env bash
# Measures a served model with NVIDIA's tools, at several loads.
#
#   perf.sh llm llama-3.1-8b@1                     Triton itself, by perf_analyzer: streams over gRPC
#   perf.sh embed e5-large@1 --url 127.0.0.1:8011  Triton itself, by perf_analyzer
#   perf.sh rerank bge-reranker-v2-m3@1 --url 127.0.0.1:8011
#   perf.sh mesh MODEL --url http://127.0.0.1:8080 --tokenizer DIR --key KEY   the whole way, by aiperf
#
#   --url             HOST:PORT of Triton's gRPC endpoint (default: 127.0.0.1:8001), or the mesh's address
#   --loads LIST      requests at once (default: 1,4,16,64)
#   --tokens N        of each answer (default: 256)
#   --tokenizer DIR   that counts tokens (mesh)
#   --key KEY         of the mesh, with the right to ask
#   --output DIR      where reports go (default: perf-MODEL)
#   --dry-run         print the commands
#
# docs/gpu.md says what to read from the figures. Validated, not run here.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[[ "${1-}" != -h && "${1-}" != --help ]] || { show_help; exit; }
(($# >= 2)) || fail "which kind (llm, embed, rerank, mesh), and which model? See --help"
kind=$1 model=$2
shift 2
url="" loads=1,4,16,64 tokens=256 tokenizer="" key="" output="" dry=no
while (($#)); do
  [[ "$1" != --dry-run ]] || { dry=yes; shift; continue; }
  need "$1" "${2-}"
  case $1 in
    --url) url=$2 ;; --loads) loads=$2 ;; --tokens) tokens=$2 ;; --tokenizer) tokenizer=$2 ;; --key) key=$2 ;;
    --output) output=$2 ;;
    *) fail "$1 is not an option; see --help" ;;
  esac
  shift 2
done
[[ "$loads" =~ ^[0-9]+(,[0-9]+)*$ ]] || fail "--loads is a list of numbers, not '$loads'"
require_number --tokens "$tokens"
output=${output:-perf-$model}

run() {
  if [[ "$dry" == yes ]]; then printf '%q ' "$@"; echo; else "$@"; fi
}

passage="The library opens at nine and closes at six. Passes are renewed at the front desk, where staff ask for proof of
address; a renewed pass is valid for two years, and costs nothing for residents of the city."

# Tensors as perf_analyzer reads them: one request, sent again and again.
input() {
  python3 - "$kind" "$tokens" "$passage" <<'PYTHON'
import json, sys
kind, tokens, passage = sys.argv[1], int(sys.argv[2]), " ".join(sys.argv[3].split())
request = {
    "llm": {
        "text_input": [f"Sources:\n{passage * 8}\n\nQuestion: Who may renew a pass, and where?\nAnswer:"],
        "max_tokens": [tokens], "temperature": [0.0], "top_p": [1.0], "stream": [True],
    },
    "embed": {"text": [f"query: {passage}"]},
    "rerank": {"query": ["Who may renew a pass?"], "text": [passage]},
}[kind]
json.dump({"data": [request]}, sys.stdout)
PYTHON
}

analyze() { # the loads, one after the other, with perf_analyzer's options for this kind
  [[ "$dry" == yes ]] || { require_docker; mkdir -p "$output"; input >"$output/input.json"; }
  for load in ${loads//,/ }; do
    run docker run --rm --network host --volume "$(realpath -m "$output"):/perf" "$SDK_IMAGE" perf_analyzer \
      -m "$model" -u "${url:-127.0.0.1:8001}" -i grpc --input-data /perf/input.json \
      --concurrency-range "$load" --percentile 95 --profile-export-file "/perf/load-$load.json" \
      -f "/perf/load-$load.csv" --verbose-csv --collect-metrics \
      --metrics-url "${metrics:-http://127.0.0.1:8002/metrics}" "$@"
  done
}

case $kind in
  llm) analyze --async --streaming --measurement-mode count_windows --measurement-request-count 100 --stability-percentage 20 ;;
  embed | rerank)
    address=${url:-127.0.0.1:8001}
    metrics="http://${address%:*}:$((${address##*:} + 1))/metrics"
    analyze --measurement-interval 10000 ;;
  mesh)
    [[ -n "$url" && -n "$tokenizer" ]] || fail "mesh needs --url and --tokenizer"
    [[ "$dry" == yes ]] || require_command aiperf "pip install aiperf==$AIPERF_VERSION, in an environment of its own"
    for load in ${loads//,/ }; do
      run aiperf profile -m "$model" --url "$url" --endpoint-type chat --streaming ${key:+--api-key "$key"} \
        --tokenizer "$tokenizer" --concurrency "$load" --request-count "$((load * 10))" \
        --synthetic-input-tokens-mean 64 --synthetic-input-tokens-stddev 16 --output-tokens-mean "$tokens" \
        --random-seed 1 --artifact-dir "$output/load-$load"
    done ;;
  *) fail "the kind is llm, embed, rerank or mesh, not '$kind'" ;;
esac
