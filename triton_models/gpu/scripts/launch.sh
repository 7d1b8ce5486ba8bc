#!/usr/bin/env bash
# Starts a Triton in explicit mode, and loads versions once it is up.
#
#   launch.sh llm --repository models --load llama-3.1-8b@1
#   launch.sh llm --repository models --load llama-3.1-8b@3 --path api
#   launch.sh encoders --repository models --load e5-large@1 --load bge-reranker-v2-m3@1
#
#   --repository DIR   the model repository (required)
#   --load MODEL       NAME@VERSION; may be repeated
#   --path engine|api  how the language models of this server were built (default: engine)
#   --gpus LIST        the GPUs that it may see, with commas (default: all)
#   --address HOST     where gRPC listens; anybody who reaches it may use the models (default: 127.0.0.1)
#   --port N           of gRPC; HTTP for loading is N-1 and metrics are N+1 (default: 8001, encoders: 8011)
#   --foreground       stay, and print the log
#
# Engines run in orchestrator mode: Triton is one process, started by mpirun, and each engine's ranks are processes of
# their own. So versions load and unload alone, of one GPU or two. Validated, not run here.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[[ "${1-}" != -h && "${1-}" != --help ]] || { show_help; exit; }
role=${1-}
[[ "$role" == llm || "$role" == encoders ]] || fail "what is to be launched: llm or encoders? See --help"
shift
repository="" loads=() path=engine gpus=all address=127.0.0.1 port="" stay=no
while (($#)); do
  case $1 in
    -h | --help) show_help; exit ;;
    --foreground) stay=yes; shift; continue ;;
  esac
  need "$1" "${2-}"
  case $1 in
    --repository) repository=$2 ;; --load) require_version_id "$2"; loads+=(--load "$2") ;; --path) path=$2 ;;
    --gpus) gpus="\"device=$2\"" ;; --address) address=$2 ;; --port) port=$2 ;;
    *) fail "$1 is not an option; see --help" ;;
  esac
  shift 2
done
[[ -n "$repository" ]] || fail "--repository is needed"
[[ "$path" == engine || "$path" == api ]] || fail "--path is engine or api, not '$path'"
require_file "$repository" "build a version first: build_llm.sh, build_encoder.sh"
[[ -n "$port" ]] || port=$([[ "$role" == llm ]] && echo 8001 || echo 8011)
require_number --port "$port"
require_docker

server=(tritonserver --model-repository=/models --model-control-mode=explicit --strict-readiness=false
  --disable-auto-complete-config --exit-timeout-secs=120
  --http-address=127.0.0.1 --http-port="$((port - 1))"
  --grpc-address="$address" --grpc-port="$port"
  --metrics-address="$address" --metrics-port="$((port + 1))"
  --backend-config="python,shm-region-prefix-name=ragmesh_${role}_")
environment=() image=$ENCODER_IMAGE
if [[ "$role" == llm ]]; then
  image=$LLM_IMAGE
  if [[ "$path" == engine ]]; then
    environment+=(--env TRTLLM_ORCHESTRATOR=1 --env TRTLLM_ORCHESTRATOR_SPAWN_PROCESSES=1)
    server=(mpirun --allow-run-as-root -n 1 "${server[@]}")
    # Ranks that are started later need the memory that Triton would pin for itself.
    server+=(--pinned-memory-pool-byte-size=0 --enable-peer-access=false)
  fi
fi
how=(--detach --restart unless-stopped)
[[ "$stay" == no ]] || how=(--rm)
docker run "${how[@]}" --name "ragmesh-$role" --gpus "$gpus" --network host --ipc host \
  --ulimit memlock=-1 --ulimit stack=67108864 "${environment[@]}" \
  --volume "$(realpath "$repository"):/models:ro" --volume "$GPU_FOLDER/serve.py:/serve.py:ro" \
  --entrypoint "" "$image" python3 /serve.py --http "127.0.0.1:$((port - 1))" "${loads[@]}" -- "${server[@]}"
[[ "$stay" == yes ]] || say "ragmesh-$role starts on $address:$port; docker logs --follow ragmesh-$role"
