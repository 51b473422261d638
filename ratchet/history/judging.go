package history

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/statistics"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Judging is how far a run's rankers and judges can be trusted, from what they have said alone.
type Judging struct {
	Rankers []Ranker     `json:"rankers"`
	Pairs   []RankerPair `json:"pairs"`
	// Kappas are the judge's agreement with the rule, answer by answer, for each policy.
	Kappas []Kappa `json:"kappas"`
	// Unanimous is the share of answers on which all votes of the judge agree; absent without votes.
	Unanimous *statistics.Estimate `json:"unanimous,omitempty"`
	// Policies correlates what the judge gives to policies with what exact match, F1 and contained gold give.
	Policies []Correlation `json:"policies"`
}

// Kappa is Cohen's between the judge and the rule (exact match, or the gold answer is contained) on the answers of one
// policy that the judge has read; the interval is clustered by question.
type Kappa struct {
	Generation int                  `json:"generation"`
	Target     string               `json:"target"`
	Kappa      *statistics.Estimate `json:"kappa"`
}

// Kappa is that of a policy, nil if there is none.
func (j Judging) Kappa(generation int, target string) *statistics.Estimate {
	for _, k := range j.Kappas {
		if k.Generation == generation && k.Target == target {
			return k.Kappa
		}
	}
	return nil
}

// ReadJudging reads a run's FEEDBACK and VERDICTS. judge is the one whose verdicts count.
func ReadJudging(ctx context.Context, conn *bus.Conn, results Results, judge string) (Judging, error) {
	r := rankers{known: map[string]*rankerTally{}, compared: map[string]map[string]*pb.Feedback{}}
	err := each(ctx, conn.Read(ctx, bus.Feedback, bus.RunFilter(bus.Feedback, results.Run)), func(ctx context.Context, m *bus.Message) error {
		ev, err := m.Event(ctx)
		if err == nil {
			r.note(ev.GetFeedback())
		}
		return err
	})
	if err != nil {
		return Judging{}, fmt.Errorf("read the feedback of %s: %w", results.Run, err)
	}
	j := Judging{Rankers: r.all(), Pairs: r.pairs(), Policies: Correlate(results)}
	cells, unanimous := map[group]clusters{}, clusters{}
	err = EachVerdict(ctx, conn, results.Run, judge, func(v *pb.Verdict) {
		if !heard(v) {
			return
		}
		g := groupOf(v.GetIdentity())
		if cells[g] == nil {
			cells[g] = clusters{}
		}
		cells[g].agree(v.GetIdentity().GetQuestion(), v.GetAnswerRight(), byRule(v))
		if votes := v.GetAnswerVotes(); votes != nil {
			unanimous.add(v.GetIdentity().GetQuestion(), one(votes.GetRight() == 0 || votes.GetWrong() == 0), 1)
		}
	})
	j.Unanimous = unanimous.estimate(statistics.Ratio)
	for g, c := range cells {
		j.Kappas = append(j.Kappas, Kappa{Generation: g.generation, Target: g.target, Kappa: c.estimate(statistics.Kappa)})
	}
	slices.SortFunc(j.Kappas, func(a, b Kappa) int {
		return cmp.Or(cmp.Compare(a.Generation, b.Generation), compareTargets(a.Target, b.Target))
	})
	return j, err
}

// byRule is what the report's rule says of an answer.
func byRule(v *pb.Verdict) bool { return v.GetExactMatch() || v.GetContains() }

// EachVerdict hands on a judge's verdicts of a run.
func EachVerdict(ctx context.Context, conn *bus.Conn, run, judge string, note func(*pb.Verdict)) error {
	err := each(ctx, conn.Read(ctx, bus.Verdicts, bus.RunFilter(bus.Verdicts, run)), func(ctx context.Context, m *bus.Message) error {
		s, err := m.Parse()
		if err != nil || s.Kind != judge {
			return err
		}
		ev, err := m.Event(ctx)
		if err == nil {
			note(ev.GetVerdict())
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read the verdicts of %s: %w", run, err)
	}
	return nil
}

// clusters are totals by question.
type clusters map[string][]float64

func (c clusters) add(question string, values ...float64) {
	if c[question] == nil {
		c[question] = make([]float64, len(values))
	}
	for i, x := range values {
		c[question][i] += x
	}
}

// agree counts two opinions on one thing.
func (c clusters) agree(question string, first, second bool) {
	var cells statistics.Cells
	cells.Add(first, second)
	c.add(question, cells[:]...)
}

func (c clusters) estimate(of statistics.Statistic) *statistics.Estimate {
	var all [][]float64
	for _, question := range slices.Sorted(maps.Keys(c)) {
		all = append(all, c[question])
	}
	return statistics.Estimated(all, of)
}

// total is one of the totals over all questions.
func (c clusters) total(i int) (sum float64) {
	for _, values := range c {
		sum += values[i]
	}
	return sum
}

// Correlation is the paper's check of a judge: over policies, its accuracy with that of another measure.
type Correlation struct {
	// With is exact_match, f1, contains or people.
	With     string `json:"with"`
	Policies int    `json:"policies"`
	// Pearson and Spearman are absent where undefined: fewer than three policies, or no two differ.
	Pearson  *Coefficient `json:"pearson,omitempty"`
	Spearman *Coefficient `json:"spearman,omitempty"`
}

// Coefficient is a correlation, and the chance of one as strong where there is none.
type Coefficient struct {
	R float64 `json:"r"`
	P float64 `json:"p"`
}

// correlated is the correlation of two measures over policies.
func correlated(with string, x, y []float64) Correlation {
	c := Correlation{With: with, Policies: len(x)}
	coefficient := func(r float64, defined bool) *Coefficient {
		p, enough := statistics.Significance(r, len(x))
		if !defined || !enough {
			return nil
		}
		return &Coefficient{r, p}
	}
	c.Pearson, c.Spearman = coefficient(statistics.Pearson(x, y)), coefficient(statistics.Spearman(x, y))
	return c
}

// Correlate correlates over the policies of runs: every generation and target, at its last look.
func Correlate(runs ...Results) []Correlation {
	var reports []*pb.Report
	for _, r := range runs {
		for _, g := range r.Generations {
			for _, target := range r.Targets() {
				if report := g.Report(target); report != nil {
					reports = append(reports, report)
				}
			}
		}
	}
	means := func(of func(*pb.Report) *pb.Score) (all []float64) {
		for _, r := range reports {
			all = append(all, of(r).GetMean())
		}
		return all
	}
	judged := means((*pb.Report).GetAnswer)
	return []Correlation{
		correlated("exact_match", judged, means((*pb.Report).GetExactMatch)),
		correlated("f1", judged, means((*pb.Report).GetF1)),
		correlated("contains", judged, means((*pb.Report).GetContains)),
	}
}
