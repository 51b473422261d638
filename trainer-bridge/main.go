// Command trainer-bridge turns what a generation grew into a policy that answers: it builds the mixture, has each
// target trained on it, and serves the checkpoint.
//
// It takes build, train and deploy tasks from TASKS. build reads TRAJECTORIES and FEEDBACK and writes the mixture
// to the blob store (mixtures/<run>/<generation>/, manifest.json last); train runs the target's command and
// writes the checkpoint (checkpoints/<run>/<generation>/<target>/, checkpoint.json last); deploy makes the model
// server serve it. The results are events on TRAINING: mixture, job, checkpoint, deployment.
//
// It scales by training jobs, not by questions: one process with bridge.jobs jobs at a time beside the trainer's
// hardware. Killed and started again on the same bridge.directory, it finds its jobs, running or finished.
//
// Configuration: bus, blob, bridge, llm (API keys of model servers), http, log.
package main

import (
	"github.com/ratchet-rl/ratchet/internal/app"
	"github.com/ratchet-rl/ratchet/trainer-bridge/bridge"
)

func main() { app.Main("trainer-bridge", bridge.Run) }
