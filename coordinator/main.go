// Command coordinator runs the ReST loop as a durable state machine: plan, baseline, then for each generation
// grow, rank, build, train, deploy, evaluate, decide.
//
// It owns the topology: at start it makes or updates every stream, consumer and bucket; everybody else binds
// and waits. It publishes tasks (ratchet.v1.task.>) and the run's log (ratchet.v1.run.>), reads every result
// stream, and serves submit, pause, resume, cancel and kind as NATS micro endpoints under ratchet.v1.api.
//
// Any number of replicas may run: a lease elects the one that conducts, the others wait. Kill it anywhere: the
// next one rebuilds what it knew from the streams and the run's record in the bucket `runs`.
//
// Configuration: bus, blob, coordinator, http, log.
package main

import (
	"github.com/ratchet-rl/ratchet/coordinator/plan"
	"github.com/ratchet-rl/ratchet/internal/app"
)

func main() { app.Main("coordinator", plan.Run) }
