package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/bus"
)

// clustered makes a cluster of three servers, and three copies of everything, of a site's bus.
func clustered(t *testing.T, s site) site {
	t.Helper()
	for range 3 {
		s.members = append(s.members, freeAddress(t))
	}
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	changes := strings.NewReplacer(
		`url: "nats://`+s.bus, `url: "nats://`+strings.Join(s.members, ",nats://"),
		"bus: {", "bus: {replicas: 3, ")
	write(t, s.config, changes.Replace(string(text)))
	return s
}

// servers are the places of a site's nats-servers.
func servers(t *testing.T, s site) (all []*player) {
	t.Helper()
	if len(s.members) == 0 {
		return []*player{natsServer(t, s, busName, s.bus, "")}
	}
	var routes []string
	for range s.members {
		routes = append(routes, freeAddress(t))
	}
	for i, member := range s.members {
		all = append(all, natsServer(t, s, fmt.Sprintf("n%d", i), member, fmt.Sprintf(
			"cluster { name: e2e, listen: %q, routes: [nats://%s] }\n", routes[i], strings.Join(routes, ", nats://"))))
	}
	return all
}

// natsServer is one nats-server. It syncs each write before it says so.
func natsServer(t *testing.T, s site, name, address, cluster string) *player {
	t.Helper()
	p := &player{name: name, role: busName, course: s.course, http: freeAddress(t)}
	file := filepath.Join(s.dir, name+".conf")
	users := ""
	if fileExists(filepath.Join(s.dir, "users", bus.UsersFile)) { // TestProcesses
		users = fmt.Sprintf("include %q\n", "users/"+bus.UsersFile)
	}
	write(t, file, fmt.Sprintf("server_name: %s\nlisten: %q\nhttp: %q\njetstream { store_dir: %q, sync_interval: always, max_file_store: 64G }\n%s%s",
		name, address, p.http, filepath.Join(s.dir, name), cluster, users))
	p.launch = func() *process { return startProgram(t, nil, filepath.Join(programs, busName), "--config", file) }
	return p
}

// unhealthy is how long a server may say that it is not well before it is started again, as a person would do who reads
// what the coordinator logs: some that were killed keep a copy of a stream that never catches up.
const unhealthy = 20 * time.Second

// healthy waits until every server has caught up with the others.
func (c *cast) healthy() {
	c.t.Helper()
	for _, p := range c.bus {
		since := time.Now()
		eventually(c.t, "health of "+p.name, time.Minute, func() bool {
			well, said := p.well()
			if !well && time.Since(since) > unhealthy {
				c.t.Logf("%s is started again; it says %s", p.name, said)
				p.kill()
				p.begin()
				since = time.Now()
			}
			return well
		})
	}
}

func (p *player) well() (well bool, said string) {
	reply, err := http.Get("http://" + p.http + "/healthz")
	if err != nil {
		return false, err.Error()
	}
	defer reply.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(reply.Body, 1<<10))
	return reply.StatusCode == http.StatusOK, string(text)
}

// leader is the server that leads a stream; that leads the cluster, if the stream is "".
func (c *cast) leader(stream string) (leads *player) {
	c.t.Helper()
	eventually(c.t, "a leader of "+stream, time.Minute, func() bool {
		for _, p := range c.bus {
			if name := p.leaderOf(stream); name != "" {
				for _, q := range c.bus {
					if q.name == name {
						leads = q
					}
				}
				return leads != nil
			}
		}
		return false
	})
	return leads
}

// leaderOf is whom a server believes to lead.
func (p *player) leaderOf(stream string) string {
	reply, err := http.Get("http://" + p.http + "/jsz?accounts=true&streams=true")
	if err != nil {
		return ""
	}
	defer reply.Body.Close()
	type group struct{ Leader string }
	var said struct {
		Meta     group `json:"meta_cluster"`
		Accounts []struct {
			Streams []struct {
				Name    string
				Cluster group
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	if json.NewDecoder(reply.Body).Decode(&said) != nil {
		return ""
	}
	if stream == "" {
		return said.Meta.Leader
	}
	for _, account := range said.Accounts {
		for _, s := range account.Streams {
			if s.Name == stream {
				return s.Cluster.Leader
			}
		}
	}
	return ""
}
