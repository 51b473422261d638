package bridge

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/interchange"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// lookAhead is how many questions are read and rendered while the one before them is written.
const lookAhead = 32

// assembly makes one mixture. Its memory: a key of about 100 bytes for each trajectory, the trajectories of
// lookAhead questions, and two parts.
type assembly struct {
	bus        *bus.Conn
	blobs      blob.Store
	log        *slog.Logger
	spec       config.Run
	generation int
	partSize   int
	heldOut    *heldOut
	strategy   strategy
	// buffers are *bytes.Buffer of batches that are written.
	buffers sync.Pool
}

// key names a trajectory to use, within a run.
type key struct {
	generation int32
	question   string
	sample     int32
}

func (k key) compare(other key) int {
	return cmp.Or(cmp.Compare(k.generation, other.generation), cmp.Compare(k.question, other.question),
		cmp.Compare(k.sample, other.sample))
}

// ranker whose first choices are the targets; empty when the defaults are.
func (a *assembly) ranker() string { return a.spec.Strategy.Ranker }

// identity is the trajectory's identity on the bus.
func (a *assembly) identity(k key) *pb.Identity {
	return &pb.Identity{
		Run: a.spec.Name, Generation: k.generation, Target: config.OwnTarget, Purpose: pb.Purpose_PURPOSE_GROW,
		Question: k.question, Sample: k.sample,
	}
}

// assemble writes the parts and returns the manifest that describes them.
func (a *assembly) assemble(ctx context.Context) (*Manifest, error) {
	keys, failed, err := a.completed(ctx)
	if err != nil {
		return nil, fmt.Errorf("list trajectories: %w", err)
	}
	total := tally{}
	parts, err := a.write(ctx, keys, &total)
	if err != nil {
		return nil, err
	}
	m := &Manifest{
		Version: manifestVersion, Run: a.spec.Name, Generation: a.generation,
		Strategy: a.spec.Strategy.Name, Ranker: a.ranker(), Rendering: a.spec.Deploy.Rendering,
		Parts: parts,
	}
	total.describe(m)
	if m.Examples == 0 {
		m.Reason = whyEmpty(len(keys), failed, m.Dropped)
	}
	return m, nil
}

// whyEmpty is for the operator whose run ends here.
func whyEmpty(completed, failed int, dropped map[string]int64) string {
	switch {
	case completed+failed == 0:
		return "there are no trajectories"
	case completed == 0:
		return fmt.Sprintf("none of the %d trajectories was completed", failed)
	}
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(dropped)) {
		reasons = append(reasons, fmt.Sprintf("%s %d", reason, dropped[reason]))
	}
	return fmt.Sprintf("every example of %d completed trajectories was left out: %s", completed, strings.Join(reasons, ", "))
}

// completed lists the completed trajectories to use, in the order of identity, and counts the failed ones. It reads
// headers only.
func (a *assembly) completed(ctx context.Context) (keys []key, failed int, err error) {
	first := a.generation
	if a.spec.Strategy.Accumulate {
		first = 1
	}
	for generation := first; generation <= a.generation; generation++ {
		grown := bus.FollowOptions{
			Filters: []string{bus.GenerationFilter(bus.Trajectories, a.spec.Name, generation)}, HeadersOnly: true,
		}
		for m, err := range a.bus.ReadWith(ctx, bus.Trajectories, grown) {
			if err != nil {
				return nil, 0, err
			}
			subject, err := m.Parse()
			if err != nil {
				continue // it is nobody's trajectory
			}
			id := subject.Identity
			switch {
			case id.GetTarget() != config.OwnTarget || id.GetPurpose() != pb.Purpose_PURPOSE_GROW:
			case m.Get(bus.HeaderOutcome) != outcomeCompleted:
				failed++
			default:
				keys = append(keys, key{id.GetGeneration(), id.GetQuestion(), id.GetSample()})
			}
		}
	}
	slices.SortFunc(keys, key.compare)
	return keys, failed, nil
}

// outcomeCompleted is the outcome header of a completed trajectory.
const outcomeCompleted = "completed"

// write goes through the trajectories once for each improve step and writes their examples.
func (a *assembly) write(ctx context.Context, keys []key, total *tally) ([]Part, error) {
	w := newPartWriter(ctx, a.blobs, mixtureKey(a.spec.Name, a.generation), a.partSize)
	for pass := range a.strategy.passes() {
		if err := a.writePass(ctx, pass, keys, w, total); err != nil {
			_, _ = w.close() // err says it all
			return nil, err
		}
	}
	return w.close()
}

func (a *assembly) writePass(ctx context.Context, pass int, keys []key, w *partWriter, total *tally) error {
	if err := w.begin(pass + 1); err != nil {
		return err
	}
	work := func(ctx context.Context, question []key) (*batch, error) { return a.question(ctx, pass, question) }
	for b, err := range inOrder(ctx, lookAhead, byQuestion(keys), work) {
		if err != nil {
			return err
		}
		total.add(pass, &b.tally)
		if err := w.write(b.lines.Bytes(), b.examples()); err != nil {
			return err
		}
		b.lines.Reset()
		a.buffers.Put(b.lines)
	}
	return nil
}

