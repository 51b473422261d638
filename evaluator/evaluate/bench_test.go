package evaluate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/dataset"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/llm"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/worker"
)

// bench is the evaluator's two handlers on a real embedded bus, with a blob store on disk and a scripted judge.
type bench struct {
	t          testing.TB
	conn       *bus.Conn
	blobs      blob.Store
	judge      *scriptedJudge
	spec       config.Run
	judging    *judging
	evaluating *evaluating
}

// questions of the benches' evaluation set; the gold answer of bench-007 is gold-007.
const questions = 12

func questionToken(i int) string { return fmt.Sprintf("bench-%03d", i) }
func goldAnswer(i int) string    { return fmt.Sprintf("gold-%03d", i) }

// newBench serves a run named r whose evaluation has three looks, at 1, 2 and 3 repetitions.
func newBench(t testing.TB) *bench {
	t.Helper()
	blobs := openBlobs(t)
	endpoint := newScriptedJudge(t)
	b := &bench{t: t, conn: devstack.TestBus(t), blobs: blobs, judge: endpoint, spec: testSpec(t, blobs, endpoint.url)}
	spec := func(_ context.Context, run string) (config.Run, error) {
		if run != b.spec.Name {
			return config.Run{}, fmt.Errorf("run %s: %w", run, bus.ErrNotFound)
		}
		return b.spec, nil
	}
	log := slog.New(slog.DiscardHandler)
	gold, counters := newGoldSets(blobs), newMetrics(nil)
	model := llm.New(quickLLM(), log, nil)
	b.judging = &judging{name: "llm", conn: b.conn, model: model, gold: gold, spec: spec, metrics: counters}
	b.evaluating = &evaluating{conn: b.conn, gold: gold, spec: spec, metrics: counters, log: log}
	return b
}

func quickLLM() config.LLM {
	c := config.Default().LLM
	c.Tries, c.Timeout, c.Wait, c.OpenAfter, c.OpenFor = 2, 5*time.Second, 10*time.Second, 100, 10*time.Millisecond
	return c
}

