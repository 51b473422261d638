// Package telemetry is how a role is watched: its log, its Prometheus registry, its health, and the trace
// context that its messages carry. Everything belongs to an instance, so that five roles live in one process
// without sharing a counter.
package telemetry
