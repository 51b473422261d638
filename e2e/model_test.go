package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/llm"
	"github.com/ratchet-rl/ratchet/internal/pocket/demo"
	"github.com/ratchet-rl/ratchet/internal/pocket/reader"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Models that the server answers as.
const (
	novice  = "novice"  // the policy of generation 0: has bad habits
	trained = "trained" // begins the names of later ones: has none
	judge   = "judge"
)

// latency of a call: long enough that calls are in flight when a process is killed.
const latency = 40 * time.Millisecond

// call identifies an LLM call: the same call is answered the same.
type call struct {
	model, prompt string // prompt is a hash
	seed          int64
}

// course is what one course of a run asked of the model server.
type course struct {
	mu       sync.Mutex // guards what follows
	answered map[call]int
	history
	// jobs counts the trainer's starts by target and mixture.
	jobs map[string]int
	// asks counts requests, answered or not; flying is those that are in flight.
	asks   map[call]int
	flying map[*flight]bool
	// pace is how long a call of the policies takes, judging one of the judge's; weather is what comes in their place.
	pace, judging time.Duration
	weather       weather
	// quotes is how many calls are still refused with the API key in the refusal, as some servers do.
	quotes int
	// trouble sees a call before it is answered; true: it has dealt with it, and there was no answer. It may be nil.
	trouble func(http.ResponseWriter, *http.Request, request) bool
}

// models is the model server of all tests. Its address is part of a policy's name and so of the mixture, hence one
// server; the API key tells the courses apart.
var models = sync.OnceValue(func() *server { return newServer(nil) })

