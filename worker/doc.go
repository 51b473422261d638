// Package worker is how a worker kind joins the bus. Ratchet's own rollout and rank workers are served by it; a
// kind of yours needs a handler and a name:
//
//	func main() {
//		worker.Main("shout", func(ctx context.Context, t *worker.Task) error {
//			text := t.Args().Fields["text"].GetStringValue()
//			return t.Result(ctx, map[string]any{"text": strings.ToUpper(text)})
//		})
//	}
//
// A program with a main function of its own calls [Connect], and [Serve] for each kind. A ranker needs no tasks: it
// follows the trajectories, see [MainRanker]. Package workertest runs a handler in a test, on a real bus.
//
// The coordinator must know the kind, because it makes the queues: `ratchet kind add shout`. Tasks come from
// `ratchet task shout --args '{"text":"hi"}'` or from any publisher. A bus with users, such as that of `ratchet up`, wants a
// key: `--set bus.nkey_file=ratchet-data/users/worker.nk`, or that of the kind if bus.kinds names it.
//
// # Promise
//
// A task is delivered at least once, to one worker at a time, which keeps it by heartbeats. Its result is
// written once: publishing it again is no error. A task is acknowledged after its handler returned nil, so
// publish before you return.
//
// # Failures
//
// What the handler returns says what happens next:
//
//   - nil: done.
//   - [Permanent]: a dead letter at once.
//   - [Later]: again after a while, by this worker, which keeps the task; no delivery is counted.
//   - an outage ([IsOutage]: an error in whose tree is one with a method Outage() bool that says true): as Later.
//   - [Stop]: this process cannot go on; Serve returns the error, and somebody else gets the task.
//   - [ErrFenced]: another worker has gone on with it; the task is left to that one.
//   - any other error: again with growing delays, and a dead letter after bus.max_deliver deliveries. A panic is such
//     an error.
//
// A task whose worker dies is delivered again when its lease (bus.ack_wait) has run out.
package worker
