// Command ratchet is the operator's: it runs the whole system in one process (up, demo), submits runs, says how
// they are (status, ledger, report), shows what the agent did and why (trajectory, lineage, dead), and decides
// (pause, resume, cancel). `ratchet COMMAND --help` is its manual.
//
// It reads the streams and the buckets `runs` and `models`, and asks the coordinator over ratchet.v1.api.>; it
// writes nothing itself but plug-in tasks, replayed dead letters, and the questions of a run, into the blob store.
//
// Configuration: bus, blob, and for up and demo all of it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills at once
	os.Exit(run(ctx, os.Args[1:], standardStreams()))
}
