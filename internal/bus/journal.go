package bus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Journal is the finished steps of one trajectory, and the attempts at it while it is a suspect. Each append names the last
// sequence that this worker saw on the subject, so that of two workers on one trajectory only one can go on.
type Journal struct {
	conn    *Conn
	id      *pb.Identity
	subject string
	// writer tells this opening of the journal from any other: where models are deterministic, two workers append the
	// same content.
	writer string
	opened time.Time
	last   uint64
	// deaths are the workers that began and neither finished a step nor let go, since the last step.
	deaths []string
}

// Deaths are the workers, in order, over which this trajectory may have died: each began it, as a suspect, and no step and
// no letting go came after.
func (j *Journal) Deaths() []string { return j.deaths }

// OpenJournal reads the steps that are there, in order. A fresh trajectory costs one request.
func (c *Conn) OpenJournal(ctx context.Context, id *pb.Identity) (*Journal, []*pb.Step, error) {
	if _, err := ParseID(IDTokens(id)); err != nil { // a wildcard in it would read the journals of others
		return nil, nil, fmt.Errorf("open journal: %w", err)
	}
	j := &Journal{conn: c, id: id, subject: StepSubject(id), writer: rand.Text()[:8], opened: time.Now()}
	var steps []*pb.Step
	for {
		m, err := c.next(ctx, Steps, j.subject, j.last+1)
		if errors.Is(err, ErrNotFound) {
			return j, steps, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read journal %s: %w", j.subject, err)
		}
		ev, err := m.Event(ctx)
		if err != nil && !errors.Is(err, ErrRejected) {
			return nil, nil, fmt.Errorf("read journal %s, message %d: %w", j.subject, m.Seq, err)
		}
		j.last = m.Seq
		if step := ev.GetStep(); step != nil {
			steps = append(steps, step)
		}
		j.note(ev)
	}
}

// note keeps count of the deaths.
func (j *Journal) note(ev *pb.Event) {
	switch attempt := ev.GetAttempt(); {
	case ev.GetStep() != nil:
		j.deaths = nil
	case attempt.GetOver() && len(j.deaths) > 0:
		j.deaths = j.deaths[:len(j.deaths)-1]
	case attempt != nil && !attempt.GetOver():
		j.deaths = append(j.deaths, attempt.GetWorker())
	}
}

// Append writes a finished step. ErrFenced means that somebody else has appended: drop the trajectory.
func (j *Journal) Append(ctx context.Context, step *pb.Step) error {
	return j.append(ctx, fmt.Sprintf("step.%s.%d", IDTokens(j.id), step.GetIndex()), &pb.Event{Body: &pb.Event_Step{Step: step}})
}

// Begin writes that this worker begins; LetGo, that it ends it alive and unfinished. ErrFenced as of Append.
func (j *Journal) Begin(ctx context.Context) error { return j.attempt(ctx, false) }

// LetGo takes the last Begin back.
func (j *Journal) LetGo(ctx context.Context) error { return j.attempt(ctx, true) }

func (j *Journal) attempt(ctx context.Context, over bool) error {
	attempt := &pb.Attempt{Worker: j.conn.producer, Over: over}
	return j.append(ctx, fmt.Sprintf("attempt.%s.%d", IDTokens(j.id), j.last), &pb.Event{Body: &pb.Event_Attempt{Attempt: attempt}})
}

func (j *Journal) append(ctx context.Context, id string, ev *pb.Event) error {
	// With the writer, else the server's window of message ids would tell a stale worker "duplicate" in place of "wrong
	// sequence", and it would go on.
	ev.Id = id + "." + j.writer
	ev.Run, ev.Generation = j.id.GetRun(), j.id.GetGeneration()
	j.conn.fill(j.subject, ev)
	msg, err := j.conn.encode(ctx, j.subject, ev)
	if err != nil {
		return err
	}
	ack, err := j.conn.publish(ctx, msg, jetstream.WithExpectLastSequencePerSubject(j.last))
	switch {
	case err == nil:
		first := j.last == 0
		j.last = ack.Sequence
		j.note(ev)
		return j.stillOpen(ctx, first)
	case isWrongSequence(err):
		if err := j.recognise(ctx, ev.GetId()); err != nil {
			return err
		}
		j.note(ev)
		return nil
	}
	return fmt.Errorf("append to journal %s: %w", j.subject, err)
}

// stillOpen: a journal that was purged after its trajectory was finished is as empty as a new one, and takes the first
// append of a worker that has slept through all of it. Only such a worker need ask, for whom a lease may have passed.
func (j *Journal) stillOpen(ctx context.Context, first bool) error {
	if !first || time.Since(j.opened) < j.conn.cfg.AckWait/2 {
		return nil
	}
	_, err := j.conn.Last(ctx, Trajectories, TrajectorySubject(j.id))
	switch {
	case err == nil:
		return fmt.Errorf("the trajectory of journal %s is finished: %w", j.subject, ErrFenced)
	case errors.Is(err, ErrNotFound):
		return nil
	}
	return err
}

// recognise tells our own append, whose reply was lost, from another worker's.
func (j *Journal) recognise(ctx context.Context, id string) error {
	m, err := j.conn.present(ctx, func() (*Message, error) { return j.conn.next(ctx, Steps, j.subject, j.last+1) })
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("journal %s was purged: %w", j.subject, ErrFenced)
	}
	if err != nil {
		return fmt.Errorf("read back journal %s: %w", j.subject, err)
	}
	if m.Get(HeaderID) != id {
		return fmt.Errorf("journal %s, message %d: %w", j.subject, m.Seq, ErrFenced)
	}
	j.last = m.Seq
	return nil
}

// isWrongSequence: somebody else was first. The code is 10071, on replicated streams sometimes 10164.
func isWrongSequence(err error) bool {
	return isCode(err, jetstream.JSErrCodeStreamWrongLastSequence) || isCode(err, jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}
