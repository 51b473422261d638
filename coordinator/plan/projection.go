package plan

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// projection is what the streams say about one run. Its memory is bounded by the number of generations, targets
// and failure classes; never by questions. A dead letter that has no result costs about 40 bytes for each
// trajectory it gave up.
type projection struct {
	bus *bus.Conn
	run string
	// changed has room for one token: something was counted since the last look.
	changed chan struct{}

	mu          sync.Mutex // guards all below; every field only grows but deaths
	counts      map[group]*counts
	usage       runstate.Usage
	mixtures    map[int]*pb.Mixture
	checkpoints map[trained]*pb.Checkpoint
	deployments map[trained]*pb.Deployment
	reports     map[looked]*pb.Report
	decisions   map[looked]*pb.Decision
	// deaths holds the trajectories of dead letters, by who gave them up, until a replay succeeds.
	deaths map[plot]map[grave]struct{}
	// fatal is the dead letters of tasks that a phase cannot do without: build, train, deploy, evaluate.
	fatal []fatality
}

// group is what is counted together.
type group struct {
	generation int
	target     string
	purpose    pb.Purpose
}

func groupOf(id *pb.Identity) group {
	return group{int(id.GetGeneration()), id.GetTarget(), id.GetPurpose()}
}

type counts struct {
	completed int64
	failed    map[string]int64
	feedback  map[string]int64
	verdicts  map[string]int64
}

type trained struct {
	generation int
	target     string
}

type looked struct {
	trained
	look int
}

func newProjection(conn *bus.Conn, run string) *projection {
	return &projection{
		bus: conn, run: run, changed: make(chan struct{}, 1),
		counts: map[group]*counts{}, mixtures: map[int]*pb.Mixture{},
		checkpoints: map[trained]*pb.Checkpoint{}, deployments: map[trained]*pb.Deployment{},
		reports: map[looked]*pb.Report{}, decisions: map[looked]*pb.Decision{}, deaths: map[plot]map[grave]struct{}{},
	}
}

// follow counts until ctx ends.
func (p *projection) follow(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	follow := func(stream string, headersOnly bool, count func(context.Context, *bus.Message) error) {
		o := bus.FollowOptions{Filters: []string{bus.RunFilter(stream, p.run)}, HeadersOnly: headersOnly}
		group.Go(func() error {
			err := p.bus.Follow(ctx, stream, o, func(m *bus.Message) error { return p.take(ctx, m, count) })
			if err != nil && ctx.Err() == nil {
				return fmt.Errorf("follow %s of run %s: %w", stream, p.run, err)
			}
			return nil
		})
	}
	follow(bus.Trajectories, true, p.countTrajectory)
	follow(bus.Feedback, true, p.countFeedback)
	follow(bus.Verdicts, true, p.countVerdict)
	follow(bus.Training, false, p.noteTraining)
	follow(bus.Evals, false, p.noteEval)
	follow(bus.Dead, false, p.noteDeath)
	return group.Wait()
}

func (p *projection) take(ctx context.Context, m *bus.Message, count func(context.Context, *bus.Message) error) error {
	if err := count(ctx, m); errors.Is(err, bus.ErrRejected) {
		return nil // it is as if it were not there
	} else if err != nil {
		return fmt.Errorf("message %d on %s: %w", m.Seq, m.Subject, err)
	}
	select {
	case p.changed <- struct{}{}:
	default:
	}
	return nil
}

func (p *projection) countTrajectory(_ context.Context, m *bus.Message) error {
	return p.count(m, func(c *counts, s bus.Subject) {
		if class, failed := strings.CutPrefix(m.Get(bus.HeaderOutcome), "failed/"); failed {
			c.failed[knownClass(class)]++
		} else {
			c.completed++
		}
		p.exhume(kindRollout, s.Identity)
	})
}

// knownClass is the class, if the schema has it: a header may say anything.
func knownClass(class string) string {
	if _, ok := pb.FailureClass_value["FAILURE_CLASS_"+strings.ToUpper(class)]; ok {
		return class
	}
	return bus.ClassName(pb.FailureClass_FAILURE_CLASS_OTHER)
}

func (p *projection) countFeedback(_ context.Context, m *bus.Message) error {
	return p.count(m, func(c *counts, s bus.Subject) {
		c.feedback[s.Kind]++
		p.exhume("rank-"+s.Kind, s.Identity)
	})
}

