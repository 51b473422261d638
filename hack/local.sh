#!/usr/bin/env bash
# Runs Ratchet on this machine the way it runs in a cluster: a stand-alone nats-server, MinIO, the embedded policy's
# server, and every role as processes of their own. A role that ends is started again. Ctrl-C stops all of them, roles
# first, and keeps the data.
#
#   hack/local.sh          (`make local` builds bin/ first)
#
#   LOCAL_DIR          data, keys and logs                           (ratchet-data/local)
#   NATS_PORT          4222     MINIO_PORT   9000
#   HTTP_PORT          7420     the coordinator's dashboard, API and metrics
#   POCKET_PORT        7421     the embedded policy's model server
#   ROLLOUT_WORKERS    3        RANK_WORKERS 2
set -euo pipefail
set -m # every child is a process group of its own: Ctrl-C reaches this script only

cd "$(dirname "$0")/.."
mkdir -p "${LOCAL_DIR:=ratchet-data/local}"
dir=$(cd "$LOCAL_DIR" && pwd)
logs=$dir/logs
nats_port=${NATS_PORT:-4222} minio_port=${MINIO_PORT:-9000}
http_port=${HTTP_PORT:-7420} pocket_port=${POCKET_PORT:-7421}
mkdir -p "$logs" "$dir/nats" "$dir/minio"

names=() pids=() commands=() servers=3 # the first three children

start() { # start NAME COMMAND ARGUMENT... : a child; what it says goes to logs/NAME.log
	local i=${#names[@]}
	names+=("$1") pids+=(0)
	shift
	commands+=("$(printf '%q ' "$@")")
	launch "$i"
}

launch() { # launch INDEX : exec, so that the pid is the program's own
	(eval "exec ${commands[$1]}") >>"$logs/${names[$1]}.log" 2>&1 </dev/null &
	pids[$1]=$!
}

stop_all() { # roles first, so that what they finish still has its servers
	trap '' INT TERM
	trap - EXIT
	echo "stopping ..."
	exec 2>/dev/null # bash's own notices
	stop "${pids[@]:servers}"
	stop "${pids[@]:0:servers}"
	echo "stopped; the data is in $dir"
}

stop() { # stop PID... : all at once, and wait for them
	[[ $# == 0 ]] && return
	kill -TERM "$@" || true
	wait "$@" || true
}

await_port() { # await_port NAME PORT : until somebody listens there, or NAME is dead
	local tries
	for ((tries = 0; tries < 300; tries++)); do
		(exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null && return
		alive || exit 1
		sleep 0.1
	done
	echo "error: $1 does not listen on port $2 after 30 s; see $logs/$1.log" >&2
	exit 1
}

alive() { # false, saying why, if a child has ended
	local i
	for i in "${!pids[@]}"; do
		kill -0 "${pids[i]}" 2>/dev/null || { ended "$i"; return 1; }
	done
}

ended() { # ended INDEX
	echo "error: ${names[$1]} has ended; the end of $logs/${names[$1]}.log:" >&2
	tail -n 5 "$logs/${names[$1]}.log" >&2
}

supervise() { # until a server ends
	local i
	while true; do
		sleep 1 &
		wait $! # a signal interrupts wait, not sleep
		for i in "${!pids[@]}"; do
			kill -0 "${pids[i]}" 2>/dev/null && continue
			ended "$i"
			((i < servers)) && return
			launch "$i"
			echo "${names[i]} is started again, pid ${pids[i]}" >&2
		done
	done
}

refuse_taken_port() { # refuse_taken_port PORT VARIABLE
	if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
		echo "error: port $1 is taken; set $2 to another one" >&2
		exit 1
	fi
}

random_key() { # random_key FILE : 32 hexadecimal digits, made once
	[[ -s $1 ]] || (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$1")
}

[[ -x bin/coordinator ]] || { echo "error: bin/coordinator is missing; run make build" >&2; exit 1; }
refuse_taken_port "$nats_port" NATS_PORT
refuse_taken_port "$minio_port" MINIO_PORT
refuse_taken_port "$http_port" HTTP_PORT
refuse_taken_port "$pocket_port" POCKET_PORT
nats_server=$(hack/nats-server.sh)
minio=$(hack/minio.sh)
random_key "$dir/minio-access"
random_key "$dir/minio-secret"

cat >"$dir/nats.conf" <<CONF
listen: 127.0.0.1:$nats_port
server_name: local
jetstream { store_dir: "$dir/nats", sync_interval: always }
CONF

cat >"$dir/ratchet.yaml" <<CONF
bus:
  url: nats://127.0.0.1:$nats_port
  ack_wait: 10s
blob:
  url: s3://ratchet
  endpoint: http://127.0.0.1:$minio_port
  access_key_file: $dir/minio-access
  secret_key_file: $dir/minio-secret
search:
  directory: $dir/search
bridge:
  directory: $dir/training
up:
  directory: $dir
  pocket: 127.0.0.1:$pocket_port
CONF

trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

start nats-server "$nats_server" --config "$dir/nats.conf"
export MINIO_BROWSER=off MINIO_ROOT_USER MINIO_ROOT_PASSWORD
MINIO_ROOT_USER=$(<"$dir/minio-access") MINIO_ROOT_PASSWORD=$(<"$dir/minio-secret")
start minio "$minio" server --quiet --address "127.0.0.1:$minio_port" "$dir/minio"
unset MINIO_ROOT_USER MINIO_ROOT_PASSWORD
await_port nats-server "$nats_port"
await_port minio "$minio_port"

export RATCHET_CONFIG=$dir/ratchet.yaml
start pocket bin/ratchet pocket serve --listen "127.0.0.1:$pocket_port"
start coordinator env "RATCHET_HTTP_LISTEN=127.0.0.1:$http_port" bin/coordinator
for ((i = 1; i <= ${ROLLOUT_WORKERS:-3}; i++)); do start "rollout-worker-$i" bin/rollout-worker; done
for ((i = 1; i <= ${RANK_WORKERS:-2}; i++)); do start "rank-worker-$i" bin/rank-worker; done
start trainer-bridge bin/trainer-bridge
start evaluator bin/evaluator
await_port coordinator "$http_port"
await_port pocket "$pocket_port"

cat <<TEXT
bus      nats://127.0.0.1:$nats_port      every message on disk before it is acknowledged
blobs    s3://ratchet at 127.0.0.1:$minio_port
http     http://127.0.0.1:$http_port      dashboard, API, /metrics
pocket   http://127.0.0.1:$pocket_port/v1   the embedded policy: a stand-in, no language model worth using
logs     $logs
TEXT
printf '%-8s %s\n' '' 'process             pid'
for i in "${!pids[@]}"; do printf '%-8s %-18s %s\n' '' "${names[i]}" "${pids[i]}"; done
cat <<TEXT
try, in another terminal:
  export RATCHET_CONFIG=$RATCHET_CONFIG
  bin/ratchet init $dir/example
  bin/ratchet submit $dir/example/run.yaml --follow
  bin/ratchet status --watch
  kill -9 PID               of any role: it is started again, and nothing is lost or done twice
Ctrl-C stops everything.
TEXT

supervise
exit 1
