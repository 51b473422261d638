package bus

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// PublishRaw puts bytes on the bus that are no event.
func (c *Conn) PublishRaw(t testing.TB, subject string, data []byte) {
	t.Helper()
	if _, err := c.js.Publish(t.Context(), subject, data); err != nil {
		t.Fatal(err)
	}
}

// Exhaust takes a source's message and refuses it until the server gives it up.
func (c *Conn) Exhaust(t testing.TB, s Source) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	consumer, err := c.js.Consumer(ctx, s.Stream, s.Consumer)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(1))
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	go func() {
		for {
			msg, err := messages.Next(jetstream.NextContext(ctx))
			if err != nil {
				return
			}
			_ = msg.Nak()
		}
	}()
	err = c.Follow(ctx, Advisory, FollowOptions{Filters: []string{advisoryMaxDeliveries + ">"}}, func(*Message) error {
		cancel()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ForgetDeliveries makes the server forget what a source's consumer has delivered, as one does that was killed.
func (c *Conn) ForgetDeliveries(t testing.TB, s Source) {
	t.Helper()
	consumer, err := c.js.Consumer(t.Context(), s.Stream, s.Consumer)
	if err != nil {
		t.Fatal(err)
	}
	cfg := consumer.CachedInfo().Config
	if err := c.js.DeleteConsumer(t.Context(), s.Stream, s.Consumer); err != nil {
		t.Fatal(err)
	}
	if _, err := c.js.CreateConsumer(t.Context(), s.Stream, cfg); err != nil {
		t.Fatal(err)
	}
}

// RawPublisher publishes a step's bytes to the journal's stream, each to a subject of its own, with nothing of ours.
func (c *Conn) RawPublisher(t testing.TB, step *pb.Step) func() error {
	t.Helper()
	id := &pb.Identity{Run: "raw", Target: "own", Purpose: pb.Purpose_PURPOSE_GROW, Question: "pool-1"}
	ev := &pb.Event{Id: "raw", Body: &pb.Event_Step{Step: step}}
	c.fill(StepSubject(id), ev)
	msg, err := c.encode(context.Background(), StepSubject(id), ev)
	if err != nil {
		t.Fatal(err)
	}
	msg.Header.Del(HeaderID) // else all but the first are duplicates
	var published atomic.Int32
	return func() error {
		id := &pb.Identity{Run: "raw", Target: "own", Purpose: pb.Purpose_PURPOSE_GROW, Question: "pool-1", Sample: published.Add(1)}
		_, err := c.js.PublishMsg(context.Background(), &nats.Msg{Subject: StepSubject(id), Header: msg.Header, Data: msg.Data})
		return err
	}
}

// Consumers is how many consumers a stream has.
func (c *Conn) Consumers(t testing.TB, stream string) int {
	t.Helper()
	s, err := c.js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Consumers
}

// Ask requests an answer, whichever, on any subject.
func (c *Conn) Ask(ctx context.Context, subject string, data string) error {
	return c.retry(ctx, func(ctx context.Context) error {
		_, err := c.nc.RequestWithContext(ctx, subject, []byte(data))
		return err
	})
}

// Say publishes to any subject, with a reply that comes to somebody else; refused is what the server has against it.
func (c *Conn) Say(t testing.TB, subject, reply string) (refused error) {
	t.Helper()
	before := c.nc.LastError()
	if err := c.nc.PublishMsg(&nats.Msg{Subject: subject, Reply: reply}); err != nil {
		t.Fatal(err)
	}
	return c.complaint(t, before)
}

// Hear subscribes to any subject; refused is what the server has against it.
func (c *Conn) Hear(t testing.TB, subject string) (refused error) {
	t.Helper()
	before := c.nc.LastError()
	sub, err := c.nc.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the server may have refused it
	return c.complaint(t, before)
}

func (c *Conn) complaint(t testing.TB, before error) error {
	t.Helper()
	if err := c.nc.FlushTimeout(requestTimeout); err != nil {
		t.Fatal(err)
	}
	if now := c.nc.LastError(); now != before { //nolint:errorlint // whether there was another one
		return now
	}
	return nil
}

// StepDown has another server lead a source's consumer, and is the one that did.
func (c *Conn) StepDown(t testing.TB, s Source) (leader string) {
	t.Helper()
	consumer, err := c.js.Consumer(t.Context(), s.Stream, s.Consumer)
	if err != nil {
		t.Fatal(err)
	}
	info := consumer.CachedInfo()
	if err := c.stepDown(t.Context(), s, info); err != nil {
		t.Fatal(err)
	}
	return info.Cluster.Leader
}

// LedBy is the server that leads a source's consumer; "" while there is none.
func (c *Conn) LedBy(t testing.TB, s Source) string {
	t.Helper()
	consumer, err := c.consumer(t.Context(), s)
	if err != nil {
		return ""
	}
	return consumer.CachedInfo().Cluster.Leader
}