// newServer listens where it is told to, else somewhere; it ends with the process.
func newServer(l net.Listener) *server {
	s := &server{courses: map[string]*course{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"data":[]}`) })
	mux.HandleFunc("POST /v1/completions", s.complete)
	mux.HandleFunc("POST /v1/chat/completions", s.complete)
	mux.HandleFunc("POST /jobs", s.train)
	s.Server = httptest.NewUnstartedServer(mux)
	if l != nil {
		s.Listener.Close()
		s.Listener = l
	}
	s.Start()
	return s
}

type server struct {
	*httptest.Server
	mu      sync.Mutex // guards courses
	courses map[string]*course
}

// course is the course with that API key.
func (s *server) course(key string) *course {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.courses[key] == nil {
		s.courses[key] = &course{
			answered: map[call]int{}, jobs: map[string]int{}, history: newHistory(),
			asks: map[call]int{}, flying: map[*flight]bool{}, pace: latency, judging: latency,
		}
	}
	return s.courses[key]
}

// of is the course of a request and who asks.
func (s *server) of(r *http.Request) (c *course, asker string) {
	key, asker, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), keyEnd)
	return s.course(key), asker
}

// request is the body of completions or chat.
type request struct {
	Model    string
	Prompt   string
	Messages []struct{ Content string }
	N        int
	Seed     int64
}

func (s *server) complete(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Session-Id") == llm.ProbeAffinity { // no call of a course
		http.Error(w, "no probes", http.StatusBadRequest)
		return
	}
	var body request
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, m := range body.Messages {
		body.Prompt += m.Content
	}
	sum := sha256.Sum256([]byte(body.Prompt))
	c, asker := s.of(r)
	if c.quote() {
		http.Error(w, "Incorrect API key provided: "+r.Header.Get("Authorization"), http.StatusInternalServerError)
		return
	}
	key := call{body.Model, hex.EncodeToString(sum[:8]), body.Seed}
	if trouble := c.troubled(); trouble != nil && trouble(w, r, body) {
		return
	}
	c.asked(key, body, asker)
	if c.spoilt(w, r) {
		return
	}
	f, answered := c.depart(key, asker), false
	defer func() { c.arrive(f, answered) }()
	reply, err := answer(r.Context(), body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case <-time.After(c.takes(body.Model)):
	case <-r.Context().Done(): // killed: nothing was answered, nothing is paid
		return
	}
	_, err = w.Write(reply)
	answered = err == nil
}

// quote says whether this call is refused with its key.
func (c *course) quote() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quotes--
	return c.quotes >= 0
}

func (c *course) troubled() func(http.ResponseWriter, *http.Request, request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trouble
}

// troubles sets what befalls calls from now on.
func (c *course) troubles(trouble func(http.ResponseWriter, *http.Request, request) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trouble = trouble
}

// answer is a function of the request.
func answer(ctx context.Context, body request) ([]byte, error) {
	texts := []string{reader.Answer(body.Prompt)}
	if body.Model != judge {
		var err error
		if texts, err = play(ctx, body); err != nil {
			return nil, err
		}
	}
	type message struct {
		Content string `json:"content"`
	}
	type logprobs struct {
		Tokens []float64 `json:"token_logprobs"`
	}
	type choice struct {
		Index    int       `json:"index"`
		Text     string    `json:"text"`
		Message  message   `json:"message"`
		Finish   string    `json:"finish_reason"`
		Logprobs *logprobs `json:"logprobs"`
	}
	var choices []choice
	for i, text := range texts {
		likely := fnv.New32a()
		fmt.Fprint(likely, text, body.Seed+int64(i))
		choices = append(choices, choice{i, text, message{text}, "stop", &logprobs{[]float64{-float64(likely.Sum32()%1000+1) / 1000}}})
	}
	return json.Marshal(map[string]any{
		"choices": choices, "usage": map[string]int{"prompt_tokens": len(body.Prompt) / 4, "completion_tokens": len(texts)},
	})
}

// play writes candidates as pocket's demonstrator would.
func play(ctx context.Context, body request) ([]string, error) {
	habits := demo.Sloppy
	if strings.HasPrefix(body.Model, trained) {
		habits = demo.Sloppiness{}
	}
	samples, err := demo.NewTeacher(1, habits).Sample(ctx, agent.Request{
		Kind: kindOf(body.Prompt), Prompt: body.Prompt, Seed: body.Seed, N: body.N,
	})
	var texts []string
	for _, s := range samples.Samples {
		texts = append(texts, s.Text)
	}
	return texts, err
}

// kindOf reads the last line of a bare prompt.
func kindOf(prompt string) pb.StepKind {
	_, name, _ := strings.Cut(prompt, "\n# Step: ")
	return pb.StepKind(pb.StepKind_value["STEP_KIND_"+strings.ToUpper(strings.TrimSpace(name))])
}

// train is told that a trainer starts.
func (s *server) train(_ http.ResponseWriter, r *http.Request) {
	job, _ := io.ReadAll(r.Body)
	c, _ := s.of(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs[string(job)]++
}

// calls is the number of different calls that were answered, and how many answers were repetitions, of the
// policies' and of the judge's calls. The judge is asked the same twice undisturbed, too, where two policies gave the
// same answer.
func (c *course) calls() (different, repeatedPolicy, repeatedJudge int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, n := range c.answered {
		if key.model == judge {
			repeatedJudge += n - 1
		} else {
			repeatedPolicy += n - 1
		}
	}
	return len(c.answered), repeatedPolicy, repeatedJudge
}

// begun is the number of training jobs that have begun.
func (c *course) begun() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.jobs)
}

// checkJobs: one start for each of the run's targets.
func (c *course) checkJobs(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for job, starts := range c.jobs {
		if starts != 1 {
			t.Errorf("training job %s was started %d times", job, starts)
		}
	}
	if len(c.jobs) != len(targets) {
		t.Errorf("%d training jobs, want one for each of %q: %v", len(c.jobs), targets, c.jobs)
	}
}

func (c *course) String() string {
	different, policy, judge := c.calls()
	return fmt.Sprintf("%d calls, repeated %d of the policies' and %d of the judge's", different, policy, judge)
}

// post tells the model server about a job.
func post(url, key string, job []byte) error {
	r, err := http.NewRequest(http.MethodPost, url+"/jobs", bytes.NewReader(job))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+key)
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	return reply.Body.Close()
}
