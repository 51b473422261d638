package history

import (
	"maps"
	"slices"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/statistics"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Ranker is what a ranker's feedback shows of the ranker.
type Ranker struct {
	Name  string `json:"name"`
	Model string `json:"model,omitempty"`
	// Ranked counts the steps that it put in order, Single those with one output to choose from, Fallback those where it
	// could not be read, so that the default order stands.
	Ranked   int64 `json:"ranked"`
	Single   int64 `json:"single"`
	Fallback int64 `json:"fallback"`
	// Slots says how often the best output was the one shown first, second and so on; empty for a ranker that is shown
	// nothing.
	Slots []Slot `json:"slots,omitempty"`
	// Even is the chance of slots as uneven where the ranker does not look at the order; absent without Slots.
	Even *float64 `json:"even,omitempty"`
	// Swap is absent where the run does not ask in reversed order.
	Swap *Swap `json:"swap,omitempty"`
	// Unanimous is the share of steps of which all votes name the same best output; absent without votes.
	Unanimous *statistics.Estimate `json:"unanimous,omitempty"`
}

// Slot is a place in the order in which outputs are shown.
type Slot struct {
	Picked int64 `json:"picked"`
	// Fair is how often it would be picked if the place made no difference: outputs are shuffled.
	Fair float64 `json:"fair"`
}

// Swap is the test that asks again in reversed order.
type Swap struct {
	Asked int64 `json:"asked"`
	// Unreadable answers decide nothing.
	Unreadable int64 `json:"unreadable"`
	// Same is the share of steps whose best output stayed the best.
	Same *statistics.Estimate `json:"same,omitempty"`
}

// RankerPair is how far two rankers of the same steps agree.
type RankerPair struct {
	A     string `json:"a"`
	B     string `json:"b"`
	Steps int64  `json:"steps"`
	// Tau is Kendall's, the mean over steps; Same the share of steps with the same best output.
	Tau  *statistics.Estimate `json:"tau,omitempty"`
	Same *statistics.Estimate `json:"same,omitempty"`
}

// rankerTally is a Ranker in the making.
type rankerTally struct {
	Ranker

	picks              map[int][]float64 // by the number of slots
	swapped, unanimous clusters
}

type rankers struct {
	known map[string]*rankerTally
	// compared is feedback by trajectory and ranker.
	compared map[string]map[string]*pb.Feedback
}

// mostCompared trajectories are kept to compare rankers: their memory, and more would tell no more.
const mostCompared = 20_000

func (r *rankers) note(f *pb.Feedback) {
	t := r.known[f.GetRanker()]
	if t == nil {
		t = &rankerTally{Ranker: Ranker{Name: f.GetRanker()}, picks: map[int][]float64{}, swapped: clusters{}, unanimous: clusters{}}
		r.known[f.GetRanker()] = t
	}
	if f.GetModel() != "" {
		t.Model = f.GetModel()
	}
	for _, s := range f.GetSteps() {
		t.note(f.GetIdentity().GetQuestion(), s)
		s.Explanation, s.Votes, s.Swapped = "", nil, nil // what is kept to compare is small
	}
	id := bus.IDTokens(f.GetIdentity())
	if r.compared[id] == nil && len(r.compared) < mostCompared {
		r.compared[id] = map[string]*pb.Feedback{}
	}
	if r.compared[id] != nil {
		r.compared[id][f.GetRanker()] = f
	}
}

func (t *rankerTally) note(question string, s *pb.StepRanking) {
	switch s.GetRankedBy() {
	case pb.RankedBy_RANKED_BY_SINGLE:
		t.Single++
	case pb.RankedBy_RANKED_BY_FALLBACK:
		t.Fallback++
	case pb.RankedBy_RANKED_BY_RANKER:
		t.Ranked++
		t.noteRanked(question, s)
	}
}

func (t *rankerTally) noteRanked(question string, s *pb.StepRanking) {
	ballots := s.GetVotes()
	if len(ballots) == 0 {
		ballots = []*pb.Ballot{{Slots: s.GetSlots(), Ranking: s.GetRanking()}}
	} else {
		t.noteVotes(question, ballots)
	}
	for _, b := range ballots {
		t.notePick(b)
	}
	if swapped := s.GetSwapped(); swapped != nil && t.Swap == nil {
		t.Swap = &Swap{}
	}
	switch swapped := s.GetSwapped(); {
	case swapped == nil:
	case len(swapped.GetRanking()) == 0 || len(ballots[0].GetRanking()) == 0:
		t.Swap.Asked++
		t.Swap.Unreadable++
	default:
		t.Swap.Asked++
		t.swapped.add(question, one(swapped.GetRanking()[0] == ballots[0].GetRanking()[0]), 1)
	}
}

// notePick counts where the best output was shown.
func (t *rankerTally) notePick(b *pb.Ballot) {
	if len(b.GetRanking()) == 0 {
		return
	}
	slots := len(b.GetSlots())
	if slot := slices.Index(b.GetSlots(), b.GetRanking()[0]); slot >= 0 {
		if t.picks[slots] == nil {
			t.picks[slots] = make([]float64, slots)
		}
		t.picks[slots][slot]++
	}
}

func (t *rankerTally) noteVotes(question string, votes []*pb.Ballot) {
	best := map[int32]bool{}
	for _, v := range votes {
		if len(v.GetRanking()) > 0 {
			best[v.GetRanking()[0]] = true
		}
	}
	t.unanimous.add(question, one(len(best) == 1), 1)
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func (r *rankers) all() []Ranker {
	all := []Ranker{}
	for _, name := range slices.Sorted(maps.Keys(r.known)) {
		all = append(all, r.known[name].close())
	}
	return all
}

func (t *rankerTally) close() Ranker {
	var picks [][]float64
	for _, n := range slices.Sorted(maps.Keys(t.picks)) {
		picks = append(picks, t.picks[n])
	}
	for _, counts := range picks {
		all := 0.0
		for i, n := range counts {
			if i == len(t.Slots) {
				t.Slots = append(t.Slots, Slot{})
			}
			t.Slots[i].Picked += int64(n)
			all += n
		}
		for i := range counts {
			t.Slots[i].Fair += all / float64(len(counts))
		}
	}
	if p, defined := statistics.Even(picks); defined {
		t.Even = &p
	}
	if t.Swap != nil {
		t.Swap.Same = t.swapped.estimate(statistics.Ratio)
	}
	t.Unanimous = t.unanimous.estimate(statistics.Ratio)
	return t.Ranker
}

// pairs compares any two rankers on the steps that both have ranked.
func (r *rankers) pairs() []RankerPair {
	names, all := slices.Sorted(maps.Keys(r.known)), []RankerPair{}
	for i, a := range names {
		for _, b := range names[i+1:] {
			c := clusters{}
			for _, id := range slices.Sorted(maps.Keys(r.compared)) {
				compare(c, r.compared[id][a], r.compared[id][b])
			}
			if len(c) > 0 {
				all = append(all, RankerPair{
					A: a, B: b, Steps: int64(c.total(1)), Tau: c.estimate(statistics.Ratio),
					Same: c.estimate(func(totals []float64) float64 { return totals[2] / totals[1] }),
				})
			}
		}
	}
	return all
}

// compare adds, for each step that both have ranked, Kendall's tau, 1, and whether the best is the same.
func compare(c clusters, a, b *pb.Feedback) {
	for _, x := range a.GetSteps() {
		y := Ranking(b, x.GetStep())
		if x.GetRankedBy() != pb.RankedBy_RANKED_BY_RANKER || y.GetRankedBy() != pb.RankedBy_RANKED_BY_RANKER {
			continue
		}
		if tau, defined := statistics.Tau(x.GetRanking(), y.GetRanking()); defined {
			c.add(a.GetIdentity().GetQuestion(), tau, 1, one(x.GetRanking()[0] == y.GetRanking()[0]))
		}
	}
}
