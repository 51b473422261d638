// Command rank-worker ranks the candidates of every step of finished trajectories.
//
// For each configured ranker it follows the grown trajectories (ratchet.v1.trajectory.*.*.*.grow.>) through the durable
// consumer rank-<ranker>, and publishes one feedback per trajectory (ratchet.v1.feedback.<ranker>.ID), once for ever. It
// never changes a trajectory. The ranker `llm` asks the run's judge; `perplexity` asks nobody.
//
// Any number may run: scale by the lag of rank-<ranker>. Killed anywhere, its trajectories are delivered to somebody else
// after bus.ack_wait and ranked from the start. On SIGTERM it finishes what it has, for rank.drain at most.
//
// Configuration: bus, blob, llm, rank, http, log.
package main

import (
	"github.com/ratchet-rl/ratchet/internal/app"
	"github.com/ratchet-rl/ratchet/rank-worker/rank"
)

func main() { app.Main("rank-worker", rank.Run) }
