// Package workertest runs a worker's handler on a real embedded bus, so that a plug-in's test needs no server.
//
// Promise: when Run returns, every task was either acknowledged or given up, and what the handler published is in
// the streams. A task that was given up fails the test with its dead letter's error.
package workertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/worker"
)

const (
	runName = "test"
	// patience bounds a whole Run.
	patience = time.Minute
	// deliveries of a task before it is given up: one retry is enough to see that it is retried.
	deliveries = 2
)

// Run gives the handler one task for each of args and waits until all are settled. The results are in the order
// of args; nil where the handler wrote none.
func Run(t testing.TB, kind string, handle worker.Handler, args ...map[string]any) []*pb.Result {
	t.Helper()
	conn := devstack.TestBus(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := conn.AddKind(ctx, kind); err != nil {
		t.Fatal(err)
	}
	for i, a := range args {
		if err := publish(ctx, conn, kind, taskID(i), a); err != nil {
			t.Fatal(err)
		}
	}
	serve(ctx, t, conn, kind, handle, len(args))
	results := make([]*pb.Result, len(args))
	for i := range args {
		var err error
		if results[i], err = result(ctx, conn, kind, taskID(i)); err != nil {
			t.Fatal(err)
		}
	}
	return results
}

func taskID(i int) string { return fmt.Sprintf("task-%d", i) }

func publish(ctx context.Context, conn *bus.Conn, kind, id string, args map[string]any) error {
	fields, err := structpb.NewStruct(args)
	if err != nil {
		return fmt.Errorf("arguments of %s: %w", id, err)
	}
	return conn.PublishTask(ctx, runName, 0, &pb.Task{Id: id, Kind: kind, Work: &pb.Task_Args{Args: fields}})
}

// serve serves the kind until n tasks are done or given up.
func serve(ctx context.Context, t testing.TB, conn *bus.Conn, kind string, handle worker.Handler, n int) {
	t.Helper()
	serving, stop := context.WithCancel(ctx)
	defer stop()
	done, ended := make(chan string, n), make(chan error, 2)
	go func() {
		ended <- conn.Follow(serving, bus.Dead, bus.FollowOptions{}, func(m *bus.Message) error {
			event, err := m.Event(serving)
			if err == nil {
				t.Errorf("task given up: %s: %s", event.GetDeadLetter().GetSubject(), event.GetDeadLetter().GetError())
				done <- event.GetDeadLetter().GetSubject()
			}
			return err
		})
	}()
	go func() {
		ended <- worker.Serve(serving, conn, worker.Kind{
			Name: kind, Deadline: patience, Drain: time.Second, MaxDeliver: deliveries,
			Handle: func(ctx context.Context, task *worker.Task) error {
				err := handle(ctx, task)
				if err == nil {
					done <- task.GetId()
				}
				return err
			},
		})
	}()
	settled, left := map[string]bool{}, 2
	for len(settled) < n && left == 2 {
		select {
		case id := <-done:
			settled[id] = true
		case err := <-ended:
			left--
			t.Errorf("serving kind %s ended early, %d of %d tasks settled: %v", kind, len(settled), n, errors.Join(err, context.Cause(ctx)))
		}
	}
	stop()
	for range left {
		if err := <-ended; err != nil {
			t.Errorf("serve kind %s: %v", kind, err)
		}
	}
}

func result(ctx context.Context, conn *bus.Conn, kind, id string) (*pb.Result, error) {
	message, err := conn.Last(ctx, bus.Results, bus.ResultSubject(kind, runName, 0, id))
	if errors.Is(err, bus.ErrNotFound) {
		return nil, nil //nolint:nilnil // a handler need not write a result
	}
	if err != nil {
		return nil, fmt.Errorf("read result of %s: %w", id, err)
	}
	event, err := message.Event(ctx)
	return event.GetResult(), err
}
