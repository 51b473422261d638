// Package bridge leads from what a generation grew to a policy that answers: mixture, training job, checkpoint,
// served policy.
//
// # Promise
//
// The same trajectories and feedback give the same mixture, byte for byte, whatever the order they arrived in and
// however often the bridge died on the way. One mixture and one target are one job, which is never run twice at
// the same time. A checkpoint is known by its content. Every result is published after what it points at is
// durable, and a task that is delivered again finds its result and does nothing.
//
// No gold answer of an evaluation set can be reached from here: only the sets' questions are read, to keep them
// out of the mixtures (the locked set's too). The strategy `star` alone reads labels, in a file and type of
// their own.
//
// # Protocol
//
//	build   trajectories, feedback -> parts -> manifest.json (If-None-Match) -> Mixture
//	train   mixture -> job -> files -> checkpoint.json -> Checkpoint, with Job events on the way
//	deploy  checkpoint -> model server -> Deployment
//
// A reader of the blob store trusts a manifest.json or checkpoint.json and what it names, and never lists keys: a
// crash may leave parts that no manifest names.
//
// # Failure
//
//   - Crash between parts, manifest and event: the task is redelivered and makes the same bytes under the same
//     keys. A manifest of other bytes is a conflict, told and never overwritten.
//   - Crash (kill -9) of the bridge during a job: the job goes on; the next bridge on the same directory finds it
//     by its lock, waits for it and takes its result. See command for how.
//   - SIGTERM: the job may go on for bridge.drain, then it is stopped, SIGTERM before SIGKILL, with its whole process
//     group: nothing is left behind (a job in a cluster goes on, and is found by its name). What it left in {out} is there when it is started again.
//   - A job that fails is started maxAttempts times at most, one that timed out once, and then is a dead letter
//     with its exit code and the end of its standard error.
//   - Model server restarted: the reconciler loads again what it has lost. A server of the deployer command that has
//     ended is started again where it was, also by the next bridge after kill -9 of this one, which finds those that
//     live; SIGTERM stops them. Only the incumbent and the generation that is tried have servers. See program.
//   - A deployment that fails is tried maxAttempts times, one that is not ready within deploy.timeout once, and then is a
//     dead letter: the run pauses with the reason and the server's last words. The incumbent goes on being served.
//
// Linux and other Unix systems: jobs are kept apart by flock(2). Bridges on several hosts need directories of
// their own, or one on a file system whose locks reach across hosts.
package bridge
