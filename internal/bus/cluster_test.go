package bus_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
)

// cluster starts three servers that are one, and is their URLs. conf is more of their configuration, if it is not empty.
func cluster(t *testing.T, conf string) (servers []*server.Server, urls string) {
	t.Helper()
	ports := freePorts(t, 3)
	var routes []*url.URL
	for _, port := range ports {
		routes = append(routes, &url.URL{Scheme: "nats", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))})
	}
	var clients []string
	for i, port := range ports {
		options := &server.Options{
			ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(),
			NoSigs: true, NoLog: true, Routes: routes,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: port},
		}
		if conf != "" {
			if err := options.ProcessConfigFile(conf); err != nil {
				t.Fatal(err)
			}
		}
		s, err := server.NewServer(options)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		servers = append(servers, s)
	}
	for _, s := range servers {
		if !s.ReadyForConnections(10 * time.Second) {
			t.Fatal("server not ready")
		}
		clients = append(clients, s.ClientURL())
	}
	return servers, strings.Join(clients, ",")
}

// freePorts are ports that are free now: every member of a cluster must know the others' beforehand.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// TestCluster: on replicated streams, a conflict has another code, reads may come from a replica that lags, and a
// server may go; all of it looks the same from here.
func TestCluster(t *testing.T) {
	t.Parallel()
	servers, urls := cluster(t, "")
	cfg := devstack.TestConfig(urls)
	cfg.Replicas, cfg.MaxBytes = 3, 16<<20
	conn, id := devstack.TestConn(t, cfg), identity("pool-1")
	if err := conn.Apply(t.Context(), bus.NewTopology(cfg)); err != nil { // the cluster is still finding its leader
		t.Fatal(err)
	}
	stale, _, err := conn.OpenJournal(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	fresh, _, err := conn.OpenJournal(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for i := range int32(5) {
		if i == 2 {
			servers[1].Shutdown()
		}
		if err := fresh.Append(t.Context(), step(i, "fresh")); err != nil {
			t.Fatal(err)
		}
	}
	if err := stale.Append(t.Context(), step(0, "stale")); !errors.Is(err, bus.ErrFenced) {
		t.Errorf("%v, want ErrFenced", err)
	}
	kv := conn.KV("runs")
	revision, err := kv.Create(t.Context(), "a", []byte("0"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Update(t.Context(), "a", []byte("1"), revision); err != nil {
		t.Error(err)
	}
	if _, err := kv.Update(t.Context(), "a", []byte("2"), revision); !errors.Is(err, bus.ErrConflict) {
		t.Errorf("%v, want ErrConflict", err)
	}
	if err := conn.PublishTask(t.Context(), "r", 1, task("a")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bus.Ack{{Seq: 1}, {Seq: 1, Existing: true}} {
		if ack, err := conn.Publish(t.Context(), bus.TrajectorySubject(id), trajectory(id, "a")); err != nil || ack != want {
			t.Errorf("%+v, %v; want %+v", ack, err, want)
		}
	}
}

// TestClusterWithKeys: a confined role does its work through any of the servers, whichever leads, and no more.
func TestClusterWithKeys(t *testing.T) {
	t.Parallel()
	users := t.TempDir()
	if _, err := bus.WriteUsers(users, config.Default()); err != nil {
		t.Fatal(err)
	}
	servers, urls := cluster(t, filepath.Join(users, bus.UsersFile))
	cfg := devstack.TestConfig(urls)
	cfg.Replicas, cfg.MaxBytes, cfg.NKeyFile = 3, 16<<20, bus.SeedFile(users, "{role}")
	as := func(role, url string) *bus.Conn {
		cfg := cfg
		cfg.URL = url
		conn, err := bus.Connect(t.Context(), cfg, bus.Options{Role: role, Log: devstack.TestLog(t)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		return conn
	}
	coordinator := as(bus.RoleCoordinator, urls)
	if err := coordinator.Apply(t.Context(), bus.NewTopology(cfg)); err != nil {
		t.Fatal(err)
	}
	for i, s := range servers {
		worker, id := as(bus.RoleRollout, s.ClientURL()), identity(fmt.Sprintf("pool-%d", i))
		if err := coordinator.PublishTask(t.Context(), "r", 1, task(fmt.Sprintf("a%d", i))); err != nil {
			t.Fatal(err)
		}
		ctx, done := context.WithTimeout(t.Context(), 20*time.Second)
		err := worker.Consume(ctx, bus.Loop{Source: bus.TaskSource("rollout"), Drain: 10 * time.Second}, func(ctx context.Context, _ *bus.Delivery) error {
			defer done()
			journal, _, err := worker.OpenJournal(ctx, id)
			if err != nil {
				return err
			}
			if err := journal.Append(ctx, step(0, "a")); err != nil {
				return err
			}
			_, err = worker.Publish(ctx, bus.TrajectorySubject(id), trajectory(id, "a"))
			return err
		})
		if err != nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Errorf("server %d: %v, %v", i, err, ctx.Err())
		}
		seeing, seen := context.WithTimeout(t.Context(), 20*time.Second) // the replica that is asked may lag
		one := bus.FollowOptions{Filters: []string{bus.TrajectorySubject(id)}}
		if err := coordinator.Follow(seeing, bus.Trajectories, one, func(*bus.Message) error { seen(); return nil }); err != nil || errors.Is(seeing.Err(), context.DeadlineExceeded) {
			t.Errorf("server %d: the trajectory: %v, %v", i, err, seeing.Err())
		}
		seen()
		if _, err := worker.Publish(t.Context(), bus.VerdictSubject("llm", id), trajectory(id, "a")); !errors.Is(err, bus.ErrDenied) {
			t.Errorf("server %d: a verdict: %v, want ErrDenied", i, err)
		}
	}
	depth, err := coordinator.Depth(t.Context(), bus.TaskSource("rollout"))
	if err != nil || depth != (bus.Depth{}) {
		t.Errorf("%+v, %v; want an empty queue", depth, err)
	}
}

// TestCoordinatorsStartTogether: on a new cluster, of which everybody wants the streams at once.
func TestCoordinatorsStartTogether(t *testing.T) {
	t.Parallel()
	_, urls := cluster(t, "")
	cfg := devstack.TestConfig(urls)
	cfg.Replicas, cfg.MaxBytes, cfg.LeaseTTL = 3, 16<<20, 10*time.Second // the default, which a busy machine renews in time
	begin := time.Now()
	var both sync.WaitGroup
	for range 2 {
		conn := devstack.TestConn(t, cfg)
		both.Go(func() {
			if err := conn.Apply(t.Context(), bus.NewTopology(cfg)); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if took := time.Since(begin); took > 2*time.Minute {
		t.Errorf("the topology took %v, want seconds: the cluster left both without an answer, stream by stream", took)
	}
}