func (p *projection) countVerdict(_ context.Context, m *bus.Message) error {
	return p.count(m, func(c *counts, s bus.Subject) {
		c.verdicts[s.Kind]++
		p.exhume("judge-"+s.Kind, s.Identity)
	})
}

// count adds a message to the counts of its group, and its usage to the run's.
func (p *projection) count(m *bus.Message, add func(*counts, bus.Subject)) error {
	subject, err := m.Parse()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	add(p.of(groupOf(subject.Identity)), subject)
	p.usage.Calls += number(m, bus.HeaderCalls)
	p.usage.PromptTokens += number(m, bus.HeaderPromptTokens)
	p.usage.CompletionTokens += number(m, bus.HeaderCompletionTokens)
	p.usage.CostNano += number(m, bus.HeaderCost)
	return nil
}

// of is the counts of a group; p.mu is held.
func (p *projection) of(g group) *counts {
	c, ok := p.counts[g]
	if !ok {
		c = &counts{failed: map[string]int64{}, feedback: map[string]int64{}, verdicts: map[string]int64{}}
		p.counts[g] = c
	}
	return c
}

func number(m *bus.Message, header string) int64 {
	n, _ := strconv.ParseInt(m.Get(header), 10, 64) // absent counts nothing
	return n
}

func (p *projection) noteTraining(ctx context.Context, m *bus.Message) error {
	event, err := m.Event(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	generation := int(event.GetGeneration())
	switch body := event.GetBody().(type) {
	case *pb.Event_Mixture:
		return keep(p.mixtures, generation, body.Mixture, m)
	case *pb.Event_Checkpoint:
		return keep(p.checkpoints, trained{generation, body.Checkpoint.GetTarget()}, body.Checkpoint, m)
	case *pb.Event_Deployment:
		return keep(p.deployments, trained{generation, body.Deployment.GetTarget()}, body.Deployment, m)
	}
	return nil
}

// keep notes what a message says, unless another has said it before: the first stands.
func keep[K comparable, M proto.Message](seen map[K]M, key K, said M, m *bus.Message) error {
	before, ok := seen[key]
	switch {
	case !ok:
		seen[key] = said
	case !proto.Equal(before, said):
		return m.Replayed()
	}
	return nil
}

func (p *projection) noteEval(ctx context.Context, m *bus.Message) error {
	event, err := m.Event(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	generation := int(event.GetGeneration())
	switch body := event.GetBody().(type) {
	case *pb.Event_Report:
		r := body.Report
		r.ByQuestion = nil // as many as there are questions, and nothing to conduct by
		return keep(p.reports, looked{trained{generation, r.GetTarget()}, int(r.GetLook())}, r, m)
	case *pb.Event_Decision:
		d := body.Decision
		return keep(p.decisions, looked{trained{generation, d.GetTarget()}, int(d.GetLook())}, d, m)
	}
	return nil
}

// tally is the counts of a group at one moment.
type tally struct {
	completed, failed, dead int64
	classes                 map[string]int64
	feedback, verdicts      map[string]int64
	// mute counts trajectories whose ranking or verdict was given up, by worker kind.
	mute map[string]int64
}

// finished counts the trajectories that nobody works on any more.
func (t tally) finished() int64 { return t.completed + t.failed + t.dead }

func (p *projection) tally(g group) tally {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.of(g)
	t := tally{
		completed: c.completed, classes: maps.Clone(c.failed), feedback: maps.Clone(c.feedback),
		verdicts: maps.Clone(c.verdicts), mute: map[string]int64{},
	}
	for _, n := range c.failed {
		t.failed += n
	}
	for where, graves := range p.deaths {
		switch {
		case where.group != g:
		case where.kind == kindRollout:
			t.dead += int64(len(graves))
		default:
			t.mute[where.kind] += int64(len(graves))
		}
	}
	return t
}

func (p *projection) spent() runstate.Usage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.usage
}

func (p *projection) mixture(generation int) *pb.Mixture {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mixtures[generation]
}

func (p *projection) checkpoint(t trained) *pb.Checkpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.checkpoints[t]
}

func (p *projection) deployment(t trained) *pb.Deployment {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.deployments[t]
}

func (p *projection) report(l looked) *pb.Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reports[l]
}

func (p *projection) decision(l looked) *pb.Decision {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.decisions[l]
}
