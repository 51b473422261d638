// Package history reads what happened in a run from the streams alone: its ledger, its mixtures, checkpoints,
// reports and decisions, one trajectory with everything that was said about it, and where a model comes from.
//
// Promise: nothing here writes, and nothing but the streams is believed, so that what the coordinator counts
// can be checked against it. Memory grows with generations, targets, dead letters and outstanding tasks, never
// with questions.
//
// Order of reading: outstanding tasks and dead letters first, the log of the run next, results last. Results
// only ever arrive, so whatever an earlier stream says is finished is found in the later ones.
package history
