// Package evaluate is the evaluator: verdicts on answers, reports on policies, decisions on promotion.
//
// # Verdicts
//
// A judge follows the finished evaluation trajectories of the runs whose spec names it. The policy's own
// failure is a wrong answer, without a call. A completed one has its draft and its final answer judged by a
// five-shot prompt at temperature 0, in one call when they are the same text (paper, 3.2 and table 4). What
// cannot be read twice is wrong, and the verdict says whose fault that was: it is FAILED with a class. A failure
// of the infrastructure is never a verdict: the delivery is tried again and in the end is a dead letter, and the
// report counts what it lacks.
//
// # Gold
//
// Gold answers are read from the blob store, by this package alone, and leave the process in one direction: to
// the judge's endpoint. A judge's explanation tends to quote them; they are cut out of it, and of the text of
// errors, before either goes to the bus.
//
// # Reports and decisions
//
// The task `evaluate` streams the outcomes and verdicts of one generation and target, keeps counters (memory
// grows with questions, not with trajectories), publishes the report, and for target own the decision of
// package gate against the incumbent's latest report.
//
// # Order of effects, and crashes between them
//
//  1. the report, 2. the decision, 3. the promotion (KV models, key promoted.<run>), 4. the acknowledgement.
//
// The decision is the fact; the promotion is derived from it, field by field, its time included. A redelivered
// task takes a report or decision that is recorded as it is, and makes only what is missing, so the work of a
// crash between any two effects is finished by the next delivery with the very same content. The promotion is a
// compare-and-set that only moves forward: a record of the same or a later generation is left alone, hence a
// late redelivery cannot take a promotion back.
package evaluate
