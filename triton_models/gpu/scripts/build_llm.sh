#!/usr/bin/env bash
# Builds a version of a language model for GPUs: quantises it to FP8, builds engines, lays it out in a repository.
#
#   build_llm.sh llama-3.1-8b@1 --weights Llama-3.1-8B-Instruct --repository models
#   build_llm.sh llama-3.1-8b@2 --weights Llama-3.1-8B-Instruct --repository models --tp 2 --gpus 0,1
#   build_llm.sh llama-3.1-8b@3 --weights Llama-3.1-8B-Instruct --repository models --path api
#
#   --weights DIR         the instruct model as Hugging Face lays it out, with its tokenizer (required)
#   --repository DIR      where the version goes (required)
#   --path engine|api     engines of TensorRT-LLM (default), or a checkpoint for its LLM API
#   --tp 1|2              GPUs that share each layer (default: 1)
#   --gpus LIST           their numbers where it will be served, with commas (default: 0, or 0,1)
#   --slots N             answers at once (default: 64)
#   --context-length N    tokens of prompt and answer together (default: 8192)
#   --max-num-tokens N    tokens in one step: the longest piece of a prompt (default: 8192)
#   --kv-cache-fraction F of the GPU's memory beside the weights (default: 0.85)
#   --calibration DIR     texts for FP8's scales, as `datasets` saves them (default: cnn_dailymail, from the hub)
#   --title TEXT          what people call the weights (default: the folder's name and FP8)
#   --languages LIST      (default: en zh)
#   --keep-checkpoint     leave REPOSITORY/../checkpoints in place
#
# FP8 needs a GPU of compute capability 8.9 or newer (Ada, Hopper, Blackwell), and for 8B about 24 GB while it
# quantises. An engine runs only on the kind of GPU, and in the TensorRT, that built it: build on the machine, or its
# like, and with the container that serves it. Validated, not run here.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

model="" weights="" repository="" path=engine tp=1 gpus="" slots=64 context_length=8192 max_num_tokens=8192
kv_cache_fraction=0.85 calibration="" title="" languages="en zh" keep=no
while (($#)); do
  case $1 in
    -h | --help) show_help; exit ;;
    --keep-checkpoint) keep=yes; shift ;;
    --*)
      need "$1" "${2-}"
      case $1 in
        --weights) weights=$2 ;; --repository) repository=$2 ;; --path) path=$2 ;; --tp) tp=$2 ;; --gpus) gpus=$2 ;;
        --slots) slots=$2 ;; --context-length) context_length=$2 ;; --max-num-tokens) max_num_tokens=$2 ;;
        --kv-cache-fraction) kv_cache_fraction=$2 ;; --calibration) calibration=$2 ;; --title) title=$2 ;;
        --languages) languages=$2 ;;
        *) fail "$1 is not an option; see --help" ;;
      esac
      shift 2 ;;
    *) [[ -z "$model" ]] || fail "one model at a time, not $model and $1"; model=$1; shift ;;
  esac
done
[[ -n "$model" && -n "$weights" && -n "$repository" ]] || fail "NAME@VERSION, --weights and --repository are needed"
require_version_id "$model"
[[ "$tp" =~ ^[12]$ ]] || fail "--tp is 1 or 2, not '$tp'"
[[ "$path" == engine || "$path" == api ]] || fail "--path is engine or api, not '$path'"
for option in slots context_length max_num_tokens; do require_number "--${option//_/-}" "${!option}"; done
[[ -n "$gpus" ]] || gpus=$([[ "$tp" == 1 ]] && echo 0 || echo 0,1)
require_file "$weights/tokenizer.json" "--weights is a folder of Hugging Face with a fast tokenizer"
require_file "$weights/config.json" "--weights is a folder of Hugging Face"
[[ ! -e "$repository/$model" ]] || fail "$repository/$model is there already: give the new version its own number"
require_docker
weights=$(realpath "$weights")
[[ -n "$title" ]] || title="$(basename "$weights") FP8"

work=$(dirname "$(realpath -m "$repository")")/checkpoints/$model
mkdir -p "$work"
mounts=(--volume "$weights:/weights:ro" --volume "$work:/work")
calib=()
if [[ -n "$calibration" ]]; then
  require_file "$calibration" "--calibration is a folder of texts"
  mounts+=(--volume "$(realpath "$calibration"):/calibration:ro")
  calib=(--calib_dataset /calibration)
fi

# The examples are those of the TensorRT-LLM in the container; TRTLLM_EXAMPLES points elsewhere where they moved.
examples=${TRTLLM_EXAMPLES:-/app/tensorrt_llm/examples}
run_in "$LLM_IMAGE" -- test -e "$examples/quantization/quantize.py" ||
  fail "$LLM_IMAGE has no $examples/quantization/quantize.py: set TRTLLM_EXAMPLES to the examples of v$TENSORRT_LLM_VERSION"

format=$([[ "$path" == engine ]] && echo tensorrt_llm || echo hf)
say "quantising $title to FP8, weights and KV cache ($format, tensor parallel $tp)"
run_in "$LLM_IMAGE" "${mounts[@]}" -- python3 "$examples/quantization/quantize.py" \
  --model_dir /weights --output_dir /work/checkpoint --export_format "$format" \
  --dtype auto --qformat fp8 --kv_cache_dtype fp8 --calib_size 512 --tp_size "$tp" "${calib[@]}"

common=("$model" --tokenizer /weights --title "$title" --languages "$languages" --kv-cache-fraction "$kv_cache_fraction")
if [[ "$path" == engine ]]; then
  say "building engines for $slots answers of $context_length tokens"
  run_in "$LLM_IMAGE" "${mounts[@]}" -- trtllm-build \
    --checkpoint_dir /work/checkpoint --output_dir /work/engine --workers "$tp" \
    --max_batch_size "$slots" --max_seq_len "$context_length" --max_num_tokens "$max_num_tokens" \
    --max_beam_width 1 --kv_cache_type paged --remove_input_padding enable \
    --gemm_plugin auto --use_paged_context_fmha enable --use_fp8_context_fmha enable
  lay_out "$LLM_IMAGE" "$repository" "${mounts[@]}" -- engine "${common[@]}" --engine /work/engine --gpus "$gpus"
else
  lay_out "$LLM_IMAGE" "$repository" "${mounts[@]}" -- api "${common[@]}" --weights /work/checkpoint \
    --tensor-parallel "$tp" --slots "$slots" --context-length "$context_length" --max-num-tokens "$max_num_tokens"
fi
[[ "$keep" == yes ]] || rm -rf "$work"
say "$model is ready: launch.sh llm --repository $repository --load $model"
