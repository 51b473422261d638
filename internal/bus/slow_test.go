package bus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/devstack"
)

// fill publishes so many trajectories of 200 kB, and fails if one of them takes longer than it ever should.
func fill(t *testing.T, conn *bus.Conn, from, to int) {
	t.Helper()
	text := strings.Repeat("word ", 40<<10)
	for i := from; i < to; i++ {
		begin, id := time.Now(), identity(fmt.Sprintf("pool-%d", i))
		if _, err := conn.Publish(t.Context(), bus.TrajectorySubject(id), trajectory(id, text)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("publishing trajectory %d took %v", i, took)
		}
	}
}

// A client that subscribes to everything and never reads is cut off by the server; who publishes does not notice.
func TestSubscriberThatDoesNotRead(t *testing.T) {
	t.Parallel()
	url := devstack.TestNATS(t)
	conn := devstack.TestConn(t, devstack.TestConfig(url))
	if err := conn.Apply(t.Context(), bus.NewTopology(devstack.TestConfig(""))); err != nil {
		t.Fatal(err)
	}
	idle, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if _, err := io.WriteString(idle, "CONNECT {\"verbose\":false}\r\nSUB ratchet.> 1\r\nPING\r\n"); err != nil {
		t.Fatal(err)
	}
	fill(t, conn, 0, 400) // 80 MB: more than a server holds for one client
	if err := idle.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	read, err := io.Copy(io.Discard, idle)
	if err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the server still holds %d bytes and the line for a client that does not read: %v", read, err)
	}
	if read > 72<<20 {
		t.Errorf("the server held %d bytes for a client that does not read", read)
	}
}

// A follower that stands still is sent no more than it may hold; the rest stays on disk, and it gets all of it later.
func TestFollowerThatStandsStill(t *testing.T) {
	t.Parallel()
	url := devstack.TestNATS(t)
	conn := devstack.TestConn(t, devstack.TestConfig(url))
	if err := conn.Apply(t.Context(), bus.NewTopology(devstack.TestConfig(""))); err != nil {
		t.Fatal(err)
	}
	const all = 150 // 30 MB; a follower may hold 8 MiB
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	standing, goOn, got, ended := make(chan struct{}), make(chan struct{}), make(chan string, all), make(chan error, 1)
	go func() {
		ended <- conn.Follow(ctx, bus.Trajectories, bus.FollowOptions{}, func(m *bus.Message) error {
			if m.Seq == 1 {
				close(standing)
				<-goOn
			}
			got <- m.Subject
			return nil
		})
	}()
	fill(t, conn, 0, 1)
	<-standing
	fill(t, conn, 1, all)
	if waiting := pending(t, url); waiting < all/2 {
		t.Errorf("%d of %d messages wait on disk, want most of them", waiting, all)
	}
	close(goOn)
	for range all {
		select {
		case <-got:
		case <-time.After(20 * time.Second):
			t.Fatal("the follower does not go on")
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// pending is what the stream's only consumer was not sent yet.
func pending(t *testing.T, url string) uint64 {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), bus.Trajectories)
	if err != nil {
		t.Fatal(err)
	}
	consumers := stream.ListConsumers(t.Context())
	for info := range consumers.Info() {
		return info.NumPending
	}
	t.Fatalf("nobody follows: %v", consumers.Err())
	return 0
}
