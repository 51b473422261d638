package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ratchet-rl/ratchet/internal/config"
)

// Streams, by the names that the NATS CLI shows.
const (
	Tasks        = "TASKS"
	Steps        = "STEPS"
	Trajectories = "TRAJECTORIES"
	Feedback     = "FEEDBACK"
	Verdicts     = "VERDICTS"
	Results      = "RESULTS"
	Training     = "TRAINING"
	Evals        = "EVALS"
	Runs         = "RUNS"
	Dead         = "DEAD"
	Advisory     = "ADVISORY"
)

// Limits of the topology that no installation should need to change.
const (
	maxTaskSize    = 256 << 10
	maxMessageSize = 1 << 20
	maxTasks       = 200_000
	maxTaskBytes   = 2 << 30
	maxBucketBytes = 256 << 20 // some thousand runs; when it is full, nothing is lost and nothing more is decided
	maxWaiting     = 4096      // the default of 512 idles pods without saying so
	maxBatch       = 16        // refuses a client's default prefetch of 500, which hoards
	maxExpires     = time.Minute
	// dedupNone is the shortest window of message ids that a server takes; 0 would mean its default of two minutes.
	dedupNone    = 100 * time.Millisecond
	dedupResults = 2 * time.Hour
	day          = 24 * time.Hour
	// sparedDeliveries beyond bus.max_deliver are for workers that do not write dead letters themselves; what they
	// exhaust is swept by the coordinator.
	sparedDeliveries = 8
)

// builtinKinds are the task kinds that our own roles serve.
var builtinKinds = []string{"rollout", "build", "train", "deploy", "evaluate"}

// Topology is every stream, consumer and bucket, as data: printed, compared, applied.
type Topology struct {
	Streams   []jetstream.StreamConfig   `json:"streams"`
	Consumers []Consumer                 `json:"consumers"`
	Buckets   []jetstream.KeyValueConfig `json:"buckets"`
}

// Consumer is a durable consumer and its stream.
type Consumer struct {
	Stream string                   `json:"stream"`
	Config jetstream.ConsumerConfig `json:"config"`
}

// NewTopology is the topology of an installation. Rankers, judges and further kinds are added as runs and
// operators name them (AddRanker, AddJudge, AddKind).
func NewTopology(cfg config.Bus) Topology {
	t := Topology{
		Streams: []jetstream.StreamConfig{
			tasks(cfg),
			journal(cfg),
			writtenOnce(cfg, Trajectories, familyTrajectory, "finished trajectories, completed or failed"),
			writtenOnce(cfg, Feedback, familyFeedback, "rankings of the candidates of every step"),
			writtenOnce(cfg, Verdicts, familyVerdict, "True or False on draft and final answer"),
			writtenOnce(cfg, Results, familyResult, "what plug-ins' tasks produced"),
			log(cfg, Training, familyTraining, "mixtures, job progress, checkpoints, deployments"),
			log(cfg, Evals, familyEval, "reports and decisions"),
			log(cfg, Runs, familyRun, "runs' logs: phases entered and left, by whom, why"),
			dead(cfg),
			advisory(cfg),
		},
		Buckets: []jetstream.KeyValueConfig{
			bucket(cfg, "runs", 5, "runs' specs, states and controls"),
			bucket(cfg, "models", 64, "promoted.<run>: the promoted policy"),
			bucket(cfg, "prompts", 5, "prompt templates in use, by hash"),
			leases(cfg),
		},
	}
	for _, kind := range append(append([]string{}, builtinKinds...), cfg.Kinds...) {
		t.Consumers = append(t.Consumers, taskConsumer(cfg, kind))
	}
	return t
}

