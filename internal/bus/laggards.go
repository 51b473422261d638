package bus

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Laggards finds the queues that stand still although their stream has work for them, and gives them another server.
//
// In a cluster a queue is led by one member, and takes what is in that member's copy of the stream. After members were
// killed one was seen (nats-server 2.15) whose copy stayed behind for ever, with no leader in its eyes, while it went on
// leading queues, which then had nothing to give. Its /healthz tells; a person would restart it, and does well to. Until
// then the others have all that is needed.
type Laggards struct {
	conn *Conn
	// missed is the newest message that each queue had not come to at the last look.
	missed map[Source]uint64
}

// NewLaggards has not looked yet.
func NewLaggards(conn *Conn) *Laggards { return &Laggards{conn: conn} }

// Look has a queue step down that has not come to what it was missing at the last look, and believes that it has nothing
// to give. The coordinator looks every few seconds.
func (l *Laggards) Look(ctx context.Context) error {
	missed := map[Source]uint64{}
	for _, stream := range []string{Tasks, Trajectories} {
		if err := l.look(ctx, stream, missed); err != nil {
			return fmt.Errorf("look for queues of %s that stand still: %w", stream, err)
		}
	}
	l.missed = missed
	return nil
}

func (l *Laggards) look(ctx context.Context, stream string, missed map[Source]uint64) error {
	s, err := l.conn.stream(ctx, stream)
	if err != nil || s.CachedInfo().Config.Replicas < 2 {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	queues := s.ListConsumers(ctx)
	for q := range queues.Info() {
		if q.Config.Durable == "" || q.NumPending > 0 {
			continue
		}
		newest, err := l.conn.newest(ctx, stream, filters(q.Config))
		if err != nil {
			return err
		}
		source := Source{stream, q.Name}
		if before := min(l.missed[source], newest); before > q.Delivered.Stream {
			if err := l.conn.stepDown(ctx, source, q); err != nil {
				return err
			}
		}
		if newest > q.Delivered.Stream {
			missed[source] = newest
		}
	}
	return queues.Err()
}

func filters(cfg jetstream.ConsumerConfig) []string {
	if cfg.FilterSubject != "" {
		return []string{cfg.FilterSubject}
	}
	return cfg.FilterSubjects
}

// stepDown has another member lead a queue (NATS, CONSUMER.LEADER.STEPDOWN).
func (c *Conn) stepDown(ctx context.Context, s Source, q *jetstream.ConsumerInfo) error {
	leader := ""
	if q.Cluster != nil {
		leader = q.Cluster.Leader
	}
	c.log.Warn("a queue stands still: its server's copy of the stream is behind; another server takes it over; "+
		"look at /healthz of the one that had it, and restart it", "stream", s.Stream, "consumer", s.Consumer, "server", leader)
	reply, err := c.nc.RequestWithContext(ctx, api("CONSUMER.LEADER.STEPDOWN", s.Stream, s.Consumer), nil)
	if err != nil {
		return fmt.Errorf("ask %s/%s for another leader: %w", s.Stream, s.Consumer, c.explain(err))
	}
	var said struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &said); err != nil {
		return fmt.Errorf("ask %s/%s for another leader: %w", s.Stream, s.Consumer, err)
	}
	if said.Error != nil {
		return fmt.Errorf("ask %s/%s for another leader: %w", s.Stream, s.Consumer, said.Error)
	}
	return nil
}
