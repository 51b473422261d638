package llm_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/llm"
)

// member is one of several servers of a model. It answers each call of completions with the seeds it was asked for,
// unless its trouble has answered.
type member struct {
	*httptest.Server
	asked   atomic.Int64
	trouble atomic.Pointer[func(w http.ResponseWriter, r *http.Request, seed, n int) bool]

	mu       sync.Mutex // guards answered
	answered map[int]int
}

func newMember(t *testing.T) *member {
	t.Helper()
	m := &member{answered: map[int]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data":[]}`) })
	mux.HandleFunc("POST /v1/completions", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Seed, N int }
		_ = json.NewDecoder(r.Body).Decode(&body)
		m.asked.Add(1)
		if trouble := m.trouble.Load(); trouble != nil && (*trouble)(w, r, body.Seed, body.N) {
			return
		}
		m.answer(w, body.Seed, body.N)
	})
	m.Server = httptest.NewServer(mux)
	t.Cleanup(m.Close)
	return m
}

func (m *member) answer(w http.ResponseWriter, seed, n int) {
	var choices []string
	m.mu.Lock()
	for i := range n {
		m.answered[seed+i]++
		choices = append(choices, fmt.Sprintf(`{"index":%d,"text":"%d"}`, i, seed+i))
	}
	m.mu.Unlock()
	fmt.Fprintf(w, `{"choices":[%s],"usage":{"prompt_tokens":3,"completion_tokens":%d}}`, strings.Join(choices, ","), n)
}

func (m *member) befalls(trouble func(w http.ResponseWriter, r *http.Request, seed, n int) bool) {
	m.trouble.Store(&trouble)
}

func refuse(status int, header ...string) func(http.ResponseWriter, *http.Request, int, int) bool {
	return func(w http.ResponseWriter, r *http.Request, _, _ int) bool {
		say(status, `{"error":{"message":"no"}}`, header...)(w, r)
		return true
	}
}

// shared asks all members for calls of n choices, so many at a time, and checks that each choice was answered once, as it
// was asked for.
func shared(t *testing.T, c *llm.Client, members []*member, calls, n, atOnce int) {
	t.Helper()
	var endpoints []string
	for _, m := range members {
		endpoints = append(endpoints, m.URL+"/v1")
	}
	next, failed := make(chan int), make(chan error, calls)
	var asking sync.WaitGroup
	for range atOnce {
		asking.Go(func() {
			for call := range next {
				r := request(endpoints[0], n)
				r.Endpoints, r.Seed, r.Affinity = endpoints, int64(call*n), fmt.Sprintf("decision.%d", call)
				out, err := c.Complete(t.Context(), r)
				if err != nil {
					failed <- err
					continue
				}
				for i, choice := range out.Choices {
					if choice.Text != fmt.Sprint(call*n+i) || len(out.Choices) != n {
						failed <- fmt.Errorf("call %d: choice %d of %d is %q", call, i, len(out.Choices), choice.Text)
					}
				}
			}
		})
	}
	for call := range calls {
		next <- call
	}
	close(next)
	asking.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	times := map[int]int{}
	for _, m := range members {
		for seed, n := range m.answered {
			times[seed] += n
		}
	}
	for seed := range calls * n {
		if times[seed] != 1 {
			t.Errorf("choice %d was answered %d times", seed, times[seed])
		}
	}
}

// TestPool: one sick endpoint of three takes nobody down, and is left alone.
func TestPool(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]func(http.ResponseWriter, *http.Request, int, int) bool{
		"none":         nil,
		"server error": refuse(500),
		"no model":     refuse(404),
		"wrong key":    refuse(401),
		"overloaded":   refuse(503),
		"no money": func(w http.ResponseWriter, r *http.Request, _, _ int) bool {
			say(429, `{"error":{"code":"insufficient_quota"}}`)(w, r)
			return true
		},
		"far off":    refuse(429, "Retry-After", "3600"),
		"a web page": func(w http.ResponseWriter, _ *http.Request, _, _ int) bool { fmt.Fprint(w, "<html>"); return true },
		"cut off":    func(http.ResponseWriter, *http.Request, int, int) bool { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := settings()
			cfg.OpenFor = time.Minute
			members := []*member{newMember(t), newMember(t), newMember(t)}
			if trouble != nil {
				members[1].befalls(trouble)
			}
			const calls, atOnce = 120, 6
			shared(t, newClient(t, cfg), members, calls, 2, atOnce)
			switch asked := members[1].asked.Load(); {
			case trouble == nil && asked == 0: // shares follow speed, which a busy machine decides
				t.Errorf("%d of %d calls for one of three", asked, calls)
			case trouble != nil && asked > 2*atOnce:
				t.Errorf("the sick one was asked %d times; want it left alone", asked)
			}
			for _, m := range []*member{members[0], members[2]} {
				if m.asked.Load() == 0 {
					t.Errorf("a healthy one was asked %d of %d times", m.asked.Load(), calls)
				}
			}
		})
	}
}

