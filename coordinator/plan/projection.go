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

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// projection is what the streams say about one run. Memory is bounded by the number of generations, targets
// and failure classes, and by the dead letters; never by questions.
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
	// deaths holds dead letters of trajectories and of their feedback and verdicts, until a replay succeeds.
	deaths map[death]bool
	// fatal is the dead letters of tasks that a phase cannot do without: build, train, deploy, evaluate.
	fatal []fatality
}

// group is what is counted together.
type group struct {
	generation int
	target     string
	purpose    pb.Purpose
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

// death names a trajectory that a worker kind gave up.
type death struct {
	kind     string // rollout, rank-<ranker> or judge-<judge>
	identity string
}

type fatality struct {
	kind       string
	generation int
	seq        uint64
	reason     string
}

func newProjection(conn *bus.Conn, run string) *projection {
	return &projection{
		bus: conn, run: run, changed: make(chan struct{}, 1),
		counts: map[group]*counts{}, mixtures: map[int]*pb.Mixture{},
		checkpoints: map[trained]*pb.Checkpoint{}, deployments: map[trained]*pb.Deployment{},
		reports: map[looked]*pb.Report{}, decisions: map[looked]*pb.Decision{}, deaths: map[death]bool{},
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
	if err := count(ctx, m); err != nil {
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
			c.failed[class]++
		} else {
			c.completed++
		}
		delete(p.deaths, death{"rollout", bus.IDTokens(s.Identity)})
	})
}

func (p *projection) countFeedback(_ context.Context, m *bus.Message) error {
	return p.count(m, func(c *counts, s bus.Subject) {
		c.feedback[s.Kind]++
		delete(p.deaths, death{"rank-" + s.Kind, bus.IDTokens(s.Identity)})
	})
}

func (p *projection) countVerdict(_ context.Context, m *bus.Message) error {
	return p.count(m, func(c *counts, s bus.Subject) {
		c.verdicts[s.Kind]++
		delete(p.deaths, death{"judge-" + s.Kind, bus.IDTokens(s.Identity)})
	})
}

// count adds a message to the counts of its group, and its usage to the run's.
func (p *projection) count(m *bus.Message, add func(*counts, bus.Subject)) error {
	subject, err := bus.ParseSubject(m.Subject)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	id := subject.Identity
	add(p.of(group{int(id.GetGeneration()), id.GetTarget(), id.GetPurpose()}), subject)
	p.usage.Calls += number(m, bus.HeaderCalls)
	p.usage.PromptTokens += number(m, bus.HeaderPromptTokens)
	p.usage.CompletionTokens += number(m, bus.HeaderCompletionTokens)
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
		p.mixtures[generation] = body.Mixture
	case *pb.Event_Checkpoint:
		p.checkpoints[trained{generation, body.Checkpoint.GetTarget()}] = body.Checkpoint
	case *pb.Event_Deployment:
		p.deployments[trained{generation, body.Deployment.GetTarget()}] = body.Deployment
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
		p.reports[looked{trained{generation, r.GetTarget()}, int(r.GetLook())}] = r
	case *pb.Event_Decision:
		d := body.Decision
		p.decisions[looked{trained{generation, d.GetTarget()}, int(d.GetLook())}] = d
	}
	return nil
}

// noteDeath notes what a dead letter gave up. A trajectory that has its result all the same is not dead: one
// of a shard may have failed after others were finished, or it was replayed.
func (p *projection) noteDeath(ctx context.Context, m *bus.Message) error {
	event, err := m.Event(ctx)
	if err != nil {
		return err
	}
	letter := event.GetDeadLetter()
	if len(letter.GetIdentities()) == 0 {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.fatal = append(p.fatal, fatality{
			kind: letter.GetKind(), generation: int(event.GetGeneration()), seq: m.Seq, reason: letter.GetError(),
		})
		return nil
	}
	for _, id := range letter.GetIdentities() {
		if err := p.bury(ctx, letter.GetKind(), id); err != nil {
			return err
		}
	}
	return nil
}

func (p *projection) bury(ctx context.Context, kind string, id *pb.Identity) error {
	p.mu.Lock()
	p.deaths[death{kind, bus.IDTokens(id)}] = true
	p.mu.Unlock()
	stream, subject := resultOf(kind, id)
	if _, err := p.bus.Last(ctx, stream, subject); errors.Is(err, bus.ErrNotFound) {
		return nil
	} else if err != nil {
		return fmt.Errorf("look for the result of a dead letter: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.deaths, death{kind, bus.IDTokens(id)})
	return nil
}

// resultOf is where the result would be that a worker kind gave up.
func resultOf(kind string, id *pb.Identity) (stream, subject string) {
	if ranker, ok := strings.CutPrefix(kind, "rank-"); ok {
		return bus.Feedback, bus.FeedbackSubject(ranker, id)
	}
	if judge, ok := strings.CutPrefix(kind, "judge-"); ok {
		return bus.Verdicts, bus.VerdictSubject(judge, id)
	}
	return bus.Trajectories, bus.TrajectorySubject(id)
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
	for d := range p.deaths {
		id, err := bus.ParseID(d.identity)
		if err != nil || (group{int(id.GetGeneration()), id.GetTarget(), id.GetPurpose()}) != g {
			continue
		}
		if d.kind == "rollout" {
			t.dead++
		} else {
			t.mute[d.kind]++
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

// fatalAfter is the first dead letter of a phase's task after seq, if there is one.
func (p *projection) fatalAfter(seq uint64, kind string, generation int) (fatality, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.fatal {
		if f.seq > seq && f.kind == kind && f.generation == generation {
			return f, true
		}
	}
	return fatality{}, false
}

// lastFatal is the newest dead letter of a phase's task, 0 if there is none.
func (p *projection) lastFatal() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.fatal) == 0 {
		return 0
	}
	return p.fatal[len(p.fatal)-1].seq
}
