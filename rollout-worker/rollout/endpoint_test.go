package rollout_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// call is what identifies an LLM call: the same call asks for the same samples.
type call struct {
	prompt string // sha256, as in a step's record
	seed   int64
	kind   string // of the step, as a bare prompt says
	text   string // the prompt
}

// key is a call without what follows from the prompt.
func (c call) key() call { return call{prompt: c.prompt, seed: c.seed} }

// endpoint is an OpenAI-like server that answers as a function of prompt and seed, and counts the calls it answered.
type endpoint struct {
	*httptest.Server

	mu       sync.Mutex // guards what follows
	answered map[call]int
	// before sees a call before it is answered; false: it has dealt with it, the call does not count.
	before func(w http.ResponseWriter, r *http.Request, c call) bool
	// say is the text of a candidate, script by default.
	say func(c call, candidate int) string
}

func newEndpoint(t testing.TB) *endpoint {
	e := &endpoint{answered: map[call]int{}, say: script}
	e.Server = httptest.NewServer(e)
	t.Cleanup(func() { e.Close() })
	return e
}

// revive serves again at the address of before.
func (e *endpoint) revive(t testing.TB) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", e.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	e.Server = httptest.NewUnstartedServer(e)
	_ = e.Listener.Close()
	e.Listener = listener
	e.Start()
}

func (e *endpoint) intercept(before func(http.ResponseWriter, *http.Request, call) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.before = before
}

func (e *endpoint) speak(say func(call, int) string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.say = say
}

// calls is how many were answered; most is how often one of them was.
func (e *endpoint) calls() (all, most int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range e.answered {
		all, most = all+n, max(most, n)
	}
	return all, most
}

func (e *endpoint) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.answered)
}

// ServeHTTP answers completions.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/completions" {
		http.NotFound(w, r)
		return
	}
	var body struct {
		Prompt string
		Seed   int64
		N      int
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c := newCall(body.Prompt, body.Seed)
	e.mu.Lock()
	before, say := e.before, e.say
	e.mu.Unlock()
	if before != nil && !before(w, r, c) {
		return
	}
	e.mu.Lock()
	e.answered[c.key()]++
	e.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(completion(c, body.N, say))
}

func newCall(prompt string, seed int64) call {
	sum := sha256.Sum256([]byte(prompt))
	_, kind, _ := strings.Cut(prompt, "\n# Step: ")
	return call{prompt: hex.EncodeToString(sum[:]), seed: seed, kind: strings.TrimSpace(kind), text: prompt}
}

// completion is a reply of n choices, each with a log-probability of its own.
func completion(c call, n int, say func(call, int) string) []byte {
	var choices []string
	for i := range n {
		h := fnv.New32a()
		fmt.Fprint(h, c.prompt, c.seed+int64(i))
		choices = append(choices, fmt.Sprintf(`{"index":%d,"text":%q,"finish_reason":"stop","logprobs":{"token_logprobs":[-0.%d,-0.5]}}`, i, say(c, i), h.Sum32()))
	}
	return fmt.Appendf(nil, `{"choices":[%s],"usage":{"prompt_tokens":%d,"completion_tokens":%d}}`, strings.Join(choices, ","), len(c.text)/4, 2*n)
}

const thoughts = "The question asks for two things; what was found so far settles one of them, so I look for the other in what is shown here."

// script searches as often as it may, selects the first link shown, and passes its checks. Candidates differ.
func script(c call, i int) string {
	text := fmt.Sprintf("%s (%d)", thoughts, i)
	switch c.kind {
	case "decision":
		if strings.Contains(c.text, "REMAINING_SEARCHES: int = 0\n") {
			return fmt.Sprintf(`ActionWrapper(thoughts="%s", action=Terminate())`, text)
		}
		return fmt.Sprintf(`ActionWrapper(thoughts="%s", action=Search(query='river delta %d'))`, text, i)
	case "summarization":
		shown := c.text[strings.LastIndex(c.text, "CURRENT_SEARCH_RESULTS"):]
		_, id, _ := strings.Cut(shown, "link_id=")
		id, _, _ = strings.Cut(id, ")")
		return fmt.Sprintf(`LinkSelection(grounded_summarization='%s [link_id=%s]', thoughts="%s", selected_link_ids=[%s])`, text, id, text, id)
	case "answer":
		return fmt.Sprintf(`Answer(thoughts="%s", answer="the delta, %d")`, text, i)
	}
	return fmt.Sprintf("# %s\nCheck_Answer(passed=True)", text)
}
