#!/usr/bin/env bash
# The experiment of docs/experiment-smollm.md: a real model improves itself on this machine's processor. Interrupt it at any time
# (Ctrl-C, kill -9, power) and run it again with the same settings: it goes on where it was.
#
#   hack/experiment-smollm.sh          (`make experiment-smollm` builds what it needs first)
#
# Size:
#   QUESTIONS    30     of the pool, to grow on           SAMPLES      1     trajectories of each
#   EVALUATE     25     held-out questions, up to 125     REPETITIONS  1     of the evaluation
#   GENERATIONS  1      to try                            CANDIDATES   4     per step
# How:
#   SHOTS 2   SEARCHES 2   RESULTS 3   RANKER perplexity|llm   SEED 1
#   THREADS (all processors): 1 on a machine that has other work, for threads that wait for each other spin
#   EPOCHS 1   LEARNING_RATE 1e-4   BATCH 4   MAX_LENGTH 2048   PRECISION bfloat16|float32
# Where:
#   DATA             ../shared/data/hotpotqa      pool.jsonl, eval.jsonl, corpus.jsonl
#   EXPERIMENT_DIR   ratchet-data/experiment-smollm
#   MODEL_PORT 7431   JUDGE_PORT 7432   HTTP_PORT 7433   BUS_PORT 4322
# Another size or another way is another run: give it another NAME (smollm), in the same directory.
set -euo pipefail
set -m # every child is a process group of its own: Ctrl-C reaches this script only

cd "$(dirname "$0")/.."
export RATCHET_CACHE=${RATCHET_CACHE:-$HOME/.cache/ratchet} TQDM_DISABLE=1
ROOT=$PWD PYTHON=$RATCHET_CACHE/trl/bin/python
DATA=$(cd "${DATA:-../shared/data/hotpotqa}" && pwd) || exit
: "${NAME:=smollm}" "${SEED:=1}" "${QUESTIONS:=30}" "${SAMPLES:=1}" "${EVALUATE:=25}" "${REPETITIONS:=1}" "${GENERATIONS:=1}"
: "${CANDIDATES:=4}" "${SHOTS:=2}" "${SEARCHES:=2}" "${RESULTS:=3}" "${RANKER:=perplexity}"
: "${EPOCHS:=1}" "${LEARNING_RATE:=1e-4}" "${BATCH:=4}" "${MAX_LENGTH:=2048}" "${PRECISION:=bfloat16}"
: "${THREADS:=$(nproc)}" "${MODEL_PORT:=7431}" "${JUDGE_PORT:=7432}" "${BUS_PORT:=4322}" "${HTTP_PORT:=7433}"
mkdir -p "${EXPERIMENT_DIR:=ratchet-data/experiment-smollm}/logs"
dir=$(cd "$EXPERIMENT_DIR" && pwd)
BASE=$dir/base
export SMOLLM_THREADS=$THREADS OMP_NUM_THREADS=$THREADS # no part of the run, so that it may change between two starts
pids=()

start() { # start NAME COMMAND... : a child, which does not outlive this script; what it says goes to logs/NAME.log
	local log=$dir/logs/$1.log
	shift
	setpriv --pdeathsig TERM "$@" >>"$log" 2>&1 </dev/null &
	pids=("$!" "${pids[@]}")
}

stop_all() { # the last one started first: Ratchet before the servers it asks
	trap '' INT TERM
	trap - EXIT
	local pid
	for pid in "${pids[@]}"; do
		kill -TERM "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true
	done
	echo "stopped; everything is in $dir, and the next start goes on from there" >&2
}

await() { # await NAME URL : until it answers
	local tries
	for ((tries = 0; tries < 600; tries++)); do
		curl --silent --fail --output /dev/null "$2" && return
		kill -0 "${pids[0]}" 2>/dev/null || break
		sleep 0.2
	done
	echo "error: $1 does not answer at $2; the end of $dir/logs/$1.log:" >&2
	tail -n 5 "$dir/logs/$1.log" >&2
	exit 1
}

submit() { # submits the run, or finds that it is there; a coordinator that was only just started answers late
	local tries code
	for ((tries = 0; tries < 60; tries++)); do
		code=0
		bin/ratchet submit "$dir/$NAME.yaml" >"$dir/logs/submit.log" 2>&1 || code=$?
		((code == 5)) || break # 5: nobody answers
		sleep 1
	done
	((code == 0)) || { cat "$dir/logs/submit.log" >&2; exit "$code"; }
}

fill() { # fill FILE : puts the settings in place of their @NAMES@
	local text setting
	text=$(<"$1")
	for setting in NAME SEED DATA QUESTIONS SAMPLES EVALUATE REPETITIONS GENERATIONS CANDIDATES SHOTS SEARCHES RESULTS RANKER \
		EPOCHS LEARNING_RATE BATCH MAX_LENGTH PRECISION MODEL_PORT JUDGE_PORT BASE PYTHON ROOT; do
		text=${text//@$setting@/${!setting}}
	done
	echo "$text"
}

for port in "$MODEL_PORT" "$JUDGE_PORT" "$HTTP_PORT" "$BUS_PORT"; do
	if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
		echo "error: port $port is taken; does the experiment run already, or still end? Else set MODEL_PORT, JUDGE_PORT, HTTP_PORT or BUS_PORT" >&2
		exit 1
	fi
done

weights=$(hack/smollm.sh weights)
[[ -e $BASE ]] || "$PYTHON" -m ratchet_trl unpack --base "$weights" --out "$BASE"
fill hack/experiment-smollm.yaml >"$dir/$NAME.yaml"
cat >"$dir/config.yaml" <<CONF
# Few trajectories in flight, and patience: model and trainer share this machine's processor.
llm: {timeout: 10m, wait: 30m, connections: 8}
rollout: {slots: 2}
rank: {slots: 1}
evaluator: {slots: 1}
coordinator: {shard: 1}
up:
  directory: $dir
  bus: 127.0.0.1:$BUS_PORT
  pocket: "off"
bus: {url: "nats://127.0.0.1:$BUS_PORT"}
blob: {url: "file://$dir/blobs"}
http: {listen: "127.0.0.1:$HTTP_PORT"}
CONF

trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The base in the numbers that a checkpoint is served in, so that nothing but the training tells them apart.
start model hack/smollm.sh "$MODEL_PORT" "$BASE" smollm2-135m
await model "http://127.0.0.1:$MODEL_PORT/health"
start judge hack/smollm-judge.py "$JUDGE_PORT" "http://127.0.0.1:$MODEL_PORT/v1"
await judge "http://127.0.0.1:$JUDGE_PORT/v1/models"
export RATCHET_CONFIG=$dir/config.yaml
start ratchet bin/ratchet up
await ratchet "http://127.0.0.1:$HTTP_PORT/readyz"
submit
bin/ratchet resume "$NAME" >/dev/null 2>&1 || true # that it was started again says that what it was paused for is mended
setpriv --pdeathsig TERM bin/ratchet submit "$dir/$NAME.yaml" --follow &
pids=("$!" "${pids[@]}")
follow=$!
wait -n "${pids[@]}" || true # a signal interrupts wait, not a command
if kill -0 "$follow" 2>/dev/null; then
	echo "error: ratchet or a server has ended; the ends of their logs:" >&2
	tail -n 3 "$dir"/logs/*.log >&2
	exit 1
fi
wait "$follow"
bin/ratchet ledger "$NAME" | tee "$dir/$NAME.ledger"
bin/ratchet report "$NAME" | tee "$dir/$NAME.report"
