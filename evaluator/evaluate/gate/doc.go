// Package gate decides whether a challenger is better than the incumbent. It is arithmetic: no bus, no clock,
// no state. The same numbers and the same seed give the same decision, on any machine.
//
// # The test
//
// Questions are the clusters. For each question q, d(q) is the challenger's share of right answers less the
// incumbent's; repetitions of a question cut its own noise and nothing else, so the bootstrap resamples
// questions, both arms together (paired). The interval is the percentile interval at 1-alpha, widened for few
// questions by Student's t (Hesterberg, What Teachers Should Know About the Bootstrap, 2015, section 5.2).
//
//   - lower bound above the margin: promote
//   - upper bound not above the margin: reject (it is clear that it is not better by the margin)
//   - else: continue while looks are planned, and undecided after the last
//
// # What the level means
//
// The level is two-sided: at level 0.05 with one look the interval is an ordinary 95 % interval, of which each
// end misses 2.5 %. Only the lower end can promote, so a challenger that is no better is promoted with a chance
// of at most level/2; that is the stricter reading of "error at most level". The interval in a Finding is the
// one that decided: at 1-alpha of its look.
//
// Two rules keep this honest where a bootstrap is not: a set on which fewer than 1+log2(1/alpha) questions
// differ cannot promote (swapping the arms' names at random would give the same picture with a chance above
// alpha), and a number of resamples too small to have an alpha/2 quantile gives the interval [-1, 1].
//
// # Several looks
//
// Looking often and stopping when it suits inflates the error. The planned looks therefore share the level:
// look k, at the fraction t(k) of the repetitions, spends
//
//	alpha(k) = level * (t(k)^3 - t(k-1)^3)
//
// little at first, as O'Brien and Fleming do. The shares sum to level, so the union bound holds the error
// whatever the correlation of the looks, which is high here: they share their questions. The price is power:
// with looks at 2, 5 and 10 repetitions the last spends 0.875 of the level.
//
// # Measured
//
// TestErrorAndPower simulates the paper's evaluation, 125 questions of very different difficulty and ten
// repetitions, at level 0.05. A challenger that is no better is promoted in 1.8 to 2.4 % of 4000 evaluations,
// with one look or three. One that is 5 points better is promoted in 60 % of 2000, one that is 10 points better
// in 99 %, with three looks after 5.7 repetitions on average.
//
// # What it does not promise
//
// Every generation is a test of its own; the level is not shared among generations. And an incumbent that was
// promoted by luck is measured too high, which makes the next promotion harder, never easier.
//
// The paper promotes whenever the mean is higher (3.4: no test, no margin); Rule "paper" does that at the last
// look. No rule promotes on incomplete evidence: a missing verdict or another set of questions is undecided.
package gate
