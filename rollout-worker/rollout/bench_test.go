package rollout_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Every call ends in a journal entry that is synced to the disk, one after the other. On a slow disk these figures are the
// disk's; with TMPDIR on a memory disk they are the worker's.

func quietRig(b *testing.B) *rig {
	r := newRig(b, long)
	r.cfg.Log.Level = "error"
	return r
}

// BenchmarkCalls is what a worker can ask of an endpoint that answers at once: journal, search and this process's own
// endpoint included.
func BenchmarkCalls(b *testing.B) {
	e, r := newEndpoint(b), quietRig(b)
	r.work(b, 64, 0)
	load(b, e, r, 64)
}

// BenchmarkBoundedEndpoint is the share of its capacity that an endpoint of 64 calls at once, 50 ms each, is kept busy. A
// trajectory spends some time between its calls, in the journal and the search: as many slots as the endpoint has leave it
// idle meanwhile, half as many again do not.
func BenchmarkBoundedEndpoint(b *testing.B) {
	const capacity, latency = 64, 50 * time.Millisecond
	for _, c := range []struct{ workers, slots int }{{1, 64}, {1, 96}, {3, 32}} {
		b.Run(fmt.Sprintf("workers=%d/slots=%d", c.workers, c.slots), func(b *testing.B) {
			e, r := newEndpoint(b), quietRig(b)
			places := make(chan struct{}, capacity)
			e.intercept(func(http.ResponseWriter, *http.Request, call) bool {
				places <- struct{}{}
				<-time.After(latency)
				<-places
				return true
			})
			for range c.workers {
				r.work(b, c.slots, 0)
			}
			rate := load(b, e, r, c.workers*c.slots)
			b.ReportMetric(100*rate*latency.Seconds()/capacity, "%busy")
		})
	}
}

// load keeps twice as many trajectories outstanding as can be in flight, and is the calls per second that come of it. An
// iteration is a trajectory.
func load(b *testing.B, e *endpoint, r *rig, inFlight int) (rate float64) {
	const shard = 4
	finished := make(chan struct{}, 1<<16)
	r.follow(b, finished)
	published := 0
	publish := func() {
		r.publish(b, task(e, fmt.Sprint("s", published), shard, 1))
		published++
	}
	for range 2*inFlight/shard + 1 {
		publish()
	}
	for range inFlight { // the first come all at once, and spread over the steps meanwhile
		receive(b, "a trajectory", finished)
	}
	for range inFlight / shard {
		publish()
	}
	before, _ := e.calls()
	for n := 0; b.Loop(); n++ {
		receive(b, "a trajectory", finished)
		if n%shard == 0 {
			publish()
		}
	}
	after, _ := e.calls()
	rate = float64(after-before) / b.Elapsed().Seconds()
	b.ReportMetric(rate, "calls/s")
	return rate
}

// follow reports every trajectory that is finished.
func (r *rig) follow(b *testing.B, finished chan<- struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() {
		o := bus.FollowOptions{Filters: []string{bus.RunFilter(bus.Trajectories, run)}, HeadersOnly: true}
		if err := r.conn.Follow(ctx, bus.Trajectories, o, func(*bus.Message) error { finished <- struct{}{}; return nil }); err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(func() { cancel(); following.Wait() })
}

// BenchmarkTrajectorySize marshals a typical trajectory: two searches, four candidates for each of its eight steps.
func BenchmarkTrajectorySize(b *testing.B) {
	e, r := newEndpoint(b), quietRig(b)
	r.work(b, 1, 0)
	r.publish(b, task(e, "a", 1, 1))
	r.settled(b)
	var typical *pb.Trajectory
	for _, typical = range r.completed(b, 1) {
	}
	size := 0
	for b.Loop() {
		data, err := proto.Marshal(typical)
		if err != nil {
			b.Fatal(err)
		}
		size = len(data)
	}
	b.ReportMetric(float64(size), "bytes")
}

// BenchmarkMemoryInFlight is what a trajectory in flight holds while it waits for its last call but one: heap and stacks, its
// connection included, the endpoint's side left out as far as it can be. An iteration is as many trajectories.
func BenchmarkMemoryInFlight(b *testing.B) {
	const inFlight = 256
	kib := 0.0
	for b.Loop() {
		kib = max(kib, memoryInFlight(b, inFlight))
	}
	b.ReportMetric(kib, "KiB/trajectory")
}

func memoryInFlight(b *testing.B, inFlight int) (kib float64) {
	e, r := newEndpoint(b), quietRig(b)
	w := r.work(b, inFlight, 0)
	r.publish(b, task(e, "warm", 1, 1))
	r.settled(b)
	before := memory()

	var held atomic.Int64
	conns := make(chan net.Conn, inFlight)
	e.intercept(func(rw http.ResponseWriter, _ *http.Request, c call) bool {
		if c.kind != "relevance" {
			return true
		}
		conn, _, err := http.NewResponseController(rw).Hijack() // no goroutine of the server waits with us
		if err != nil {
			b.Error(err)
			return false
		}
		conns <- conn
		held.Add(1)
		return false
	})
	r.publish(b, task(e, "held", inFlight/4, 4))
	await(b, "all trajectories in flight", func() bool { return int(held.Load()) == inFlight })
	kib = float64(memory()-before) / float64(inFlight) / 1024
	w.kill()
	for range inFlight {
		_ = (<-conns).Close()
	}
	return kib
}

// memory in use, in bytes, after everything that is garbage is gone.
func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
