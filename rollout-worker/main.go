// Command rollout-worker turns shards into trajectories.
//
// It takes tasks of kind `rollout` (ratchet.v1.task.rollout.>), plays the search agent on every question of the shard,
// appends each finished step to the journal (ratchet.v1.step.ID) before it goes on, and publishes the finished trajectory,
// completed or failed (ratchet.v1.trajectory.ID), once for ever. It calls the policy's endpoint and the run's search tool.
//
// Any number may run; each pulls a shard only while it has a free slot. Killed anywhere, its shards are delivered to
// somebody else after bus.ack_wait, who goes on after the last journalled step. On SIGTERM trajectories stop after the step
// they are in, and the shards are handed back at once.
//
// Configuration: bus, blob, llm, search, rollout, http, log.
package main

import (
	"github.com/ratchet-rl/ratchet/internal/app"
	"github.com/ratchet-rl/ratchet/rollout-worker/rollout"
)

func main() { app.Main("rollout-worker", rollout.Run) }