// TestRevival: one that was ill for long gets its share again once it is well.
func TestRevival(t *testing.T) {
	t.Parallel()
	well, ill := newMember(t), newMember(t)
	ill.befalls(refuse(500))
	cfg := settings()
	cfg.OpenAfter, cfg.OpenFor = 2, time.Millisecond
	c := newClient(t, cfg)
	seed := 0
	until := func(done func() bool) {
		for begin := time.Now(); !done(); seed++ {
			if time.Since(begin) > 10*time.Second {
				t.Fatalf("the ill one was asked %d times, the other %d", ill.asked.Load(), well.asked.Load())
			}
			r := request(well.URL+"/v1", 1)
			r.Endpoints, r.Seed, r.Affinity = []string{well.URL + "/v1", ill.URL + "/v1"}, int64(seed), fmt.Sprint(seed)
			if _, err := c.Complete(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
	}
	until(func() bool { return ill.asked.Load() >= 4 })
	ill.befalls(func(http.ResponseWriter, *http.Request, int, int) bool { return false })
	asked := ill.asked.Load()
	until(func() bool { return ill.asked.Load() > asked+10 })
}

// TestPoolMember: what is wrong with one of them here, is not wrong with the others.
func TestPoolMember(t *testing.T) {
	t.Parallel()
	good, gone := newMember(t), newMember(t)
	gone.Close()
	cfg := settings()
	cfg.KeyFiles = map[string]string{"nobody.invalid": filepath.Join(t.TempDir(), "no-such-key")}
	c := newClient(t, cfg)
	r := request(good.URL+"/v1", 2)
	for range 5 {
		r.Endpoints = []string{gone.URL + "/v1", "http://nobody.invalid/v1", good.URL + "/v1"}
		if _, err := c.Complete(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if err := c.Ready(t.Context(), gone.URL+"/v1"); err != nil {
			t.Errorf("who waits for the one that is gone, waits although another serves the model: %v", err)
		}
	}
	r.Endpoints = []string{"http://nobody.invalid/v1"}
	if _, err := c.Complete(t.Context(), r); err == nil || !strings.Contains(err.Error(), "API key") {
		t.Errorf("%v; want the key to be missed", err)
	}
}

// TestHangingMember: one that answers nothing holds its share of the calls, and the others go on.
func TestHangingMember(t *testing.T) {
	t.Parallel()
	quick, hanging := newMember(t), newMember(t)
	release, once := make(chan struct{}), sync.Once{}
	const calls, atOnce = 64, 8
	hanging.befalls(func(_ http.ResponseWriter, r *http.Request, _, _ int) bool {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return false
	})
	quick.befalls(func(http.ResponseWriter, *http.Request, int, int) bool {
		if quick.asked.Load() >= calls-atOnce { // all that the hanging one does not hold
			once.Do(func() { close(release) })
		}
		return false
	})
	shared(t, newClient(t, settings()), []*member{quick, hanging}, calls, 1, atOnce)
	if n := hanging.asked.Load(); n > atOnce {
		t.Errorf("the hanging one got %d of %d calls", n, calls)
	}
}

// TestPartialFailure: choices that one endpoint gave before it failed are kept, and only the others are asked for elsewhere.
func TestPartialFailure(t *testing.T) {
	t.Parallel()
	first, second := newMember(t), newMember(t)
	r := request(first.URL+"/v1", 4)
	r.Endpoints, r.Seed = []string{first.URL + "/v1", second.URL + "/v1"}, 0
	// Whoever is asked first ignores n, and gives of the rest only the third.
	var begun atomic.Bool
	for _, m := range []*member{first, second} {
		var ill atomic.Bool
		m.befalls(func(w http.ResponseWriter, q *http.Request, seed, n int) bool {
			if begun.CompareAndSwap(false, true) {
				ill.Store(true)
				m.answer(w, seed, 1)
				return true
			}
			return ill.Load() && seed != 2 && refuse(500)(w, q, seed, n)
		})
	}
	out, err := newClient(t, settings()).Complete(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	for i, choice := range out.Choices {
		if n := first.answered[i] + second.answered[i]; choice.Text != fmt.Sprint(i) || n != 1 {
			t.Errorf("choice %d is %q, answered %d times", i, choice.Text, n)
		}
	}
	if len(out.Choices) != 4 || out.Calls != 4 || out.CompletionTokens != 4 {
		t.Errorf("%+v; want four choices of four calls that were answered", out)
	}
}

// TestAffinity: calls of one prefix go to one endpoint while it has room, and prefixes spread over all.
func TestAffinity(t *testing.T) {
	t.Parallel()
	members := []*member{newMember(t), newMember(t), newMember(t)}
	c := newClient(t, settings())
	r := request(members[0].URL+"/v1", 1)
	r.Endpoints = []string{members[0].URL + "/v1", members[1].URL + "/v1", members[2].URL + "/v1"}
	used := map[int]bool{}
	for prefix := range 30 {
		homes := map[int]bool{}
		for range 3 {
			before := []int64{members[0].asked.Load(), members[1].asked.Load(), members[2].asked.Load()}
			r.Affinity = fmt.Sprintf("decision.%d", prefix)
			if _, err := c.Complete(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			for i, m := range members {
				if m.asked.Load() > before[i] {
					homes[i], used[i] = true, true
				}
			}
		}
		if len(homes) != 1 {
			t.Errorf("prefix %d was sent to %d endpoints", prefix, len(homes))
		}
	}
	if len(used) != 3 {
		t.Errorf("only %d of 3 endpoints are used", len(used))
	}
}

// rated allows so many calls at once and that many more a second, and says so in its headers (OpenAI, "Rate limits").
type rated struct {
	mu      sync.Mutex // guards all below
	left    float64
	at      time.Time
	refused int
}

const (
	ratedBurst = 5.0
	ratedEach  = 50.0 // a second
)

func (l *rated) trouble(w http.ResponseWriter, r *http.Request, seed, n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.left, l.at = min(ratedBurst, l.left+ratedEach*now.Sub(l.at).Seconds()), now
	allowed := l.left >= 1
	if allowed {
		l.left--
	}
	for what, value := range map[string]string{
		"Limit": fmt.Sprint(ratedBurst), "Remaining": fmt.Sprint(int(l.left)),
		"Reset": time.Duration((ratedBurst - l.left) / ratedEach * float64(time.Second)).String(),
	} {
		w.Header().Set("x-ratelimit-"+what+"-requests", value)
	}
	if allowed {
		return false
	}
	l.refused++
	return refuse(429, "Retry-After", "0.02")(w, r, seed, n)
}

// TestSharedRate: three workers that know nothing of each other share an endpoint's rate by what its headers say. All
// calls are answered, each once, each worker's in the end, and few are refused.
func TestSharedRate(t *testing.T) {
	t.Parallel()
	m, limit := newMember(t), &rated{left: ratedBurst, at: time.Now()}
	m.befalls(limit.trouble)
	const workers, calls = 3, 20
	var working sync.WaitGroup
	failed := make(chan error, workers*calls)
	for worker := range workers {
		cfg := settings()
		cfg.Tries, cfg.OpenAfter = 20, 1000
		c := newClient(t, cfg)
		for call := range calls {
			working.Go(func() {
				r := request(m.URL+"/v1", 1)
				r.Seed = int64(worker*calls + call)
				if _, err := c.Complete(t.Context(), r); err != nil {
					failed <- err
				}
			})
		}
	}
	working.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	for seed := range workers * calls {
		if m.answered[seed] != 1 {
			t.Errorf("call %d was answered %d times", seed, m.answered[seed])
		}
	}
	t.Logf("%d calls refused of %d", limit.refused, m.asked.Load())
	if limit.refused > workers*calls*3/2 {
		t.Errorf("%d calls were refused, of %d that were answered", limit.refused, workers*calls)
	}
}

// TestRatedMember: what is above one endpoint's rate goes to the other, which has none.
func TestRatedMember(t *testing.T) {
	t.Parallel()
	slow, free := newMember(t), newMember(t)
	limit := &rated{left: ratedBurst, at: time.Now()}
	slow.befalls(limit.trouble)
	shared(t, newClient(t, settings()), []*member{slow, free}, 200, 1, 4)
	if free.asked.Load() < 100 || slow.asked.Load() == 0 {
		t.Errorf("%d calls for the one with a rate, %d for the one without", slow.asked.Load(), free.asked.Load())
	}
}
