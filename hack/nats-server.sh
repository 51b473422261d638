#!/usr/bin/env bash
# Builds the stand-alone nats-server of the version in go.mod and prints where it is.
set -euo pipefail

cd "$(dirname "$0")/.."
version=$(go list -m -f '{{.Version}}' github.com/nats-io/nats-server/v2)
program="${RATCHET_CACHE:-$HOME/.cache/ratchet}/bin/nats-server-$version"

if [[ ! -x $program ]]; then
	echo "building nats-server $version ..." >&2
	mkdir -p "$(dirname "$program")"
	go build -o "$program.$$" github.com/nats-io/nats-server/v2 >&2
	mv "$program.$$" "$program"
fi
echo "$program"
