// Command evaluator judges answers, reports on policies and decides which one is promoted.
//
// It reads, from the bus:
//
//	TRAJECTORIES  ratchet.v1.trajectory.*.*.*.eval.>   what to judge, through the consumers judge-<judge>
//	TASKS         ratchet.v1.task.evaluate.>           what to report on and decide
//	VERDICTS      ratchet.v1.verdict.<judge>.>         its own verdicts, when it makes a report
//	EVALS         ratchet.v1.eval.>                    the incumbent's report
//
// and from the blob store the gold answers of evaluation sets, which no other role reads. It writes
//
//	VERDICTS      ratchet.v1.verdict.<judge>.<run>.<generation>.<target>.eval.<question>.<sample>
//	EVALS         ratchet.v1.eval.<run>.<generation>.<target>.report-<look>, and of target own decision-<look>
//	models (KV)   promoted.<run>, which no other role may write
//
// Run as many as the judge's endpoint can serve: verdicts are written once, and reports and decisions are the
// same whoever makes them. Scale by the lag of judge-<judge>. Its settings are `evaluator` (judges, slots,
// drain), `llm`, `bus` and `blob`; which model judges, by which rule and level, is declared in a run's spec
// (`judge`, `evaluation`, `gate`).
package main

import (
	"github.com/ratchet-rl/ratchet/evaluator/evaluate"
	"github.com/ratchet-rl/ratchet/internal/app"
)

func main() { app.Main("evaluator", evaluate.Run) }
