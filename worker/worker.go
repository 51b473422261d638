package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// What a handler's error says; see the package's documentation.
var (
	Permanent = bus.Permanent
	Later     = bus.Later
	Stop      = bus.Stop
	WithClass = bus.WithClass
)

// IsOutage says whether an error is one of a service that does not answer; a handler that returns it is asked again later.
var IsOutage = bus.IsOutage

// ErrFenced means: another worker has gone on with this work. A handler returns it as it is, and nothing is settled.
var ErrFenced = bus.ErrFenced

// Conn is a connection to the bus. Main opens one; Connect does for a program with a main function of its own.
type Conn = bus.Conn

// Handler does one task.
type Handler func(ctx context.Context, t *Task) error

// Kind is a worker kind and how much of it one process does.
type Kind struct {
	// Name of the kind, [a-z0-9-]: the token in ratchet.v1.task.<kind>.>.
	Name string
	// Slots is how many tasks are done at once. Defaults to 1.
	Slots int
	// Deadline bounds one task. Defaults to an hour.
	Deadline time.Duration
	// Drain is how long tasks may go on after the context ended. Defaults to 0: they are handed back at once.
	Drain time.Duration
	// MaxDeliver overrides bus.max_deliver.
	MaxDeliver int
	// Ready blocks while tasks could not be done; nothing is pulled meanwhile. Optional.
	Ready func(context.Context) error
	// Handle does a task.
	Handle Handler
}

// DefaultDeadline of a task.
const DefaultDeadline = time.Hour

// Task is a delivered task.
type Task struct {
	*pb.Task
	// Event is the message it came in.
	Event *pb.Event
	// Delivered counts deliveries, this one included: above 1, somebody may have begun it.
	Delivered int

	conn *Conn
}

// Run is the run that the task belongs to.
func (t *Task) Run() string { return t.Event.GetRun() }

// Generation is the round that the task belongs to.
func (t *Task) Generation() int { return int(t.Event.GetGeneration()) }

// Args is what a plug-in's kind agreed upon.
func (t *Task) Args() *structpb.Struct { return t.GetArgs() }

// Result writes the task's result, once for ever, and waits until it is stored.
func (t *Task) Result(ctx context.Context, value map[string]any) error {
	fields, err := structpb.NewStruct(value)
	if err != nil {
		return Permanent(fmt.Errorf("result of %s: %w", t.GetId(), err))
	}
	_, err = t.conn.Publish(ctx, bus.ResultSubject(t.GetKind(), t.Run(), t.Generation(), t.GetId()), &pb.Event{
		Run: t.Run(), Generation: int32(t.Generation()), Traceparent: t.Event.GetTraceparent(),
		Body: &pb.Event_Result{Result: &pb.Result{Task: t.GetId(), Kind: t.GetKind(), Value: fields}},
	})
	return err
}

// serving is the kinds that this process serves: a second registration on one connection is a mistake in the program.
var serving struct {
	sync.Mutex
	kinds map[servedKind]bool
}

type servedKind struct {
	conn *Conn
	name string
}

// Serve does the kind's tasks until ctx ends, then drains and returns nil.
func Serve(ctx context.Context, conn *Conn, k Kind) error {
	if k.Handle == nil || bus.Token(k.Name) != k.Name || k.Name == "" {
		return fmt.Errorf("serve kind %q: want a handler and a name of a-z, 0-9 and dashes", k.Name)
	}
	release, err := register(conn, k.Name)
	if err != nil {
		return err
	}
	defer release()
	if k.Deadline == 0 {
		k.Deadline = DefaultDeadline
	}
	loop := bus.Loop{
		Source: bus.TaskSource(k.Name), Slots: k.Slots, Deadline: k.Deadline, Drain: k.Drain, MaxDeliver: k.MaxDeliver, Ready: k.Ready,
	}
	return conn.Consume(ctx, loop, func(ctx context.Context, d *bus.Delivery) error {
		task := d.Event.GetTask()
		if task == nil || task.GetKind() != k.Name {
			return Permanent(WithClass(pb.FailureClass_FAILURE_CLASS_INVALID, fmt.Errorf("%s: want a task of kind %s in the event", d.Subject, k.Name)))
		}
		return k.Handle(ctx, &Task{Task: task, Event: d.Event, Delivered: d.Delivered, conn: conn})
	})
}

