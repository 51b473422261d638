#!/usr/bin/env bash
# Builds the MinIO server once, from its Go module, and prints where it is.
#
# MinIO is AGPL and its repository is archived: Ratchet runs it as a process of its own, in tests and in
# `make local`, and links none of it. Any other S3 server does as well; see docs/operations.md.
set -euo pipefail

version=v0.0.0-20260212201848-7aac2a2c5b7c
bin="${RATCHET_CACHE:-$HOME/.cache/ratchet}/bin"
program="$bin/minio-$version"

if [[ ! -x $program ]]; then
	echo "building MinIO $version into $bin, once; some minutes ..." >&2
	mkdir -p "$bin"
	partial=$(mktemp -d "$bin/build-XXXXXX")
	trap 'rm -rf "$partial"' EXIT
	(cd / && CGO_ENABLED=0 GOFLAGS='' GOBIN="$partial" go install "github.com/minio/minio@$version" >&2)
	mv "$partial/minio" "$program"
fi
echo "$program"
