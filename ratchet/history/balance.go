package history

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// check says in what an entry does not add up. While its phase goes on, what no task names is still to be
// published; once it is left, nothing may be open.
func (l *ledger) check(g group, e *Entry) {
	wrong := func(format string, args ...any) { e.Wrong = append(e.Wrong, fmt.Sprintf(format, args...)) }
	accounted := e.Completed + total(e.Failed) + e.Dead
	e.Unpublished = max(0, e.Expected-accounted-e.InFlight)
	e.Left = l.isLeft(g)
	if accounted > e.Expected {
		wrong("%d trajectories, but only %d were expected", accounted, e.Expected)
	}
	if !e.Left {
		return
	}
	if missing := e.Expected - accounted; missing > 0 {
		wrong("%d of %d trajectories are missing though the phase was left", missing, e.Expected)
	}
	if g.purpose == pb.Purpose_PURPOSE_EVAL {
		l.checkVerdicts(e, wrong)
	} else if l.left[stage{g.generation, pb.Phase_PHASE_RANK}] {
		if got := required(e, l.ranked[g.generation]); got < l.ranked[g.generation] {
			wrong("%d of %d feedback are missing though the phase was left", l.ranked[g.generation]-got, l.ranked[g.generation])
		}
	}
}

// checkVerdicts wants one judge at least to have judged everything.
func (l *ledger) checkVerdicts(e *Entry, wrong func(string, ...any)) {
	want, best := e.Completed+total(e.Failed), int64(0)
	for judge, n := range e.Verdicts {
		best = max(best, n+e.Mute["judge-"+judge])
	}
	for kind, n := range e.Mute {
		if strings.HasPrefix(kind, "judge-") {
			best = max(best, n+e.Verdicts[strings.TrimPrefix(kind, "judge-")])
		}
	}
	if best < want {
		wrong("%d of %d verdicts are missing though the phase was left", want-best, want)
	}
}

func (l *ledger) isLeft(g group) bool {
	if g.purpose == pb.Purpose_PURPOSE_GROW {
		return l.left[stage{g.generation, pb.Phase_PHASE_GROW}]
	}
	return l.left[stage{g.generation, pb.Phase_PHASE_BASELINE}] || l.left[stage{g.generation, pb.Phase_PHASE_EVALUATE}]
}

func total(counts map[string]int64) int64 {
	var sum int64
	for n := range maps.Values(counts) {
		sum += n
	}
	return sum
}

// required counts, of the feedback that there is or that is mute, what can be that of the rankers whose feedback a phase
// waited for: as many rankers as make up the expected number, those that have said most. Another one's, a person's for
// instance, stands for none of theirs.
func required(e *Entry, expected int64) (got int64) {
	if e.Completed == 0 {
		return 0
	}
	said := maps.Clone(e.Feedback)
	for kind, n := range e.Mute {
		if ranker, ok := strings.CutPrefix(kind, "rank-"); ok {
			said[ranker] += n
		}
	}
	counts := slices.Sorted(maps.Values(said))
	slices.Reverse(counts)
	rankers := (expected + e.Completed - 1) / e.Completed
	for _, n := range counts[:min(int(rankers), len(counts))] {
		got += n
	}
	return got
}