func register(conn *Conn, name string) (release func(), err error) {
	key := servedKind{conn, name}
	serving.Lock()
	defer serving.Unlock()
	if serving.kinds[key] {
		return nil, fmt.Errorf("kind %s is served twice in this process", name)
	}
	if serving.kinds == nil {
		serving.kinds = map[servedKind]bool{}
	}
	serving.kinds[key] = true
	return func() {
		serving.Lock()
		defer serving.Unlock()
		delete(serving.kinds, key)
	}, nil
}

// Feed is what a ranker or judge follows.
type Feed struct {
	// Ranker follows grown trajectories, Judge evaluation's; set one.
	Ranker, Judge string
	// Slots, Deadline, Drain and Ready are as in Kind.
	Slots    int
	Deadline time.Duration
	Drain    time.Duration
	Ready    func(context.Context) error
}

// source is the consumer to follow.
func (f Feed) source() (bus.Source, error) {
	switch {
	case f.Ranker != "" && f.Judge == "" && bus.Token(f.Ranker) == f.Ranker:
		return bus.RankSource(f.Ranker), nil
	case f.Judge != "" && f.Ranker == "" && bus.Token(f.Judge) == f.Judge:
		return bus.JudgeSource(f.Judge), nil
	}
	return bus.Source{}, fmt.Errorf("follow as ranker %q, judge %q: want one of them, of a-z, 0-9 and dashes", f.Ranker, f.Judge)
}

// Follow hands every trajectory of the feed to handle, at least once, until ctx ends; and again those that a replay of
// dead letters asks for.
func Follow(ctx context.Context, conn *Conn, f Feed, handle func(ctx context.Context, t *pb.Trajectory, ev *pb.Event) error) error {
	source, err := f.source()
	if err != nil {
		return err
	}
	if f.Deadline == 0 {
		f.Deadline = DefaultDeadline
	}
	loop := bus.Loop{Source: source, Slots: f.Slots, Deadline: f.Deadline, Drain: f.Drain, Ready: f.Ready}
	again := loop
	again.Source, again.Slots = bus.TaskSource(source.Consumer), 1
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return conn.Consume(ctx, loop, func(ctx context.Context, d *bus.Delivery) error { return handle(ctx, d.Event.GetTrajectory(), d.Event) })
	})
	group.Go(func() error {
		return conn.Consume(ctx, again, func(ctx context.Context, d *bus.Delivery) error {
			ev, err := lookAgain(ctx, conn, d.Event.GetTask())
			if err != nil {
				return err
			}
			return handle(ctx, ev.GetTrajectory(), ev)
		})
	})
	return group.Wait()
}

// lookAgain reads the trajectory that a replay is about.
func lookAgain(ctx context.Context, conn *Conn, t *pb.Task) (*pb.Event, error) {
	invalid := func(err error) error { return Permanent(WithClass(pb.FailureClass_FAILURE_CLASS_INVALID, err)) }
	id, err := bus.AgainOf(t)
	if err != nil {
		return nil, invalid(err)
	}
	m, err := conn.Last(ctx, bus.Trajectories, bus.TrajectorySubject(id))
	if errors.Is(err, bus.ErrNotFound) {
		return nil, invalid(fmt.Errorf("trajectory %s: %w", bus.IDTokens(id), err))
	}
	if err != nil {
		return nil, err
	}
	ev, err := m.Event(ctx)
	if errors.Is(err, bus.ErrRejected) {
		return nil, invalid(err)
	}
	return ev, err
}
