package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

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
	if id, err := AgainOf(ev.GetTask()); err == nil {
		return []*pb.Identity{id}
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

// A ranker's or judge's letter is about a trajectory, which is in its stream still and cannot be published again. What is
// replayed is a task of the kind that gave it up, rank-<ranker> or judge-<judge>, with the trajectory's identity as its
// argument.
const argTrajectory = "trajectory"

// Again is the task for a ranker or judge to look at a trajectory again.
func Again(kind string, id *pb.Identity) *pb.Task {
	return &pb.Task{Id: Token(IDTokens(id)), Kind: kind, Work: &pb.Task_Args{Args: &structpb.Struct{
		Fields: map[string]*structpb.Value{argTrajectory: structpb.NewStringValue(IDTokens(id))},
	}}}
}

// AgainOf is the trajectory that a task made by Again is about.
func AgainOf(t *pb.Task) (*pb.Identity, error) {
	if !strings.HasPrefix(t.GetKind(), rankPrefix) && !strings.HasPrefix(t.GetKind(), judgePrefix) {
		return nil, fmt.Errorf("task %s of kind %q: want one of %s<ranker> or %s<judge>", t.GetId(), t.GetKind(), rankPrefix, judgePrefix)
	}
	id, err := ParseID(t.GetArgs().GetFields()[argTrajectory].GetStringValue())
	if err != nil {
		return nil, fmt.Errorf("task %s: argument %s: %w", t.GetId(), argTrajectory, err)
	}
	return id, nil
}

// Replay publishes a dead letter's task again, or for a trajectory the task to look at it again. It is one task however
// often it is published, while it is outstanding; what is done already costs it one look-up.
func (c *Conn) Replay(ctx context.Context, letter *pb.DeadLetter) error {
	s, err := ParseSubject(letter.GetSubject())
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if s.Family == familyTrajectory {
		return c.PublishTask(ctx, s.Run, s.Generation, Again(letter.GetKind(), s.Identity))
	}
	if s.Family != familyTask {
		return fmt.Errorf("replay %s: want a letter of a task or of a trajectory", letter.GetSubject())
	}
	ev, err := Decode("", letter.GetPayload())
	if err != nil {
		return fmt.Errorf("replay %s: %w", letter.GetSubject(), err)
	}
	buried := ev.GetId()
	ev.Time, ev.Producer = nil, ""
	if shard := ev.GetTask().GetShard(); shard != nil {
		shard.Suspect = false // the cause is gone; the deaths in its journal count no more
	}
	for deadline := time.Now().Add(replayPatience); ; {
		ev.Id = ""
		ack, err := c.Publish(ctx, letter.GetSubject(), ev)
		if err != nil || !ack.Existing {
			return err
		}
		standing, err := c.First(ctx, Tasks, letter.GetSubject())
		switch {
		case err == nil && standing.GetId() != buried:
			return nil // it has been replayed before, or was published again
		case err != nil && !errors.Is(err, ErrNotFound):
			return err
		case time.Now().After(deadline):
			return fmt.Errorf("replay %s: the task is there still; whoever wrote the letter has not given it up, and it will be delivered again", letter.GetSubject())
		}
		if err := wait(ctx, bindEvery/10); err != nil { // the letter is there a moment before the task is given up
			return err
		}
	}
}

// replayPatience is how long a replay waits for the task to be given up that its letter is about.
const replayPatience = 5 * time.Second

// notice is the part of a max-deliveries or terminated advisory that we need.
type notice struct {
	Stream     string `json:"stream"`
	Consumer   string `json:"consumer"`
	StreamSeq  uint64 `json:"stream_seq"`
	Deliveries int    `json:"deliveries"`
	Reason     string `json:"reason"` // of a termination
}

const (
	advisoryMaxDeliveries = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES."
	advisoryTerminated    = "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED."
	// reasonLetter begins the reason with which we terminate: the letter is written.
	reasonLetter = "dead letter: "
)

// SweepAdvisories carries messages that the server gave up, or that a worker terminated without a word, to the dead
// letters: the safety net for workers that do not write dead letters themselves. Idempotent; the coordinator calls it.
func (c *Conn) SweepAdvisories(ctx context.Context) error {
	var filters []string
	for _, stream := range []string{Tasks, Trajectories} {
		filters = append(filters, advisoryMaxDeliveries+stream+".>", advisoryTerminated+stream+".>")
	}
	for m, err := range c.Read(ctx, Advisory, filters...) {
		if err != nil {
			return fmt.Errorf("sweep advisories: %w", err)
		}
		var note notice
		if err := json.Unmarshal(m.Data, &note); err != nil {
			c.log.Warn("unreadable advisory", "seq", m.Seq, "error", err)
		} else if err := c.sweep(ctx, note, strings.HasPrefix(m.Subject, advisoryTerminated)); err != nil {
			return fmt.Errorf("sweep message %d of %s: %w", note.StreamSeq, note.Stream, err)
		}
		if err := c.Delete(ctx, Advisory, m.Seq); err != nil {
			return err
		}
	}
	return nil
}

func (c *Conn) sweep(ctx context.Context, note notice, terminated bool) error {
	if terminated && isLetterWritten(note.Reason) {
		return nil
	}
	m, err := c.next(ctx, note.Stream, ">", note.StreamSeq)
	gone := errors.Is(err, ErrNotFound) || err == nil && m.Seq != note.StreamSeq
	switch {
	case gone && terminated: // a task goes with its termination
		return c.publishDead(ctx, &pb.Event{}, terminatedLetter(note), note.StreamSeq)
	case gone:
		return nil // done after all, or swept before
	case err != nil:
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
	if terminated {
		said := terminatedLetter(note)
		letter.Failure, letter.Error = said.GetFailure(), said.GetError()
	}
	if err := c.publishDead(ctx, ev, letter, m.Seq); err != nil {
		return err
	}
	if note.Stream != Tasks {
		return nil // a result stays
	}
	return c.Delete(ctx, Tasks, note.StreamSeq)
}

// isLetterWritten: it was one of ours who terminated. Before the prefix, the reason was the bare class.
func isLetterWritten(reason string) bool {
	_, class := pb.FailureClass_value["FAILURE_CLASS_"+strings.ToUpper(reason)]
	return class || strings.HasPrefix(reason, reasonLetter)
}

// terminatedLetter is the letter of a message that a worker terminated without writing one. What the message was is not
// known where it is gone.
func terminatedLetter(note notice) *pb.DeadLetter {
	return &pb.DeadLetter{
		Kind: note.Consumer, Failure: pb.FailureClass_FAILURE_CLASS_OTHER, Attempts: int32(note.Deliveries),
		Error: fmt.Sprintf("message %d of %s was terminated by a worker that wrote no dead letter; it gave the reason %q", note.StreamSeq, note.Stream, note.Reason),
	}
}
