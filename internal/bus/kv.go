package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// KV is a bucket of small records with revisions.
type KV struct {
	conn   *Conn
	bucket string
}

// KV names a bucket; it is bound at first use.
func (c *Conn) KV(bucket string) *KV { return &KV{conn: c, bucket: bucket} }

func (k *KV) bind(ctx context.Context) (jetstream.KeyValue, error) {
	if kv, ok := k.conn.buckets.Load(k.bucket); ok {
		return kv.(jetstream.KeyValue), nil
	}
	kv, err := k.conn.js.KeyValue(ctx, k.bucket)
	if err != nil {
		return nil, fmt.Errorf("bind to bucket %s: %w", k.bucket, err)
	}
	k.conn.buckets.Store(k.bucket, kv)
	return kv, nil
}

// do binds and bounds one operation, which must be safe to try twice, and gives its errors our names.
func (k *KV) do(ctx context.Context, what, key string, op func(context.Context, jetstream.KeyValue) error) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := k.conn.retry(ctx, func(ctx context.Context) error {
		kv, err := k.bind(ctx)
		if err != nil {
			return err
		}
		return op(ctx, kv)
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrKeyNotFound), errors.Is(err, jetstream.ErrKeyDeleted):
		return fmt.Errorf("%s/%s: %w", k.bucket, key, ErrNotFound)
	case errors.Is(err, jetstream.ErrBucketNotFound):
		return fmt.Errorf("bucket %s, which the coordinator makes: %w", k.bucket, ErrNotFound)
	case isSwapLost(err):
		return fmt.Errorf("%s/%s: %w", k.bucket, key, ErrConflict)
	}
	return fmt.Errorf("%s %s/%s: %w", what, k.bucket, key, err)
}

func isSwapLost(err error) bool {
	return errors.Is(err, jetstream.ErrKeyExists) || isWrongSequence(err)
}

// Get is the value and its revision.
func (k *KV) Get(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	err = k.do(ctx, "get", key, func(ctx context.Context, kv jetstream.KeyValue) error {
		entry, err := kv.Get(ctx, key)
		if err == nil {
			value, revision = entry.Value(), entry.Revision()
		}
		return err
	})
	return value, revision, err
}

// Create writes a key that is not there; else ErrConflict.
func (k *KV) Create(ctx context.Context, key string, value []byte) (revision uint64, err error) {
	return k.swap(ctx, "create", key, value, 0, func(ctx context.Context, kv jetstream.KeyValue) (uint64, error) {
		return kv.Create(ctx, key, value)
	})
}

// Update swaps the value if the key is still at the revision; else ErrConflict.
func (k *KV) Update(ctx context.Context, key string, value []byte, last uint64) (revision uint64, err error) {
	return k.swap(ctx, "update", key, value, last, func(ctx context.Context, kv jetstream.KeyValue) (uint64, error) {
		return kv.Update(ctx, key, value, last)
	})
}

// swap tells a lost race from our own write whose reply was lost: that one left our value there.
func (k *KV) swap(ctx context.Context, what, key string, value []byte, last uint64, write func(context.Context, jetstream.KeyValue) (uint64, error)) (revision uint64, err error) {
	unanswered := false
	err = k.do(ctx, what, key, func(ctx context.Context, kv jetstream.KeyValue) (err error) {
		revision, err = write(ctx, kv)
		if unanswered && isSwapLost(err) {
			if entry, readErr := kv.Get(ctx, key); readErr == nil && entry.Revision() > last && bytes.Equal(entry.Value(), value) {
				revision, err = entry.Revision(), nil
			}
		}
		unanswered = err != nil // if it is tried again, then because no answer came
		return err
	})
	return revision, err
}

// Delete marks a key as gone.
func (k *KV) Delete(ctx context.Context, key string) error {
	return k.do(ctx, "delete", key, func(ctx context.Context, kv jetstream.KeyValue) error { return kv.Delete(ctx, key) })
}

// deleteAt is Delete if the key is still at the revision; else ErrConflict.
func (k *KV) deleteAt(ctx context.Context, key string, last uint64) error {
	return k.do(ctx, "delete", key, func(ctx context.Context, kv jetstream.KeyValue) error {
		return kv.Delete(ctx, key, jetstream.LastRevision(last))
	})
}

// Erase removes a key with its history, as if it had never been there.
func (k *KV) Erase(ctx context.Context, key string) error {
	return k.conn.Purge(ctx, "KV_"+k.bucket, "$KV."+k.bucket+"."+key)
}

// Revisions lists the keys there are, each with its revision.
func (k *KV) Revisions(ctx context.Context) (all map[string]uint64, err error) {
	err = k.do(ctx, "list", "*", func(ctx context.Context, kv jetstream.KeyValue) error {
		watch, err := kv.WatchAll(ctx, jetstream.MetaOnly(), jetstream.IgnoreDeletes())
		if err != nil {
			return err
		}
		defer func() { _ = watch.Stop() }()
		all = map[string]uint64{}
		for {
			select {
			case entry, ok := <-watch.Updates():
				if !ok {
					return nats.ErrDisconnected // tried again
				}
				if entry == nil { // that was all
					return nil
				}
				all[entry.Key()] = entry.Revision()
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	return all, err
}

// Keys lists the keys there are.
func (k *KV) Keys(ctx context.Context) (keys []string, err error) {
	err = k.do(ctx, "list", "*", func(ctx context.Context, kv jetstream.KeyValue) error {
		list, err := kv.ListKeys(ctx)
		if err != nil {
			return err
		}
		keys = nil
		for key := range list.Keys() {
			keys = append(keys, key)
		}
		return ctx.Err()
	})
	return keys, err
}

// Revision is one value that a key had.
type Revision struct {
	Value    []byte
	Revision uint64
	Time     time.Time
}

// History is the values that a key had, oldest first, as far as the bucket keeps them.
func (k *KV) History(ctx context.Context, key string) (all []Revision, err error) {
	err = k.do(ctx, "read history of", key, func(ctx context.Context, kv jetstream.KeyValue) error {
		entries, err := kv.History(ctx, key)
		all = nil
		for _, e := range entries {
			if e.Operation() != jetstream.KeyValuePut {
				continue // it was deleted in between
			}
			all = append(all, Revision{Value: e.Value(), Revision: e.Revision(), Time: e.Created()})
		}
		return err
	})
	return all, err
}