func stream(cfg config.Bus, name, family, description string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: name, Subjects: []string{subject(family, ">")}, Description: description, Storage: jetstream.FileStorage,
		Replicas: cfg.Replicas, Discard: jetstream.DiscardNew, Compression: jetstream.S2Compression, AllowDirect: true,
		MaxMsgSize: maxMessageSize, MaxBytes: cfg.MaxBytes, MaxMsgs: -1, MaxMsgsPerSubject: -1, MaxConsumers: -1,
		Metadata: map[string]string{"app": "ratchet", "schema": "ratchet.v1.Event"},
	}
}

// tasks has no MaxAge: it would drop work silently. Its depth is the work left.
func tasks(cfg config.Bus) jetstream.StreamConfig {
	s := stream(cfg, Tasks, familyTask, "work to do; depth is work left")
	s.Retention = jetstream.WorkQueuePolicy
	s.MaxMsgs, s.MaxBytes, s.MaxMsgSize = maxTasks, min(cfg.MaxBytes, maxTaskBytes), maxTaskSize+64<<10
	s.MaxMsgsPerSubject, s.DiscardNewPerSubject = 1, true
	s.Duplicates = dedupNone // uniqueness is the subject's: a finished task may be published again
	return s
}

func journal(cfg config.Bus) jetstream.StreamConfig {
	s := stream(cfg, Steps, familyStep, "the step journal of trajectories in flight")
	s.MaxAge, s.Duplicates = 30*day, dedupResults
	return s
}

func writtenOnce(cfg config.Bus, name, family, description string) jetstream.StreamConfig {
	s := stream(cfg, name, family, description)
	s.MaxMsgsPerSubject, s.DiscardNewPerSubject, s.Duplicates = 1, true, dedupResults
	return s
}

func log(cfg config.Bus, name, family, description string) jetstream.StreamConfig {
	s := stream(cfg, name, family, description)
	s.Duplicates = dedupResults
	return s
}

func dead(cfg config.Bus) jetstream.StreamConfig {
	s := stream(cfg, Dead, familyDead, "dead letters, with the original message in them")
	s.MaxAge, s.Duplicates = 30*day, dedupResults
	return s
}

func advisory(cfg config.Bus) jetstream.StreamConfig {
	s := stream(cfg, Advisory, "", "the server's notes on messages that were given up")
	s.Subjects = []string{"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>", "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>"}
	s.Discard, s.MaxAge, s.MaxBytes, s.Metadata = jetstream.DiscardOld, 7*day, 64<<20, map[string]string{"app": "ratchet"}
	return s
}

func bucket(cfg config.Bus, name string, history uint8, description string) jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{
		Bucket: name, History: history, Description: description, Replicas: cfg.Replicas, Storage: jetstream.FileStorage,
		MaxBytes: min(cfg.MaxBytes, maxBucketBytes),
		Metadata: map[string]string{"app": "ratchet"},
	}
}

// leases expire by the bucket's TTL: an update through the KV interface would drop a TTL of the key's own.
func leases(cfg config.Bus) jetstream.KeyValueConfig {
	b := bucket(cfg, "leases", 1, "who leads")
	b.TTL = cfg.LeaseTTL
	return b
}

// pull is a durable pull consumer. It has no BackOff: together with delayed negative acks the server computes
// other delays than asked for.
func pull(cfg config.Bus, name, filter, description string) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: name, Description: description, FilterSubject: filter, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: cfg.AckWait, MaxDeliver: cfg.MaxDeliver + sparedDeliveries, MaxAckPending: cfg.MaxAckPending, MaxWaiting: maxWaiting,
		MaxRequestBatch: maxBatch, MaxRequestExpires: maxExpires, Metadata: map[string]string{"app": "ratchet"},
	}
}

func taskConsumer(cfg config.Bus, kind string) Consumer {
	return Consumer{Tasks, pull(cfg, kind, subject(familyTask, kind, ">"), "tasks of kind "+kind)}
}

func rankConsumer(cfg config.Bus, ranker string) Consumer {
	return Consumer{Trajectories, pull(cfg, rankPrefix+ranker, subject(familyTrajectory, "*.*.*", purposeGrow, ">"), "trajectories for ranker "+ranker)}
}