// byQuestion yields the keys of one question at a time.
func byQuestion(keys []key) iter.Seq[[]key] {
	return func(yield func([]key) bool) {
		for len(keys) > 0 {
			n := 1
			for n < len(keys) && keys[n].question == keys[0].question && keys[n].generation == keys[0].generation {
				n++
			}
			if !yield(keys[:n]) {
				return
			}
			keys = keys[n:]
		}
	}
}

// batch is the examples of one question.
type batch struct {
	tally

	lines *bytes.Buffer
}

func (a *assembly) newBatch() *batch {
	lines, ok := a.buffers.Get().(*bytes.Buffer)
	if !ok {
		lines = new(bytes.Buffer)
	}
	return &batch{lines: lines}
}

// question makes the examples of one question's trajectories.
func (a *assembly) question(ctx context.Context, pass int, keys []key) (*batch, error) {
	b := a.newBatch()
	var clean []*ranked
	for _, k := range keys {
		t, feedback, err := a.read(ctx, k)
		if errors.Is(err, bus.ErrRejected) {
			b.drop(droppedInvalid, 1) // however many steps it claims
			continue
		}
		if err != nil {
			return nil, err
		}
		if reason := a.heldOut.check(t.GetQuestion()); reason != "" {
			b.drop(reason, len(t.GetSteps()))
			continue
		}
		clean = append(clean, newRanked(t, feedback))
	}
	picked := a.strategy.pick(pass, clean)
	for _, t := range clean {
		if !slices.Contains(picked, t) {
			b.drop(droppedStrategy, len(t.GetSteps()))
		}
	}
	for _, t := range picked {
		if err := a.render(t, b); err != nil {
			return nil, fmt.Errorf("trajectory %s: %w", bus.IDTokens(t.GetIdentity()), err)
		}
	}
	return b, nil
}

// read reads a trajectory and its feedback, if there is any.
func (a *assembly) read(ctx context.Context, k key) (*pb.Trajectory, *pb.Feedback, error) {
	id := a.identity(k)
	event, err := a.last(ctx, bus.Trajectories, bus.TrajectorySubject(id))
	if err != nil {
		return nil, nil, err
	}
	t := event.GetTrajectory()
	if a.ranker() == "" {
		return t, nil, nil
	}
	event, err = a.last(ctx, bus.Feedback, bus.FeedbackSubject(a.ranker(), id))
	if err != nil && !errors.Is(err, bus.ErrNotFound) && !errors.Is(err, bus.ErrRejected) {
		return nil, nil, err
	}
	return t, event.GetFeedback(), nil // none where it is rejected: unranked
}

func (a *assembly) last(ctx context.Context, stream, subject string) (*pb.Event, error) {
	m, err := a.bus.Last(ctx, stream, subject)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", subject, err)
	}
	event, err := m.Event(ctx)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", subject, err)
	}
	return event, nil
}

// render adds an example for each step of a trajectory. The prompt shows the state that the policy was in: what
// the ranker would rather have seen before is not in it. A trajectory that does not replay to its end adds nothing.
func (a *assembly) render(t *ranked, b *batch) error {
	var rendered tally
	before, i := b.lines.Len(), 0
	lines := json.NewEncoder(b.lines)
	lines.SetEscapeHTML(false)
	id := bus.IDTokens(t.GetIdentity())
	for state, step := range agent.Replay(t.Trajectory) {
		target := a.strategy.target(t, i)
		if !usable(step, target) {
			break
		}
		example := interchange.Example{
			Prompt:     agent.Render(state, step.GetKind(), a.rendering(), a.spec.Policy.Shots),
			Completion: interchange.Completion(step.GetCandidates()[target].GetText()),
			Origin:     interchange.OriginOf(t.Trajectory, step),
		}
		if err := lines.Encode(example); err != nil {
			return fmt.Errorf("encode example: %w", err)
		}
		rendered.example(t, i, step, target)
		i++
	}
	if i < len(t.GetSteps()) {
		a.log.Warn("left out a completed trajectory that does not replay", "trajectory", id, "step", i, "err", agent.Verify(t.Trajectory))
		b.lines.Truncate(before)
		b.drop(droppedInvalid, len(t.GetSteps()))
		return nil
	}
	rendered.trajectories++
	b.add(0, &rendered)
	return nil
}

// rendering of the examples is that of the trained policy: it must be asked what it was taught.
func (a *assembly) rendering() pb.Rendering {
	if a.spec.Deploy.Rendering == config.RenderingFewShot {
		return pb.Rendering_RENDERING_FEW_SHOT
	}
	return pb.Rendering_RENDERING_BARE
}
