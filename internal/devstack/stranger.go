package devstack

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Stranger publishes what none of ours would.
type Stranger struct{ js jetstream.JetStream }

// TestStranger connects a stranger to a running bus.
func TestStranger(t testing.TB, url string) *Stranger {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return &Stranger{js}
}

// Publish puts bytes on the bus as they are.
func (s *Stranger) Publish(t testing.TB, subject string, bad Spoiled) {
	t.Helper()
	msg := nats.NewMsg(subject)
	msg.Data = bad.Data
	if bad.Outcome != "" {
		msg.Header["Ratchet-Outcome"] = []string{bad.Outcome}
	}
	if _, err := s.js.PublishMsg(t.Context(), msg); err != nil {
		t.Fatalf("publish %s on %s: %v", bad.Reason, subject, err)
	}
}

// Take takes a consumer's deliveries and answers each with do, until so many were taken. It writes no dead letter.
func (s *Stranger) Take(t testing.TB, stream, consumer string, deliveries int, do func(jetstream.Msg) error) {
	t.Helper()
	c, err := s.js.Consumer(t.Context(), stream, consumer)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := c.Messages(jetstream.PullMaxMessages(1))
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	for range deliveries {
		msg, err := messages.Next(jetstream.NextContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		if err := do(msg); err != nil {
			t.Fatal(err)
		}
	}
	// The server notices that a message has had its deliveries when somebody asks for the next.
	ctx, cancel := context.WithTimeout(t.Context(), 2*TestAckWait)
	defer cancel()
	if msg, err := messages.Next(jetstream.NextContext(ctx)); err == nil {
		t.Fatalf("a delivery too many of %s", msg.Subject())
	}
}

// Terminate takes one delivery and ends its message.
func (s *Stranger) Terminate(t testing.TB, stream, consumer string) {
	t.Helper()
	c, err := s.js.Consumer(t.Context(), stream, consumer)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := c.Next(jetstream.FetchMaxWait(20 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if err := Terminate(msg); err != nil {
		t.Fatal(err)
	}
}

// LetRunOut does nothing with a delivery: its lease runs out. Terminate ends its message, and gives a reason.
func LetRunOut(jetstream.Msg) error { return nil }

// Terminate ends a delivery's message.
func Terminate(msg jetstream.Msg) error { return msg.TermWithReason("I do not like it") }

// Spoiled is a message that readers reject for a reason, as ratchet_bus_rejected_total names it.
type Spoiled struct {
	Reason  string
	Outcome string // of the header
	Data    []byte
}

// Spoil makes a good event into messages that are rejected, at least one for each reason that one message can have.
func Spoil(t testing.TB, good *pb.Event) []Spoiled {
	t.Helper()
	data := func(ev *pb.Event) []byte {
		data, err := proto.Marshal(ev)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	with := func(change func(*pb.Event)) []byte {
		ev := proto.CloneOf(good)
		change(ev)
		return data(ev)
	}
	claim := func(c *pb.Claim) []byte { return with(func(ev *pb.Event) { ev.Body, ev.Claim = nil, c }) }
	all := []Spoiled{
		{Reason: "undecodable", Data: []byte("\xff\xff not an event")},
		{Reason: "undecodable", Data: []byte(`{"trajectory": 7}`)},
		{Reason: "too_large", Data: claim(&pb.Claim{Uri: "s3://anywhere/x", Size: 1 << 40, Sha256: strings.Repeat("0", 64)})},
		{Reason: "claim", Data: claim(&pb.Claim{Uri: "gopher://elsewhere/x", Size: 10, Sha256: strings.Repeat("0", 64)})},
		{Reason: "body"}, // nothing at all is an event without a body
		{Reason: "body", Data: with(func(ev *pb.Event) { ev.Body = nil })},
		{Reason: "body", Data: with(otherBody)},
		{Reason: "identity", Data: with(func(ev *pb.Event) { ev.Run = "somebody-elses" })},
	}
	forged := proto.CloneOf(good)
	if id := identityOf(forged); id != nil {
		id.Question += "-forged"
		all = append(all, Spoiled{Reason: "identity", Data: data(forged)}, Spoiled{Reason: "outcome", Outcome: "failed/other", Data: data(good)})
	}
	return all
}

// otherBody is one that belongs nowhere that the event's own does.
func otherBody(ev *pb.Event) {
	if ev.GetRunLog() != nil {
		ev.Body = &pb.Event_Attempt{Attempt: &pb.Attempt{}}
		return
	}
	ev.Body = &pb.Event_RunLog{RunLog: &pb.RunLog{What: "finished"}}
}

// identityOf is the identity of a result, nil of anything else.
func identityOf(ev *pb.Event) *pb.Identity {
	switch body := ev.GetBody().(type) {
	case *pb.Event_Trajectory:
		return body.Trajectory.GetIdentity()
	case *pb.Event_Feedback:
		return body.Feedback.GetIdentity()
	case *pb.Event_Verdict:
		return body.Verdict.GetIdentity()
	}
	return nil
}
