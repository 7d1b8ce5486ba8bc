#!/usr/bin/env bash
# Builds a version of an embedder or a reranker for GPUs: exports it to ONNX, builds a plan, lays it out.
#
#   build_encoder.sh embed e5-large@1 --weights multilingual-e5-large --repository models \
#     --query-prefix 'query: ' --passage-prefix 'passage: '
#   build_encoder.sh rerank bge-reranker-v2-m3@1 --weights bge-reranker-v2-m3 --repository models
#
#   --weights DIR         the model as Hugging Face lays it out, with its tokenizer (required)
#   --repository DIR      where the version goes (required)
#   --backend tensorrt|onnxruntime|pytorch   a plan for this kind of GPU (default), the ONNX file itself, or the
#                         weights, which the language models' server can run too: one server for everything
#   --pooling mean|cls    how an embedder makes one vector of many (default: mean)
#   --query-prefix TEXT   before each question (embedders)
#   --passage-prefix TEXT before each passage (embedders)
#   --max-tokens N        that the model takes (default: 512)
#   --max-batch N         rows in one step (default: 32)
#   --title TEXT          what people call the weights (default: the folder's name and FP16)
#   --languages LIST      (default: en zh)
#   --gpu N               where it will be served (default: 0)
#
# TensorRT 11 takes types from the graph alone, so the export is in FP16 already, with pooling and scores in FP32.
# A plan runs only on the kind of GPU, and in the TensorRT, that built it. Validated, not run here.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[[ "${1-}" != -h && "${1-}" != --help ]] || { show_help; exit; }
(($# >= 2)) || fail "which role, and which NAME@VERSION? See --help"
role=$1 model=$2
shift 2
weights="" repository="" backend=tensorrt pooling=mean query_prefix="" passage_prefix="" max_tokens=512 max_batch=32
title="" languages="en zh" gpu=0
while (($#)); do
  [[ "$1" != -h && "$1" != --help ]] || { show_help; exit; }
  [[ $# -ge 2 ]] || fail "$1 needs a value; see --help"
  case $1 in
    --weights) weights=$2 ;; --repository) repository=$2 ;; --backend) backend=$2 ;; --pooling) pooling=$2 ;;
    --query-prefix) query_prefix=$2 ;; --passage-prefix) passage_prefix=$2 ;; --max-tokens) max_tokens=$2 ;;
    --max-batch) max_batch=$2 ;; --title) title=$2 ;; --languages) languages=$2 ;; --gpu) gpu=$2 ;;
    *) fail "$1 is not an option; see --help" ;;
  esac
  shift 2
done
[[ "$role" == embed || "$role" == rerank ]] || fail "the role is embed or rerank, not '$role'"
[[ "$backend" =~ ^(tensorrt|onnxruntime|pytorch)$ ]] || fail "--backend is tensorrt, onnxruntime or pytorch, not '$backend'"
[[ -n "$weights" && -n "$repository" ]] || fail "--weights and --repository are needed"
require_version_id "$model"
for option in max_tokens max_batch gpu; do require_number "--${option//_/-}" "${!option}"; done
require_file "$weights/tokenizer.json" "--weights is a folder of Hugging Face with a fast tokenizer"
[[ ! -e "$repository/$model" ]] || fail "$repository/$model is there already: give the new version its own number"
require_command python3 "apt install python3"
require_docker
image=$LLM_IMAGE
if [[ "$backend" != pytorch ]]; then
  image=$ENCODER_IMAGE
  docker image inspect "$image" >/dev/null 2>&1 || fail "$image is not built: build_image.sh"
fi
weights=$(realpath "$weights")
[[ -n "$title" ]] || title="$(basename "$weights") FP16"

work=$(mktemp -d "$(dirname "$(realpath -m "$repository")")/.building-XXXXXX")
trap 'rm -rf "$work"' EXIT
mounts=(--volume "$weights:/weights:ro" --volume "$work:/work")

if [[ "$backend" != pytorch ]]; then
  say "exporting $title to ONNX"
  run_in "$LLM_IMAGE" "${mounts[@]}" --volume "$GPU_FOLDER:/gpu:ro" -- python3 /gpu/scripts/export_encoder.py "$role" \
    --weights /weights --output /work/model.onnx --pooling "$pooling" --max-tokens "$max_tokens"
fi
dims=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["hidden_size"])' "$weights/config.json")

file=$([[ "$backend" == pytorch ]] && echo /weights || echo /work/model.onnx)
if [[ "$backend" == tensorrt ]]; then
  say "building a plan for up to $max_batch rows of $max_tokens tokens"
  shapes() { echo "input_ids:$1x$2,attention_mask:$1x$2"; }
  run_in "$PLAN_IMAGE" "${mounts[@]}" -- trtexec --onnx=/work/model.onnx --saveEngine=/work/model.plan \
    --minShapes="$(shapes 1 1)" --optShapes="$(shapes "$max_batch" 128)" \
    --maxShapes="$(shapes "$max_batch" "$max_tokens")" --stronglyTyped --skipInference
  file=/work/model.plan
fi

arguments=("$role" "$model" --tokenizer /weights --encoder "$file" --title "$title" --languages "$languages"
  --max-tokens "$max_tokens" --max-batch "$max_batch" --gpu "$gpu" --pooling "$pooling")
[[ "$role" == rerank ]] ||
  arguments+=(--dims "$dims" --query-prefix "$query_prefix" --passage-prefix "$passage_prefix")
lay_out "$image" "$repository" "${mounts[@]}" -- "${arguments[@]}"
say "$model is ready: launch.sh $([[ "$backend" == pytorch ]] && echo llm || echo encoders) --repository $repository --load $model"
