package history

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/statistics"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Calibration is a judge held against measures that are not its own.
type Calibration struct {
	Runs []string `json:"runs"`
	// Answers are those that the judge has read; Failed trajectories it never saw, Unreadable are its own failures.
	Answers    int64   `json:"answers"`
	Failed     int64   `json:"failed"`
	Unreadable int64   `json:"unreadable"`
	Tables     []Table `json:"tables"`
	// F1Right and F1Wrong are the mean F1 of the answers that the judge calls right, and of the others.
	F1Right *statistics.Estimate `json:"f1_right,omitempty"`
	F1Wrong *statistics.Estimate `json:"f1_wrong,omitempty"`
	// People is absent without labels.
	People   *People       `json:"people,omitempty"`
	Policies []Correlation `json:"policies"`
}

// Table is the judge's True and False beside another's; intervals are clustered by question.
type Table struct {
	With      string `json:"with"`
	Questions int    `json:"questions"`
	// BothTrue, JudgeOnly, OtherOnly and BothFalse count answers.
	BothTrue  int64                `json:"both_true"`
	JudgeOnly int64                `json:"judge_only"`
	OtherOnly int64                `json:"other_only"`
	BothFalse int64                `json:"both_false"`
	Accuracy  *statistics.Estimate `json:"accuracy"`
	Kappa     *statistics.Estimate `json:"kappa,omitempty"`
}

// People is what people's labels are like, without the judge.
type People struct {
	Labels int64 `json:"labels"`
	// Answers have a label at least; of Tied ones half of the people say right, and half wrong.
	Answers int64 `json:"answers"`
	Tied    int64 `json:"tied"`
	// Accuracy and Kappa are over any two people who have labelled the same answer; absent if there are no two.
	Accuracy *statistics.Estimate `json:"accuracy,omitempty"`
	Kappa    *statistics.Estimate `json:"kappa,omitempty"`
}

// Label is one person's word on one answer.
type Label struct {
	Who   string
	Right bool
}

// Calibrator holds verdicts against exact match, F1, the contained gold answer, and people's labels.
type Calibrator struct {
	// F1 from which an answer counts as right.
	F1 float64
	// Labels are by trajectory.
	Labels map[string][]Label

	out      Calibration
	tables   map[string]clusters
	f1       map[bool]clusters
	policies map[string]*[3]float64 // labelled answers, of which the judge and people call right
	results  []Results
}

// Read adds a run's verdicts by the judge that it names, those that the query selects.
func (c *Calibrator) Read(ctx context.Context, conn *bus.Conn, results Results, judge string, q Query) error {
	c.out.Runs, c.results = append(c.out.Runs, results.Run), append(c.results, results)
	return EachVerdict(ctx, conn, results.Run, judge, func(v *pb.Verdict) {
		id := v.GetIdentity()
		if (q.Generation < 0 || int(id.GetGeneration()) == q.Generation) && (q.Target == "" || id.GetTarget() == q.Target) {
			c.add(v)
		}
	})
}

// heard says whether the judge has read the answer and could be read.
func heard(v *pb.Verdict) bool { return v.GetReason() == "" }

func (c *Calibrator) add(v *pb.Verdict) {
	switch {
	case v.GetOutcome() == pb.Outcome_OUTCOME_FAILED:
		c.out.Unreadable++
		return
	case !heard(v):
		c.out.Failed++
		return
	}
	c.out.Answers++
	if c.tables == nil {
		c.tables, c.f1, c.policies = map[string]clusters{}, map[bool]clusters{true: {}, false: {}}, map[string]*[3]float64{}
	}
	id, right := v.GetIdentity(), v.GetAnswerRight()
	c.agree("exact match", id, right, v.GetExactMatch())
	c.agree("F1", id, right, v.GetF1() >= c.F1)
	c.agree("contains", id, right, v.GetContains())
	c.f1[right].add(id.GetQuestion(), v.GetF1(), 1)
	if people, decided := majority(c.Labels[bus.IDTokens(id)]); decided {
		c.agree("people", id, right, people)
		c.policy(id, right, people)
	}
}

func (c *Calibrator) agree(with string, id *pb.Identity, judge, other bool) {
	if c.tables[with] == nil {
		c.tables[with] = clusters{}
	}
	c.tables[with].agree(id.GetQuestion(), judge, other)
}

// policy counts what judge and people give to a policy, on the same answers.
func (c *Calibrator) policy(id *pb.Identity, judge, people bool) {
	name := fmt.Sprintf("%s %d %s", id.GetRun(), id.GetGeneration(), id.GetTarget())
	if c.policies[name] == nil {
		c.policies[name] = &[3]float64{}
	}
	for i, x := range []float64{1, one(judge), one(people)} {
		c.policies[name][i] += x
	}
}

// majority is what most people say; where as many say the one as the other, or nobody anything, it is undecided.
func majority(labels []Label) (right, decided bool) {
	n := 0
	for _, l := range labels {
		if l.Right {
			n++
		}
	}
	return 2*n > len(labels), 2*n != len(labels)
}

// Close computes what was added up.
func (c *Calibrator) Close() Calibration {
	for _, with := range []string{"exact match", "F1", "contains", "people"} {
		if all := c.tables[with]; len(all) > 0 {
			c.out.Tables = append(c.out.Tables, Table{
				With: with, Questions: len(all), BothTrue: int64(all.total(statistics.BothYes)), JudgeOnly: int64(all.total(statistics.OnlyFirst)),
				OtherOnly: int64(all.total(statistics.OnlySecond)), BothFalse: int64(all.total(statistics.BothNo)),
				Accuracy: all.estimate(statistics.Accuracy), Kappa: all.estimate(statistics.Kappa),
			})
		}
	}
	c.out.F1Right, c.out.F1Wrong = c.f1[true].estimate(statistics.Ratio), c.f1[false].estimate(statistics.Ratio)
	c.out.Policies = Correlate(c.results...)
	if len(c.Labels) > 0 {
		c.out.People = c.people()
		var judged, people []float64
		for _, name := range slices.Sorted(maps.Keys(c.policies)) {
			p := c.policies[name]
			judged, people = append(judged, p[1]/p[0]), append(people, p[2]/p[0])
		}
		c.out.Policies = append(c.out.Policies, correlated("people", judged, people))
	}
	return c.out
}

// people compares any two labels of one answer.
func (c *Calibrator) people() *People {
	p, pairs := &People{Answers: int64(len(c.Labels))}, clusters{}
	for _, tokens := range slices.Sorted(maps.Keys(c.Labels)) {
		labels := c.Labels[tokens]
		p.Labels += int64(len(labels))
		if _, decided := majority(labels); !decided {
			p.Tied++
		}
		id, err := bus.ParseID(tokens)
		if err != nil { // whoever read the labels has read it too
			continue
		}
		for i := range labels {
			for _, other := range labels[i+1:] { // each way, so that it matters not who comes first
				pairs.agree(id.GetQuestion(), labels[i].Right, other.Right)
				pairs.agree(id.GetQuestion(), other.Right, labels[i].Right)
			}
		}
	}
	p.Accuracy, p.Kappa = pairs.estimate(statistics.Accuracy), pairs.estimate(statistics.Kappa)
	return p
}