func judgeConsumer(cfg config.Bus, judge string) Consumer {
	return Consumer{Trajectories, pull(cfg, judgePrefix+judge, subject(familyTrajectory, "*.*.*", purposeEval, ">"), "trajectories for judge "+judge)}
}

// Apply makes or updates everything, and waits while the servers are still finding a leader. Only the coordinator
// calls it: an older process that did would silently revert newer settings. Several coordinators do so in turn, because
// a cluster answers nobody of those that make the same stream at once, and each of them waits.
func (c *Conn) Apply(ctx context.Context, t Topology) error {
	if err := c.ensureBucket(ctx, leases(c.cfg)); err != nil {
		return err
	}
	turn, end := context.WithCancel(ctx)
	defer end()
	var applied error
	elected := c.Elect(turn, "topology", func(context.Context, uint64) error {
		defer end()
		applied = c.apply(ctx, t) // also when the lease is lost: the turn saves time, it is no lock
		return nil
	})
	return cmp.Or(elected, applied, ctx.Err())
}

// ensureBucket makes a bucket if it is missing.
func (c *Conn) ensureBucket(ctx context.Context, b jetstream.KeyValueConfig) error {
	err := c.retry(ctx, func(ctx context.Context) error {
		_, err := c.js.KeyValue(ctx, b.Bucket)
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			_, err = c.js.CreateOrUpdateKeyValue(ctx, b)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("make bucket %s: %w", b.Bucket, err)
	}
	return nil
}

func (c *Conn) apply(ctx context.Context, t Topology) error {
	for _, s := range t.Streams {
		err := c.retry(ctx, func(ctx context.Context) error {
			_, err := c.js.CreateOrUpdateStream(ctx, s)
			return err
		})
		if err != nil {
			return fmt.Errorf("make stream %s: %w", s.Name, err)
		}
	}
	for _, b := range t.Buckets {
		err := c.retry(ctx, func(ctx context.Context) error {
			_, err := c.js.CreateOrUpdateKeyValue(ctx, b)
			return err
		})
		if err != nil {
			return fmt.Errorf("make bucket %s: %w", b.Bucket, err)
		}
	}
	for _, consumer := range t.Consumers {
		if err := c.add(ctx, consumer); err != nil {
			return err
		}
	}
	return nil
}

func (c *Conn) add(ctx context.Context, consumer Consumer) error {
	if !isToken(consumer.Config.Durable) {
		return fmt.Errorf("make consumer %s/%s: want a name of a-z, 0-9 and dashes", consumer.Stream, consumer.Config.Durable)
	}
	err := c.retry(ctx, func(ctx context.Context) error {
		_, err := c.js.CreateOrUpdateConsumer(ctx, consumer.Stream, consumer.Config)
		return err
	})
	if err != nil {
		return fmt.Errorf("make consumer %s/%s: %w", consumer.Stream, consumer.Config.Durable, err)
	}
	return nil
}

// AddKind makes the queue of a task kind. Idempotent, as the next two; the coordinator's.
func (c *Conn) AddKind(ctx context.Context, kind string) error {
	return c.add(ctx, taskConsumer(c.cfg, kind))
}

// AddRanker makes the consumer through which a ranker follows grown trajectories, and its queue of those to look at again.
func (c *Conn) AddRanker(ctx context.Context, ranker string) error {
	if err := c.add(ctx, rankConsumer(c.cfg, ranker)); err != nil {
		return err
	}
	return c.AddKind(ctx, rankPrefix+ranker)
}

// AddJudge makes the consumer through which a judge follows evaluation trajectories, and its queue of those to look at
// again.
func (c *Conn) AddJudge(ctx context.Context, judge string) error {
	if err := c.add(ctx, judgeConsumer(c.cfg, judge)); err != nil {
		return err
	}
	return c.AddKind(ctx, judgePrefix+judge)
}
