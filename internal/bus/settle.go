package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// settleTimeout bounds the settling, and so does the time after which the server delivers a message again, whatever
	// is said: one that was killed may have forgotten the delivery, and never answers its acknowledgement.
	settleTimeout = 15 * time.Second
	firstRetry    = 500 * time.Millisecond
	maxRetry      = 30 * time.Second
)

// settle is the only place where a message's fate is decided.
func (k *consumption) settle(ctx context.Context, msg jetstream.Msg, d *Delivery, err error) {
	drained := errors.Is(context.Cause(ctx), errDrained)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(settleTimeout, k.ackWait))
	defer cancel()
	var later laterError
	var settled error
	var outcome string
	switch {
	case err == nil:
		outcome, settled = "done", k.retry(ctx, msg.DoubleAck)
	case errors.Is(err, ErrFenced):
		outcome = "fenced" // another worker holds the message; acks are not fenced, so ours would take it from there
		k.log.Info("left to the worker that holds it now", "subject", d.Subject, "reason", err)
	case drained:
		outcome, settled = "handed_back", msg.Nak()
	case errors.As(err, new(stopError)):
		outcome, settled = "stopped", msg.Nak()
		k.fatal(err)
	case errors.As(err, &later): // only when we stop, or the deadline has passed
		outcome, settled = "later", msg.NakWithDelay(later.after)
	case IsPermanent(err) || d.Delivered >= k.MaxDeliver:
		outcome, settled = "dead", k.bury(ctx, msg, d, err)
	default:
		delay := retryDelay(d.Delivered)
		k.log.Warn("failed; will be tried again", "subject", d.Subject, "delivery", d.Delivered, "in", delay, "error", err)
		outcome, settled = "retried", msg.NakWithDelay(delay)
	}
	if settled != nil {
		outcome = "unsettled"
		k.log.Warn("not settled; will be redelivered", "subject", d.Subject, "error", k.explain(settled))
	}
	k.metrics.deliveries.WithLabelValues(k.Source.Consumer, outcome).Inc()
}

// retryDelay doubles from firstRetry to maxRetry, half of it jitter.
func retryDelay(delivered int) time.Duration {
	return jittered(min(firstRetry<<min(max(delivered-1, 0), 6), maxRetry))
}

// bury publishes the dead letter and only then terminates the message: the other way round a crash loses it.
func (k *consumption) bury(ctx context.Context, msg jetstream.Msg, d *Delivery, err error) error {
	letter := deadLetter(k.Source.Consumer, d.Subject, msg.Data(), d.Event)
	letter.Failure, letter.Error, letter.Attempts = classOf(err), err.Error(), int32(d.Delivered)
	if err := k.publishDead(ctx, d.Event, letter, d.Seq); err != nil {
		return err
	}
	k.metrics.deadLetters.WithLabelValues(k.Source.Consumer, ClassName(letter.GetFailure())).Inc()
	k.log.Error("dead letter", "subject", d.Subject, "deliveries", d.Delivered, "error", err)
	if err := msg.TermWithReason(reasonLetter + ClassName(letter.GetFailure())); err != nil {
		return fmt.Errorf("terminate: %w", err)
	}
	return nil
}
