// Package rank is the rank worker: a finished trajectory in, a ranking of the candidates of each of its steps out.
//
// # Promise
//
// Every completed trajectory of a run that names the ranker gets one Feedback, written once. A failed one needs none.
// Rankings are off-policy: the trajectory, and with it every later prompt, stays as it was (arXiv 2312.10003, 2.3). An
// output with an empty element never stands before one without, whatever the judge says. The outputs of a step are shown
// in a shuffled order, against position bias; it derives from the identity, so it is the same whoever ranks, and it is
// recorded. With judging.votes the judge is asked several times, each time in another order, and the mean of the ranks
// counts; with judging.swap a sample of steps is asked once more in reversed order, which changes nothing and is recorded:
// position bias can be measured from the feedback alone.
//
// # Failure
//
// A judge that cannot be read, twice, or whose context is too small leaves the default order; that is recorded and
// counted. An endpoint's failure never becomes a ranking: while the endpoint is down its trajectory waits, with the
// steps that are ranked already, and no attempt is counted; any other failure is tried again by the bus, and in the end
// a dead letter of kind rank-<ranker>.
//
// A crash repeats at most the judge's calls for the trajectories in flight. Rankings have no journal: a trajectory's are
// few and short, and unlike a sample they can be had again.
package rank
