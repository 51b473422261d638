package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// deadLetter is the letter of a message, with what it would have made.
func deadLetter(kind, subject string, payload []byte, ev *pb.Event) *pb.DeadLetter {
	return &pb.DeadLetter{Kind: kind, Subject: subject, Payload: payload, Identities: identities(subject, ev)}
}

// identities are the trajectories that a message is about.
func identities(subject string, ev *pb.Event) []*pb.Identity {
	if s, err := ParseSubject(subject); err == nil && s.Identity != nil {
		return []*pb.Identity{s.Identity}
	}
	shard := ev.GetTask().GetShard()
	var all []*pb.Identity
	for _, q := range shard.GetQuestions() {
		for sample := shard.GetFirstSample(); sample < shard.GetFirstSample()+shard.GetSamples(); sample++ {
			all = append(all, &pb.Identity{
				Run: ev.GetRun(), Generation: ev.GetGeneration(), Target: shard.GetTarget(), Purpose: shard.GetPurpose(),
				Question: q.GetToken(), Sample: sample,
			})
		}
	}
	return all
}

// publishDead publishes a letter under an id made of the message's sequence, so that it is one letter however
// often it is published.
func (c *Conn) publishDead(ctx context.Context, ev *pb.Event, letter *pb.DeadLetter, seq uint64) error {
	run, generation := ev.GetRun(), ev.GetGeneration()
	if s, err := ParseSubject(letter.GetSubject()); err == nil {
		run, generation = s.Run, int32(s.Generation)
	}
	if !isToken(run) {
		run = "unknown"
	}
	_, err := c.Publish(ctx, DeadSubject(letter.GetKind(), run), &pb.Event{
		Id: fmt.Sprintf("dead.%s.%d.%s", letter.GetKind(), seq, letter.GetSubject()), Run: run, Generation: generation,
		Traceparent: ev.GetTraceparent(), Body: &pb.Event_DeadLetter{DeadLetter: letter},
	})
	if err != nil {
		return fmt.Errorf("publish dead letter of %s: %w", letter.GetSubject(), err)
	}
	return nil
}

// Replay publishes a dead letter's task again, as it was.
func (c *Conn) Replay(ctx context.Context, letter *pb.DeadLetter) error {
	s, err := ParseSubject(letter.GetSubject())
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if s.Family != familyTask {
		return fmt.Errorf("replay %s: it is still in its stream; make its consumer deliver it again", letter.GetSubject())
	}
	ev, err := Decode("", letter.GetPayload())
	if err != nil {
		return fmt.Errorf("replay %s: %w", letter.GetSubject(), err)
	}
	ev.Id, ev.Time, ev.Producer = "", nil, ""
	if shard := ev.GetTask().GetShard(); shard != nil {
		shard.Suspect = false // the cause is gone; the deaths in its journal count no more
	}
	_, err = c.Publish(ctx, letter.GetSubject(), ev)
	return err
}

// exhausted is the part of a max-deliveries advisory that we need.
type exhausted struct {
	Stream     string `json:"stream"`
	Consumer   string `json:"consumer"`
	StreamSeq  uint64 `json:"stream_seq"`
	Deliveries int    `json:"deliveries"`
}

const advisoryMaxDeliveries = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES."

// SweepAdvisories carries messages that the server gave up to the dead letters: the safety net for workers that do
// not write dead letters themselves. Idempotent; the coordinator calls it.
func (c *Conn) SweepAdvisories(ctx context.Context) error {
	for m, err := range c.Read(ctx, Advisory, advisoryMaxDeliveries+Tasks+".>", advisoryMaxDeliveries+Trajectories+".>") {
		if err != nil {
			return fmt.Errorf("sweep advisories: %w", err)
		}
		var note exhausted
		if err := json.Unmarshal(m.Data, &note); err != nil {
			c.log.Warn("unreadable advisory", "seq", m.Seq, "error", err)
		} else if err := c.sweep(ctx, note); err != nil {
			return fmt.Errorf("sweep message %d of %s: %w", note.StreamSeq, note.Stream, err)
		}
		if err := c.Delete(ctx, Advisory, m.Seq); err != nil {
			return err
		}
	}
	return nil
}

func (c *Conn) sweep(ctx context.Context, note exhausted) error {
	m, err := c.next(ctx, note.Stream, ">", note.StreamSeq)
	if errors.Is(err, ErrNotFound) || err == nil && m.Seq != note.StreamSeq {
		return nil // done after all, or swept before
	}
	if err != nil {
		return err
	}
	ev, err := m.Event(ctx)
	if errors.Is(err, ErrRejected) {
		ev = &pb.Event{}
	} else if err != nil {
		return err
	}
	letter := deadLetter(note.Consumer, m.Subject, m.Data, ev)
	letter.Failure, letter.Attempts = pb.FailureClass_FAILURE_CLASS_WORKER_KILLED, int32(note.Deliveries)
	letter.Error = fmt.Sprintf("delivered %d times and never acknowledged", note.Deliveries)
	if err := c.publishDead(ctx, ev, letter, m.Seq); err != nil {
		return err
	}
	if note.Stream != Tasks {
		return nil // a result stays
	}
	return c.Delete(ctx, Tasks, note.StreamSeq)
}
