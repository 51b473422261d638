// Package rollout plays trajectories.
//
// # Promise
//
// A trajectory is published once, whoever plays it and however often its shard is delivered. A completed LLM call is not
// paid for twice: a step is in the journal before the next one begins, and a redelivered shard goes on from there. Of two
// workers on one trajectory, the one that lost its lease fails its next append and drops it.
//
// # Failure
//
// The policy's own failures (unparsable, context overflow, budgets, a deadline that passed while the endpoint answered)
// finish a trajectory as FAILED. The infrastructure's never do: while the endpoint is down the shard is put off without
// counting an attempt; other errors are tried again and end as a dead letter with their class. A shard that was delivered
// splitAt times without an end may hold a question that kills its worker: it is split into suspects of one question each.
//
// # Suspects
//
// A suspect's attempts are in its journal: a worker writes that it begins, and that it lets go when it ends alive but
// unfinished. What begins and neither lets go nor finishes a step was a death. A suspect with a death is played alone in
// its worker, all slots taken: otherwise its neighbours, delivered again together with it each time, would look just as
// guilty. After deathsOfOne deaths in a row it is a dead letter that names the workers and the step they died in.
//
// Memory: one state and its candidates for each trajectory in flight, at most rollout.slots.
package rollout
