package plan

import (
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/dataset"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

const (
	kindRollout  = "rollout"
	kindBuild    = "build"
	kindTrain    = "train"
	kindDeploy   = "deploy"
	kindEvaluate = "evaluate"

	purposeGrow = "grow"
	purposeEval = "eval"
)

// roll is trajectories to make: of every question of a source, samples first .. first+samples-1.
type roll struct {
	target  string
	purpose pb.Purpose
	policy  *pb.Policy
	source  config.Source
	first   int
	samples int
}

// evaluation is the roll of an evaluation: repetitions first .. until-1 of the held-out questions.
func (c *conductor) evaluation(target string, p *pb.Policy, first, until int) roll {
	return roll{
		target: target, purpose: pb.Purpose_PURPOSE_EVAL, policy: p, source: c.spec.Evaluation.Set,
		first: first, samples: until - first,
	}
}

func (r roll) group(generation int) group { return group{generation, r.target, r.purpose} }

func (r roll) purposeToken() string {
	if r.purpose == pb.Purpose_PURPOSE_EVAL {
		return purposeEval
	}
	return purposeGrow
}

// roll publishes the rolls' shards, a bounded window ahead of the workers, and waits until every trajectory is
// accounted for, and judged if it is an evaluation's.
func (c *conductor) roll(ctx context.Context, rolls ...roll) error {
	for _, r := range rolls {
		if _, err := c.enter(ctx, r.target, r.purposeToken(), int64(r.source.Count*r.samples)); err != nil {
			return err
		}
	}
	for _, r := range rolls {
		c.probe(ctx, r.policy)
		if err := c.publish(ctx, r); err != nil {
			return fmt.Errorf("publish shards of %s: %w", r.source.Name, err)
		}
	}
	watch := stall{since: time.Now()}
	return c.await(ctx, func() (bool, error) {
		if c.accounted(rolls) {
			return true, nil
		}
		return false, c.mend(ctx, &watch, rolls)
	})
}

// stallAfter is after how many poll intervals without a new trajectory it is asked whether anybody works on them.
const stallAfter = 10

// stall watches for trajectories that nobody makes.
type stall struct {
	finished int64
	since    time.Time
}

// mend starts the phase again when trajectories are missing that no task names: a stranger has terminated their task, or
// taken its subject with something else. What is done costs its shard one look-up.
func (c *conductor) mend(ctx context.Context, watch *stall, rolls []roll) error {
	var finished, expected int64
	for _, r := range rolls {
		finished += c.seen.tally(r.group(c.record.Generation)).finished()
		expected += int64(r.source.Count * (r.first + r.samples))
	}
	if finished != watch.finished {
		watch.finished, watch.since = finished, time.Now()
	}
	if finished >= expected || time.Since(watch.since) < stallAfter*c.settings.Poll {
		return nil
	}
	watch.since = time.Now()
	for _, err := range c.bus.Browse(ctx, bus.Tasks, bus.RunFilter(bus.Tasks, c.spec.Name)) {
		return err // nil: somebody has one, or will
	}
	c.log.Warn("trajectories are missing that no task names; publishing the shards again", "missing", expected-finished, "phase", c.record.Phase)
	c.record.Cursor = nil
	return errAgain
}

// accounted updates the progress of the rolls and says whether all of them are through.
func (c *conductor) accounted(rolls []roll) bool {
	all := true
	for _, r := range rolls {
		t := c.seen.tally(r.group(c.record.Generation))
		p := c.record.progress(c.record.Phase, r.target, r.purposeToken())
		p.Expected = int64(r.source.Count * (r.first + r.samples)) // of all looks so far, as the counts are
		p.Completed, p.Failed, p.Dead = t.completed, t.classes, t.dead
		if t.finished() < p.Expected {
			all = false
		}
		if r.purpose != pb.Purpose_PURPOSE_EVAL {
			continue
		}
		judge := c.spec.Evaluation.Judge
		p.Verdicts = t.verdicts[judge] + t.mute["judge-"+judge]
		if p.Verdicts < t.completed+t.failed {
			all = false
		}
	}
	return all
}

// publish puts the roll's shards on the queue, from the record's cursor on. A shard is one sample of a few
// questions, so that a task is about as long whatever the number of repetitions.
func (c *conductor) publish(ctx context.Context, r roll) error {
	published := 0
	for slice, questions := range c.slices(ctx, r.source, c.record.Cursor[r.target]) {
		if questions.err != nil {
			return questions.err
		}
		for sample := r.first; sample < r.first+r.samples; sample++ {
			if err := c.awaitRoom(ctx, published); err != nil {
				return err
			}
			published++
			if err := c.bus.PublishTask(ctx, c.spec.Name, c.record.Generation, c.shard(r, slice, sample, questions.list)); err != nil {
				return err
			}
		}
		c.setCursor(r.target, slice+1)
		c.accounted([]roll{r})
		if err := c.saveProgress(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *conductor) setCursor(target string, slice int) {
	if c.record.Cursor == nil {
		c.record.Cursor = map[string]int{}
	}
	c.record.Cursor[target] = slice
}

// askEvery so many tasks the depth of the queue is asked for: a window may be exceeded by as many.
const askEvery = 16

// awaitRoom keeps at most a window of tasks on the queue. It asks only now and then: the window is a bound on
// the disk, not an exact number.
func (c *conductor) awaitRoom(ctx context.Context, published int) error {
	if published%askEvery != 0 {
		return nil
	}
	return c.await(ctx, func() (bool, error) {
		depth, err := c.bus.Depth(ctx, bus.TaskSource(kindRollout))
		if err != nil {
			return false, fmt.Errorf("ask for the depth of the queue: %w", err)
		}
		return depth.Waiting < uint64(c.settings.Window), nil
	})
}

func (c *conductor) shard(r roll, slice, sample int, questions []*pb.Question) *pb.Task {
	return &pb.Task{
		Id:   fmt.Sprintf("%s-%s-%06d-%d", r.purposeToken(), r.target, slice, sample),
		Kind: kindRollout,
		Work: &pb.Task_Shard{Shard: &pb.Shard{
			Target: r.target, Purpose: r.purpose, Policy: r.policy, Limits: limits(c.spec), Questions: questions,
			FirstSample: int32(sample), Samples: 1,
		}},
	}
}

func limits(spec config.Run) *pb.Limits {
	return &pb.Limits{
		Searches: int32(spec.Search.Budget), Results: int32(spec.Search.Results),
		CallMs: milliseconds(spec.Limits.Call), SearchMs: milliseconds(spec.Limits.Search),
		TrajectoryMs: milliseconds(spec.Limits.Trajectory), Tools: spec.Tools,
	}
}

func milliseconds(d config.Duration) int64 { return time.Duration(d).Milliseconds() }

// slice is a shard's questions, or why they could not be read.
type slice struct {
	list []*pb.Question
	err  error
}

// slices reads a source's questions from the blob store, a shard's worth at a time, from the given slice on.
func (c *conductor) slices(ctx context.Context, source config.Source, from int) iter.Seq2[int, slice] {
	return func(yield func(int, slice) bool) {
		body, err := c.questions(ctx, source)
		if err != nil {
			yield(0, slice{err: err})
			return
		}
		defer body.Close()
		index, list := 0, []*pb.Question(nil)
		flush := func() bool {
			going := index < from || yield(index, slice{list: list})
			index, list = index+1, nil
			return going
		}
		for q, err := range dataset.ReadQuestions(body) {
			if err != nil {
				yield(index, slice{err: fmt.Errorf("read %s: %w", source.URI, err)})
				return
			}
			list = append(list, &pb.Question{Token: q.Token, Id: q.ID, Text: q.Text})
			if len(list) == c.settings.Shard && !flush() {
				return
			}
		}
		if len(list) > 0 {
			flush()
		}
	}
}

func (c *conductor) questions(ctx context.Context, source config.Source) (io.ReadCloser, error) {
	key, err := c.blobs.Key(source.URI)
	if err != nil {
		return nil, fmt.Errorf("questions %s: %w", source.Name, err)
	}
	body, err := c.blobs.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read questions %s: %w", source.Name, err)
	}
	return body, nil
}
