package bus

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Stored is a message as a stream holds it, without the headers that the server acts on: what an archive keeps.
type Stored struct {
	Subject string              `json:"subject"`
	Header  map[string][]string `json:"header"`
	Data    []byte              `json:"data"`
}

// serverHeader begins the headers that the server acts on, in any case.
const serverHeader = "nats-"

// Stored is the message for an archive.
func (m *Message) Stored() Stored {
	s := Stored{Subject: m.Subject, Header: map[string][]string{}, Data: m.Data}
	for key, values := range m.header {
		if !isServerHeader(key) {
			s.Header[key] = values
		}
	}
	return s
}

// Size is a message's bytes, as streams count them but for a few.
func (m *Message) Size() int64 {
	size := int64(len(m.Subject) + len(m.Data))
	for key, values := range m.header {
		for _, value := range values {
			size += int64(len(key) + len(value))
		}
	}
	return size
}

func isServerHeader(key string) bool { return strings.HasPrefix(strings.ToLower(key), serverHeader) }

// Check says why a message cannot have been a run's.
func (s Stored) Check(run string) error {
	subject, err := ParseSubject(s.Subject)
	if err != nil {
		return err
	}
	if subject.Run != run {
		return fmt.Errorf("subject %q: want one of run %s", s.Subject, run)
	}
	for key, values := range s.Header {
		if isServerHeader(key) {
			return fmt.Errorf("%s: header %q: only the server's own may begin with Nats-", s.Subject, key)
		}
		if strings.ContainsAny(key+strings.Join(values, ""), "\r\n") || key == "" || strings.ContainsAny(key, ": ") {
			return fmt.Errorf("%s: header %q is none", s.Subject, key)
		}
	}
	return nil
}

// Equal compares subject, headers and data.
func (s Stored) Equal(other Stored) bool {
	return s.Subject == other.Subject && bytes.Equal(s.Data, other.Data) && maps.EqualFunc(s.Header, other.Header, slices.Equal)
}

// Restore writes a message as it was. Its message id is made anew, because the server may remember the old one from
// before a purge, or from two messages that had the same. ErrConflict: another one stands on a subject that takes one.
func (c *Conn) Restore(ctx context.Context, s Stored) error {
	subject, err := ParseSubject(s.Subject)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	msg := nats.NewMsg(s.Subject)
	for key, values := range s.Header {
		msg.Header[key] = values
	}
	msg.Header[HeaderID] = []string{"restored." + rand.Text()}
	msg.Data = s.Data
	_, err = c.publish(ctx, msg)
	switch {
	case isSubjectTaken(err) && subject.Family == familyTask:
		return nil // it waits already
	case isSubjectTaken(err):
		standing, err := c.present(ctx, func() (*Message, error) { return c.Last(ctx, families[subject.Family].stream, s.Subject) })
		if err != nil {
			return fmt.Errorf("read what stands on %s: %w", s.Subject, err)
		}
		if !standing.Stored().Equal(s) {
			return fmt.Errorf("%s has another content: %w", s.Subject, ErrConflict)
		}
		return nil
	case err != nil:
		return fmt.Errorf("restore %s: %w", s.Subject, err)
	}
	return nil
}

// Empty says whether a stream holds nothing that matches filter.
func (c *Conn) Empty(ctx context.Context, stream, filter string) (bool, error) {
	_, err := c.next(ctx, stream, filter, 1)
	if errors.Is(err, ErrNotFound) {
		return true, nil
	}
	return false, err
}

// republished sends a message again whose id the server remembers though the message is gone: a purge does not clear
// the window of message ids, so the server calls a duplicate what it no longer has.
func (c *Conn) republished(ctx context.Context, msg *nats.Msg, ack *jetstream.PubAck, opts []jetstream.PublishOpt) (*jetstream.PubAck, error) {
	_, err := c.present(ctx, func() (*Message, error) { return c.acknowledged(ctx, msg, ack) })
	if !errors.Is(err, ErrNotFound) {
		return ack, err
	}
	msg.Header[HeaderID] = []string{msg.Header[HeaderID][0] + ".again." + rand.Text()}
	return c.send(ctx, msg, opts)
}

// acknowledged is the message that an acknowledgement means. Where it is alone on its subject it is asked for by that,
// which is all that some writers may.
func (c *Conn) acknowledged(ctx context.Context, msg *nats.Msg, ack *jetstream.PubAck) (*Message, error) {
	s, err := ParseSubject(msg.Subject)
	if err != nil {
		return nil, err
	}
	if families[s.Family].once || msg.Header[HeaderID][0] == idOf(msg.Subject) {
		return c.Last(ctx, ack.Stream, msg.Subject)
	}
	m, err := c.next(ctx, ack.Stream, ">", ack.Sequence)
	if err == nil && m.Seq != ack.Sequence {
		return nil, ErrNotFound
	}
	return m, err
}