func openBlobs(t testing.TB) blob.Store {
	t.Helper()
	blobs, err := blob.Open(t.Context(), config.Blob{URL: "file://" + t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return blobs
}

func testSpec(t testing.TB, blobs blob.Store, endpoint string) config.Run {
	t.Helper()
	var lines bytes.Buffer
	write := dataset.NewLines[dataset.Gold](&lines).Write
	for i := range questions {
		gold := dataset.Gold{Token: questionToken(i), Answers: []string{goldAnswer(i)}}
		if i == 1 {
			gold.Answers = append(gold.Answers, "other-name-001")
		}
		if err := write(gold); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := blob.PutContent(t.Context(), blobs, "gold", "jsonl", lines.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return config.Run{
		Name: "r", Seed: 7,
		Judge: config.Model{Endpoint: endpoint, Model: "scripted", API: "chat", MaxTokens: 64},
		Evaluation: config.Evaluation{
			Set:         config.Source{Name: "bench", GoldURI: stored.URI, Count: questions},
			Repetitions: 3, Looks: []int{1, 2, 3}, Judge: "llm",
		},
		Gate:   config.Gate{Rule: "bootstrap", Level: 0.05, Resamples: 2000},
		Prices: []config.Price{{Of: "scripted", Prompt: 1, Completion: 2}},
	}
}

// scriptedJudge is a judge's HTTP endpoint. It calls an answer right that begins with "right", and quotes the
// reference while it does, unless script says otherwise.
type scriptedJudge struct {
	url string

	mu     sync.Mutex // guards the rest
	calls  int
	script func(call int, prompt string) (status int, text string)
}

func newScriptedJudge(t testing.TB) *scriptedJudge {
	j := &scriptedJudge{}
	server := httptest.NewServer(j)
	t.Cleanup(server.Close)
	j.url = server.URL + "/v1"
	return j
}

func (j *scriptedJudge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var request struct {
		Messages []struct{ Content string }
	}
	if err := json.Unmarshal(body, &request); err != nil || len(request.Messages) == 0 {
		http.Error(w, "want a chat request", http.StatusBadRequest)
		return
	}
	status, text := j.reply(request.Messages[len(request.Messages)-1].Content)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if status != http.StatusOK {
		fmt.Fprintf(w, `{"error":{"message":%q}}`, text)
		return
	}
	fmt.Fprintf(w, `{"id":"1","object":"chat.completion","model":"scripted","choices":[{"index":0,"finish_reason":"stop",`+
		`"message":{"role":"assistant","content":%q}}],"usage":{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110}}`, text)
}

func (j *scriptedJudge) reply(prompt string) (status int, text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.calls++
	if j.script != nil {
		return j.script(j.calls, prompt)
	}
	live := prompt[strings.LastIndex(prompt, "ORIGINAL_QUESTION: str"):]
	return http.StatusOK, opine(strings.Contains(live, "right "), live)
}

// opine is a judge's reply that quotes what it was shown.
func opine(right bool, shown string) string {
	verdict := "False"
	if right {
		verdict = "True"
	}
	return "# I was shown: " + strings.ReplaceAll(shown, "\n", " ") +
		"\nCheck_Answer(ORIGINAL_QUESTION, ANSWER, REF_ANSWER) = " + verdict + "  # [END]"
}

// says scripts one reply for each call; the last one stays.
func (j *scriptedJudge) says(replies ...string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.calls = 0
	j.script = func(call int, _ string) (int, string) {
		reply := replies[min(call, len(replies))-1]
		switch reply {
		case "429":
			return http.StatusTooManyRequests, "slow down"
		case "overflow":
			return http.StatusBadRequest, "this model's maximum context length is 4096 tokens"
		case "500":
			return http.StatusInternalServerError, "broken"
		}
		return http.StatusOK, reply
	}
}

func (j *scriptedJudge) called() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.calls
}

// trajectory is a completed one of generation g, target own.
func trajectory(g, question, sample int, draft, answer string) *pb.Trajectory {
	return &pb.Trajectory{
		Identity: &pb.Identity{
			Run: "r", Generation: int32(g), Target: "own", Purpose: pb.Purpose_PURPOSE_EVAL,
			Question: questionToken(question), Sample: int32(sample),
		},
		Policy: testPolicy(g), Question: fmt.Sprintf("What is %d?", question),
		Outcome: pb.Outcome_OUTCOME_COMPLETED, Draft: draft, Answer: answer,
		Usage: &pb.Usage{Calls: 9, PromptTokens: 900, CompletionTokens: 90, Searches: 2},
	}
}

func failed(t *pb.Trajectory, class pb.FailureClass) *pb.Trajectory {
	t.Outcome, t.Failure, t.Reason, t.Draft, t.Answer = pb.Outcome_OUTCOME_FAILED, class, "scripted", "", ""
	return t
}

func testPolicy(g int) *pb.Policy {
	return &pb.Policy{Name: fmt.Sprintf("policy-%d", g), Model: "m", Checkpoint: fmt.Sprintf("checkpoint-%d", g)}
}

func eventOf(t *pb.Trajectory) *pb.Event {
	return &pb.Event{
		Run: t.Identity.Run, Generation: t.Identity.Generation, Body: &pb.Event_Trajectory{Trajectory: t},
	}
}

// verdictOn is what is recorded on VERDICTS; nil if nothing is.
func (b *bench) verdictOn(t *pb.Trajectory) *pb.Verdict {
	b.t.Helper()
	message, err := b.conn.Last(b.t.Context(), bus.Verdicts, bus.VerdictSubject("llm", t.GetIdentity()))
	if err != nil {
		return nil
	}
	ev, err := message.Event(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return ev.GetVerdict()
}

// evaluated publishes a generation of trajectories and verdicts: question q is answered right in the first
// rights(q) of the repetitions, and every draft is wrong.
func (b *bench) evaluated(g, repetitions int, rights func(question int) int) {
	b.t.Helper()
	for q := range questions {
		for s := range repetitions {
			t := trajectory(g, q, s, "draft", "answer")
			b.publish(bus.TrajectorySubject(t.Identity), eventOf(t))
			b.publish(bus.VerdictSubject("llm", t.Identity), &pb.Event{
				Run: "r", Generation: int32(g), Body: &pb.Event_Verdict{Verdict: &pb.Verdict{
					Identity: t.Identity, Judge: "llm", Outcome: pb.Outcome_OUTCOME_COMPLETED, AnswerRight: s < rights(q),
				}},
			})
		}
	}
}

func (b *bench) publish(subject string, ev *pb.Event) {
	b.t.Helper()
	if _, err := b.conn.Publish(b.t.Context(), subject, ev); err != nil {
		b.t.Fatal(err)
	}
}

// always is a number of right answers that does not depend on the question.
func always(n int) func(int) int { return func(int) int { return n } }

// task is the evaluation of generation g at a look; the looks' repetitions are 1, 2 and 3.
func task(g, incumbent, look int) *worker.Task {
	work := &pb.Task{
		Id: fmt.Sprintf("evaluate-%d-%d", g, look), Kind: taskKind,
		Work: &pb.Task_Evaluate{Evaluate: &pb.Evaluate{
			Target: "own", Policy: testPolicy(g), Look: int32(look), Repetitions: int32(look), Incumbent: int32(incumbent),
		}},
	}
	return &worker.Task{
		Event: &pb.Event{Run: "r", Generation: int32(g), Body: &pb.Event_Task{Task: work}},
		Task:  work, Delivered: 1,
	}
}

// give hands a trajectory to the judge.
func (b *bench) give(t *pb.Trajectory) error {
	return b.judging.handle(b.t.Context(), t, eventOf(t))
}

func (b *bench) evaluate(t *worker.Task) {
	b.t.Helper()
	if err := b.evaluating.handle(b.t.Context(), t); err != nil {
		b.t.Fatal(err)
	}
}

// recorded reads a report or decision of target own; nil if there is none.
func (b *bench) recorded(g int, what string, look int) *pb.Event {
	b.t.Helper()
	ev, err := b.evaluating.recorded(b.t.Context(), evalSubject("r", g, "own", what, look))
	if err != nil {
		return nil
	}
	return ev
}

// promoted is the record in KV models, with its revision; 0 if there is none.
func (b *bench) promoted() (record promotion, revision uint64) {
	b.t.Helper()
	value, revision, err := b.conn.KV(modelsBucket).Get(b.t.Context(), promotedKey("r"))
	if err != nil {
		return promotion{}, 0
	}
	if err := json.Unmarshal(value, &record); err != nil {
		b.t.Fatal(err)
	}
	return record, revision
}
