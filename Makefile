# Ratchet's commands; `make help` lists them. Everything a target needs beyond Go, git, make and gcc it installs
# itself, from the Go module proxy, once, into $(CACHE).
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
CACHE ?= $(HOME)/.cache/ratchet
TOOLS := $(CACHE)/bin
GOLANGCI := $(TOOLS)/golangci-lint-v2.15.0
BUF := $(TOOLS)/buf-v1.75.0
PROTOC_GEN_GO := $(TOOLS)/protoc-gen-go-v1.36.12
TRL := $(CACHE)/trl
GOVULNCHECK := $(TOOLS)/govulncheck-v1.9.0
ROLES := coordinator rollout-worker rank-worker trainer-bridge evaluator ratchet

.PHONY: help build demo local check audit test test-s3 test-k8s trl test-trl experiment-smollm chaos bench cover lint fmt proto release-schema keep-store verify clean
.DEFAULT_GOAL := help

help: ## list these commands
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

build: ## the five roles and the ratchet command, into bin/
	go build -o bin/ $(addprefix ./,$(ROLES))

demo: build ## the whole loop on this machine: two generations of the embedded policy, about two minutes
	@bin/ratchet demo $(ARGS)

local: build ## the roles as separate processes over a stand-alone nats-server and MinIO; Ctrl-C stops them
	hack/local.sh

check: lint ## before each commit: format, lint, vet, unit tests
	go vet ./...
	go test -short ./...

audit: $(GOVULNCHECK) ## licences and known vulnerabilities of what is linked; needs vuln.go.dev, and fails without it
	go test -count=1 ./docs
	@$(GOVULNCHECK) -test ./... || { \
		echo "audit: govulncheck found something, or could not reach its database (vuln.go.dev, or GOVULNDB): not passed" >&2; exit 1; }

test: build ## everything: unit, integration over real embedded servers, race detector, end to end
	go test -race -timeout 25m ./...

test-s3: build ## the same against a real S3 server (MinIO, built once from its Go module)
	RATCHET_MINIO=$$(hack/minio.sh) go test -count=1 -timeout 15m ./internal/blob/...
	RATCHET_MINIO=$$(hack/minio.sh) go test -count=1 -timeout 15m -run S3 ./e2e

SEED ?= 0
FAULTS ?= 200
chaos: ## random faults against the built programs and MinIO, about ten minutes; FAULTS=500 for longer, SEED=1 to repeat
	RATCHET_MINIO=$$(hack/minio.sh) go test -count=1 -v -timeout 10h \
		-run 'TestKillInEachPhase|TestChaos|TestS3' ./e2e -chaos.faults $(FAULTS) -chaos.seed $(SEED)

test-k8s: ## have an API server check the Kubernetes manifests (kubectl in PATH, and a cluster)
	kubectl apply --server-side -f k8s/base/namespace.yaml # a dry run sees no namespace that it would make itself
	kubectl apply --server-side --dry-run=server -k k8s/base
	kubectl apply --server-side --dry-run=server -k k8s/overlays/keda # needs KEDA's resource definitions
	kubectl apply --server-side --dry-run=server -k k8s/overlays/keys
	kubectl apply --server-side --dry-run=server -k k8s/overlays/cluster
	go test -count=1 ./trainer-bridge/bridge/kube # over an API server of its own: KUBEBUILDER_ASSETS is a folder with etcd and kube-apiserver

trl: $(TRL)/ready ## the trainer, trainer-bridge/trl, in a virtual environment of its own (some 6 GB: torch comes with CUDA)

test-trl: $(TRL)/ready ## the trainer's tests, and the bridge with it; on the processor, with models of random weights
	cd trainer-bridge/trl && $(TRL)/bin/python -m pytest -q
	RATCHET_TRL=$(TRL)/bin/python go test -count=1 -run TestTRL ./trainer-bridge/bridge

experiment-smollm: build $(TRL)/ready ## a real model improves itself on this machine's processor, hours; docs/experiment-smollm.md; resumable
	RATCHET_CACHE=$(CACHE) hack/experiment-smollm.sh

bench: ## benchmarks: ratios of one run on this machine
	go test -run '^$$' -bench . -benchtime 2s ./...

cover: ## test coverage by package
	go test -short -coverprofile coverage.out ./... && go tool cover -func coverage.out | tail -1

lint: $(GOLANGCI) ## the linters and import rules of .golangci.yml
	$(GOLANGCI) run ./...

fmt: $(GOLANGCI) ## format
	$(GOLANGCI) fmt ./...

proto: $(BUF) $(PROTOC_GEN_GO) ## generate the Go code of proto/
	$(BUF) lint
	PATH="$(TOOLS)/proto:$$PATH" $(BUF) generate

release-schema: $(BUF) ## at a release only: hold proto/ against today's schema from now on
	$(BUF) breaking --against proto/ratchet/v1/testdata/released.binpb
	$(BUF) build -o proto/ratchet/v1/testdata/released.binpb

keep-store: ## at a release only: keep a run of this version that later ones must go on with (NAME=v1.2.3)
	go test -count=1 ./e2e -run 'TestKeepStore' -args -keep.store=testdata/stores/$(NAME).tar.gz

verify: proto ## generated code is what the .proto says
	git diff --exit-code -- proto

clean: ## remove what was built here
	rm -rf bin coverage.out

$(GOLANGCI):
	GOBIN=$(TOOLS)/golangci go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	mv $(TOOLS)/golangci/golangci-lint $@

$(BUF):
	GOBIN=$(TOOLS)/buf-build go install github.com/bufbuild/buf/cmd/buf@v1.75.0
	mv $(TOOLS)/buf-build/buf $@

$(PROTOC_GEN_GO):
	GOBIN=$(TOOLS)/proto go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
	cp $(TOOLS)/proto/protoc-gen-go $@

$(GOVULNCHECK):
	GOBIN=$(TOOLS)/govulncheck go install golang.org/x/vuln/cmd/govulncheck@v1.9.0
	mv $(TOOLS)/govulncheck/govulncheck $@

$(TRL)/ready: trainer-bridge/trl/requirements.txt trainer-bridge/trl/constraints.txt
	python3 -m venv $(TRL)
	$(TRL)/bin/pip install --quiet --disable-pip-version-check -r trainer-bridge/trl/requirements.txt pytest -c trainer-bridge/trl/constraints.txt
	$(TRL)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable trainer-bridge/trl
	touch $@
