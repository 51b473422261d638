package dataset

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ratchet-rl/ratchet/internal/config"
)

// memory opens any path with content.
func memory(content string) Opener {
	return func(context.Context, string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(content)), nil
	}
}

// loadPool collects what LoadPool hands over.
func loadPool(ctx context.Context, open Opener, src config.Source) (all []Question, _ []Warning, _ error) {
	warnings, err := LoadPool(ctx, open, src, func(q Question) error {
		all = append(all, q)
		return nil
	})
	return all, warnings, err
}

// loadEvaluation collects what LoadEvaluation hands over.
func loadEvaluation(ctx context.Context, open Opener, src config.Source) (all []Question, gold []Gold, _ []Warning, _ error) {
	warnings, err := LoadEvaluation(ctx, open, src, func(q Question, g Gold) error {
		all, gold = append(all, q), append(gold, g)
		return nil
	})
	return all, gold, warnings, err
}

// forms are a few rows of each set the loader knows, made by hand in the form it is published in.
var forms = []struct {
	name, path, content string
	want                []Question
	gold                [][]string // nil: the set has no answers
}{
	{
		name: "ELI5 askh", path: "train_askh.json",
		content: `{"q_id":"5lchat","title":"Why did Rome fall?","selftext":"","subreddit":"AskHistorians","answers":{"a_id":["d1"],"text":["It was slow."],"score":[9]}}
{"q_id":"5ld2fg","title":"Who built Stonehenge?","selftext":"And why?","subreddit":"AskHistorians","answers":{"a_id":["d2","d3"],"text":["Farmers.","Nobody knows."],"score":[3,1]}}`,
		want: []Question{{"train-askh-819c344ea3-5lchat", "5lchat", "Why did Rome fall?"}, {"train-askh-819c344ea3-5ld2fg", "5ld2fg", "Who built Stonehenge?"}},
		gold: [][]string{{"It was slow."}, {"Farmers.", "Nobody knows."}},
	},
	{
		name: "ELI5 asks, without answers", path: "asks.jsonl",
		content: `{"q_id":"1u7","title":"Why is the sky blue?","selftext":"x","subreddit":"askscience"}`,
		want:    []Question{{"asks-1u7", "1u7", "Why is the sky blue?"}},
	},
	{
		name: "FlashRAG", path: "nq.jsonl",
		content: `{"id":"train-0","question":"total number of death row inmates in the us","golden_answers":["2,718"]}
{"id":"train-1","question":"big little lies season 2 how many episodes","golden_answers":["seven","7"],"metadata":{"x":1}}`,
		want: []Question{{"nq-train-0", "train-0", "total number of death row inmates in the us"}, {"nq-train-1", "train-1", "big little lies season 2 how many episodes"}},
		gold: [][]string{{"2,718"}, {"seven", "7"}},
	},
	{
		name: "Search-R1", path: "train.json",
		content: `[{"data_source":"nq","prompt":[{"role":"user","content":"Answer the given question. You must reason. Question: who got the first nobel prize?\n"}],"ability":"fact-reasoning","reward_model":{"style":"rule","ground_truth":{"target":["Wilhelm Röntgen"]}},"extra_info":{"split":"train","index":0}}]`,
		want:    []Question{{"train-train-0-", "train_0", "who got the first nobel prize?"}},
		gold:    [][]string{{"Wilhelm Röntgen"}},
	},
	{
		name: "Search-R1, Agentic-RAG's variant", path: "rag.json",
		content: `[{"prompt":[{"role":"user","content":"Think!"}],"reward_model":{"ground_truth":"Paris"},"extra_info":{"question":"capital of France?"}}]`,
		want:    []Question{{"rag-rag-0-", "rag_0", "capital of France?"}},
		gold:    [][]string{{"Paris"}},
	},
	{
		name: "CoRAG", path: "corag.jsonl",
		content: `{"query":"Who directed it?","answers":["A","B","A"],"query_id":"q7","context_doc_ids":["1"],"subqueries":["x"],"subanswers":["y"],"predictions":["z"]}`,
		want:    []Question{{"corag-q7", "q7", "Who directed it?"}},
		gold:    [][]string{{"A", "B"}},
	},
	{
		name: "SimpleDeepSearcher", path: "b.json",
		content: "[\n  {\"Question\": \"Who was it?\", \"source\": \"bamboogle\", \"id\": \"b1\", \"answer\": [\"james madison\"]}\n]",
		want:    []Question{{"b-b1", "b1", "Who was it?"}},
		gold:    [][]string{{"james madison"}},
	},
	{
		name: "HotpotQA, raw", path: "dev.json",
		content: `[{"_id":"5a8b57f2","answer":"yes","question":"Were they of one nationality?","supporting_facts":[["A",0]],"context":[["A",["s1","s2"]]],"type":"comparison","level":"hard"}]`,
		want:    []Question{{"dev-5a8b57f2", "5a8b57f2", "Were they of one nationality?"}},
		gold:    [][]string{{"yes"}},
	},
	{
		name: "MuSiQue", path: "m.jsonl",
		content: `{"id":"2hop","paragraphs":[{"title":"T","paragraph_text":"p","is_supporting":true}],"question":"Who?","question_decomposition":[{"question":"#1 >> x","answer":"y"}],"answer":"Green","answer_aliases":["Steve","Green"],"answerable":true}`,
		want:    []Question{{"m-2hop", "2hop", "Who?"}},
		gold:    [][]string{{"Green", "Steve"}},
	},
	{
		name: "2Wiki, raw", path: "w.json",
		content: `[{"_id":"8813","question":"Who is the mother of the director?","answer":"Małgorzata Braunek","evidences":[["a","b","c"]]}]`,
		want:    []Question{{"w-8813", "8813", "Who is the mother of the director?"}},
		gold:    [][]string{{"Małgorzata Braunek"}},
	},
	{
		name: "NQ-open", path: "v.jsonl.gz",
		content: `{"question":"when was the last time anyone was on the moon","answer":["14 December 1972 UTC","December 1972"]}`,
		want:    []Question{{"v-v-0-", "v_0", "when was the last time anyone was on the moon"}},
		gold:    [][]string{{"14 December 1972 UTC", "December 1972"}},
	},
	{
		name: "TriviaQA", path: "t.jsonl",
		content: `{"question":"Which American won?","question_id":"tc-1","answer":{"value":"Sinclair Lewis","aliases":["Lewis"],"normalized_aliases":["lewis"]}}`,
		want:    []Question{{"t-tc-1", "tc-1", "Which American won?"}},
		gold:    [][]string{{"Sinclair Lewis", "Lewis", "lewis"}},
	},
	{
		name: "TriviaQA, raw", path: "t.json",
		content: `{"Data":[{"Answer":{"Value":"Sunset","Aliases":["Sunset Blvd"]},"Question":"Which?","QuestionId":"tc-2"}],"Domain":"Web","Version":1.0}`,
		want:    []Question{{"t-tc-2", "tc-2", "Which?"}},
		gold:    [][]string{{"Sunset", "Sunset Blvd"}},
	},
	{
		name: "PopQA", path: "popqa.tsv",
		content: "id\tsubj\tquestion\tpossible_answers\n4222362\tGeorge \"Rankin\tWhat is his occupation?\t[\"politician\", \"political leader\"]\n",
		want:    []Question{{"popqa-4222362", "4222362", "What is his occupation?"}},
		gold:    [][]string{{"politician", "political leader"}},
	},
	{
		name: "BamTwoogle", path: "bt.csv",
		content: "question,answer\n\"Which team, of two?\",Detroit Red Wings (or Red Wings)\nWhen?,1904\n",
		want:    []Question{{"bt-bt-0-", "bt_0", "Which team, of two?"}, {"bt-bt-1-", "bt_1", "When?"}},
		gold:    [][]string{{"Detroit Red Wings (or Red Wings)", "Detroit Red Wings", "Red Wings"}, {"1904"}},
	},
	{
		name: "CSV with semicolons and a byte order mark", path: "s.csv",
		content: "\ufeffid;question;answer\n1;\"one; two?\";3\n",
		want:    []Question{{"s-1", "1", "one; two?"}},
		gold:    [][]string{{"3"}},
	},
	{
		name: "HotpotQA, as the hub has it", path: "train.jsonl",
		content: `{"id":"5a7a0693","question":"Which magazine was started first?","answer":"Arthur's Magazine","type":"comparison","level":"medium","supporting_facts":{"title":["Arthur's Magazine"],"sent_id":[0]},"context":{"title":["Radio City"],"sentences":[["Radio City is a station."]]}}`,
		want:    []Question{{"train-5a7a0693", "5a7a0693", "Which magazine was started first?"}},
		gold:    [][]string{{"Arthur's Magazine"}},
	},
	{
		name: "LFQA (ELI5's substitute)", path: "lfqa.json",
		content: `[{"q_id":"32wvn8","title":"what's the difference between a forest and a wood?","selftext":"","document":"","subreddit":"explainlikeimfive","url":"http://x","answers":{"a_id":["cqfd1d8"],"score":[2],"text":["They're used interchangeably."]},"title_urls":[],"selftext_urls":[],"answers_urls":[[]]}]`,
		want:    []Question{{"lfqa-32wvn8", "32wvn8", "what's the difference between a forest and a wood?"}},
		gold:    [][]string{{"They're used interchangeably."}},
	},
	{
		name: "ALCE's ELI5", path: "alce.json",
		content: `[{"question":"How do student loans work?","question_ctx":"[removed]","answer":"They pay later.","claims":["A.","B."]}]`,
		want:    []Question{{"alce-alce-0-", "alce_0", "How do student loans work?"}},
		gold:    [][]string{{"They pay later."}},
	},
	{
		name: "FlashRAG, with metadata and a truth", path: "strategyqa.jsonl",
		content: `{"id":"dev_0","question":"Are more people related to Genghis Khan?","golden_answers":[true],"metadata":{"subj":"x","answers":["no"]}}`,
		want:    []Question{{"strategyqa-dev-0-", "dev_0", "Are more people related to Genghis Khan?"}},
		gold:    [][]string{{"true"}},
	},
	{
		name: "Bamboogle, the sheet", path: "test.csv",
		content: "Question,Answer\nWho was president then?,james madison\n",
		want:    []Question{{"test-test-0-", "test_0", "Who was president then?"}},
		gold:    [][]string{{"james madison"}},
	},
	{
		name: "PopQA, its aliases and all", path: "popqa.jsonl",
		content: `{"id":4222362,"subj":"George Rankin","prop":"occupation","obj":"politician","s_aliases":"[\"George James Rankin\"]","o_aliases":"[\"political leader\"]","question":"What is his occupation?","possible_answers":"[\"politician\", \"political leader\"]"}`,
		want:    []Question{{"popqa-4222362", "4222362", "What is his occupation?"}},
		gold:    [][]string{{"politician", "political leader"}},
	},
	{
		name: "dataset server's envelope", path: "rows.json",
		content: `{"features":[{"name":"question"}],"rows":[{"row_idx":0,"row":{"id":12345678901234567890,"question":"q?","answer":true}}]}`,
		want:    []Question{{"rows-12345678901234567890", "12345678901234567890", "q?"}},
		gold:    [][]string{{"true"}},
	},
	{
		name: "objects over several lines", path: "p.json",
		content: "{\n \"id\": 1.5,\n \"question\": \"a?\", \"answer\": \"x\"\n}\n{\n \"id\": 2,\n \"question\": \"b?\", \"answer\": 7\n}\n",
		want:    []Question{{"p-1-5-", "1.5", "a?"}, {"p-2", "2", "b?"}},
		gold:    [][]string{{"x"}, {"7"}},
	},
}

func TestForms(t *testing.T) {
	t.Parallel()
	for _, c := range forms {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			content := c.content
			if strings.HasSuffix(c.path, ".gz") {
				content = gzipped(t, content)
			}
			src := config.Source{Path: "data/" + c.path}
			pool, _, err := loadPool(t.Context(), memory(content), src)
			if err != nil {
				t.Fatal(err)
			}
			if !sameQuestions(c.want, pool) {
				t.Errorf("pool:\n%+v\nwant:\n%+v", pool, c.want)
			}
			questions, gold, _, err := loadEvaluation(t.Context(), memory(content), src)
			if c.gold == nil {
				if err == nil {
					t.Error("an evaluation set without answers was accepted")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(pool, questions); diff != "" {
				t.Errorf("pool and evaluation differ:\n%s", diff)
			}
			for i, g := range gold {
				if g.Token != questions[i].Token || !reflect.DeepEqual(g.Answers, c.gold[i]) {
					t.Errorf("gold %d: %+v, want token %s and %q", i, g, questions[i].Token, c.gold[i])
				}
			}
		})
	}
}

// sameQuestions compares; a token wanted that ends with a dash stands for any hash behind it.
func sameQuestions(want, got []Question) bool {
	return slices.EqualFunc(want, got, func(want, got Question) bool {
		token := want.Token == got.Token || strings.HasSuffix(want.Token, "-") && strings.HasPrefix(got.Token, want.Token)
		return token && want.ID == got.ID && want.Text == got.Text
	})
}

func gzipped(t testing.TB, content string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestNamedFieldsWin(t *testing.T) {
	t.Parallel()
	src := config.Source{
		Name: "My Set", Path: "x.jsonl", Field: "meta.text[1]", IDField: "key", AnswerField: "meta.a",
	}
	const content = `{"question":"no","id":"no","answer":"no","key":7,"meta":{"text":["no","yes?"],"a":"gold"}}`
	questions, gold, _, err := loadEvaluation(t.Context(), memory(content), src)
	if err != nil {
		t.Fatal(err)
	}
	set := config.Token("My Set")
	if want := []Question{{set + "-7", "7", "yes?"}}; !reflect.DeepEqual(questions, want) {
		t.Errorf("got %+v, want %+v", questions, want)
	}
	if want := []Gold{{set + "-7", []string{"gold"}}}; !reflect.DeepEqual(gold, want) {
		t.Errorf("got %+v, want %+v", gold, want)
	}
}

func TestLimitTakesTheFirst(t *testing.T) {
	t.Parallel()
	content := "{\"question\":\"a\"}\n{\"question\":\"a\"}\n{\"question\":\"b\"}\n{\"question\":\"c\"}\nthis is broken, and not reached"
	pool, _, err := loadPool(t.Context(), memory(content), config.Source{Path: "p.jsonl", Limit: 3})
	if err != nil || len(pool) != 3 || pool[2].Text != "c" {
		t.Errorf("got %+v, error %v; want a, b and c", pool, err)
	}
}

func TestTokensAreUnique(t *testing.T) {
	t.Parallel()
	const content = `{"id":"x","question":"first"}
{"id":"x","question":"second"}
{"id":"x","question":"third"}
{"id":"X","question":"fourth"}`
	pool, _, err := loadPool(t.Context(), memory(content), config.Source{Path: "p.jsonl"})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, q := range pool {
		if seen[q.Token] || !strings.HasPrefix(q.Token, "p-x") {
			t.Errorf("token %q of %q: repeated, or does not begin with p-x", q.Token, q.Text)
		}
		seen[q.Token] = true
	}
	if pool[0].Token != "p-x" || len(pool) != 4 {
		t.Errorf("got %+v", pool)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("very ", 20_000) + "long?"
	content := `{"question":"a?","answer":"22-Apr-04"}
{"question":" a? ","answer":"x"}
{"question":"  ","answer":"x"}
{"question":"` + long + `","answer":"x"}
{"question":"b?","answer":""}
{"question":"c?","answer":["4-Jul", "fine"]}
{"question":"d?","answer":"May"}
{"question":"e?","answer":"Apr-22"}`
	src := config.Source{Path: "dir/set.jsonl"}
	pool, warnings, err := loadPool(t.Context(), memory(content), src)
	if err != nil {
		t.Fatal(err)
	}
	want := []Warning{
		"rows without question text, skipped: 1 (set.jsonl:3)",
		"questions over 16 KiB, skipped: 1 (set.jsonl:4 100005 bytes)",
		"repeated questions, dropped: 1 (set.jsonl:2)",
		"rows with answers, not read because a pool is questions only: 5 (set.jsonl:1 answer, set.jsonl:5 answer, set.jsonl:6 answer, ...)",
	}
	if diff := cmp.Diff(want, warnings); diff != "" || len(pool) != 5 {
		t.Errorf("%d questions; warnings (-want +got):\n%s", len(pool), diff)
	}
	_, gold, warnings, err := loadEvaluation(t.Context(), memory(content), src)
	if err != nil {
		t.Fatal(err)
	}
	want = append(want[:3:3],
		"rows without an answer, skipped: 1 (set.jsonl:5)",
		`answers that look like dates mangled by a spreadsheet, to be compared with their source: 3 (set.jsonl:1 "22-Apr-04", set.jsonl:6 "4-Jul", set.jsonl:8 "Apr-22")`,
	)
	if diff := cmp.Diff(want, warnings); diff != "" || len(gold) != 4 {
		t.Errorf("%d answers; warnings (-want +got):\n%s", len(gold), diff)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, path, content string
		src                 config.Source
		want                string
	}{
		{
			name: "other name", path: "pool.jsonl", content: "{\"question\":\"a\"}\n{\"prompt\":\"b, and more\",\"answer\":\"secret\"}",
			want: "pool.jsonl:2: no question text\n  keys: answer, prompt; expected question, Question, query or title\n  fix: set field: prompt beside path in run.yaml",
		},
		{
			name: "typing error", path: "pool.csv", content: "queston,remarks\na,something much longer than the question\n",
			want: "pool.csv:2: no question text\n  keys: queston, remarks; expected question, Question, query or title\n  fix: set field: queston beside path in run.yaml",
		},
		{
			name: "named field", path: "pool.json", content: "[\n{\"question\":\"a\",\n\"id\":1}]", src: config.Source{Field: "qestion"},
			want: "pool.json:2: no field \"qestion\", which field names\n  keys: id, question; expected that field in every row\n  fix: set field: question beside path in run.yaml",
		},
		{
			name: "named id", path: "pool.json", content: "[{\"question\":\"a\",\"uid\":1}]", src: config.Source{IDField: "ud"},
			want: "pool.json:1: no field \"ud\", which id_field names\n  keys: question, uid; expected that field in every row\n  fix: set id_field: uid beside path in run.yaml",
		},
		{
			name: "a corpus", path: "corpus.jsonl", content: `{"id":"hp-0","title":"Q","contents":"Q is a novel."}`,
			want: "corpus.jsonl:1: no question text\n  keys: contents, id, title; expected question, Question, query or title\n  fix: set field: contents",
		},
		{name: "no text", path: "p.jsonl", content: `{"question":["a"]}`, want: "p.jsonl:1: field \"question\" is no text\n  it is a list; expected the question as a string"},
		{name: "broken line", path: "p.jsonl", content: "{\"question\":\"a\"}\n{\"question\":\"b\",}\n", want: "p.jsonl:2: this is no JSON: invalid character '}'"},
		{name: "broken array", path: "p.json", content: "[\n{\"question\":\"a\"},\n{\"question\":\"b\"}\n{\"question\":\"c\"}\n]", want: "p.json:4: this is no JSON: "},
		{name: "broken in a later row", path: "p.json", content: "[" + strings.Repeat("\n{\"question\":\n\"a\"\n}\n  ,", 9) + "\n{\"question\":\n'b'}]", want: "p.json:39: this is no JSON: invalid character '\\''"},
		{name: "trailing comma", path: "p.json", content: "[\n{\"question\":\"a\"},\n\n]", want: "p.json:2: this is no JSON: invalid character ']'"},
		{name: "cut off", path: "p.json", content: "[\n{\"question\":\"a\"},\n{\"quest", want: "p.json:3: the file ends in the middle of a value"},
		{name: "cut off array", path: "p.json", content: "[\n{\"question\":\"a\"}\n", want: "p.json:3: the file ends in the middle of a value"},
		{name: "no objects", path: "p.json", content: `["a", "b"]`, want: "p.json:1: this row is no object\n  it is \"a\"; expected an object"},
		{name: "array of null", path: "p.json", content: `[null]`, want: "p.json:1: this row is no object\n  it is null"},
		{name: "uneven table", path: "p.csv", content: "question,b\na,1\nb,2,3\n", want: "p.csv:3: this is no row of the table: wrong number of fields"},
		{name: "open quote", path: "p.csv", content: "question,b\n\"a,1\nb,2\n", want: "p.csv:2: this is no row of the table: "},
		{name: "web page", path: "p.json", content: "<!DOCTYPE html><html>", want: "p.json: this is a web page or XML"},
		{name: "UTF-16", path: "p.csv", content: "\xff\xfeq\x00u\x00", want: "p.csv: this is no text in UTF-8"},
		{name: "empty", path: "p.csv", content: " \n", want: "p.csv: the file is empty"},
		{name: "no rows", path: "p.json", content: "[]", want: "p.json: no questions\n  expected at least one row"},
		{name: "header only", path: "p.csv", content: "question,answer\n", want: "p.csv: no questions"},
		{name: "no usable row", path: "p.jsonl", content: `{"question":""}`, want: "p.jsonl: no questions\n  rows without question text, skipped: 1 (p.jsonl:1); expected"},
		{name: "damaged gzip", path: "p.gz", content: "\x1f\x8bnonsense", want: "p.gz: cannot be read: "},
		{name: "damaged Parquet", path: "p.parquet", content: "PAR1 nonsense PAR1", want: "p.parquet: cannot be read: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			src := c.src
			src.Path = c.path
			_, _, err := loadPool(t.Context(), memory(c.content), src)
			var fault *Error
			if !errors.As(err, &fault) || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("error:\n%v\nwant:\n%s", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error of a pool shows an answer: %v", err)
			}
		})
	}
}

func TestEvaluationNeedsAnswers(t *testing.T) {
	t.Parallel()
	_, _, _, err := loadEvaluation(t.Context(), memory(`{"question":"a?","gold":"x","id":1}`), config.Source{Path: "e.jsonl"})
	const want = "e.jsonl:1: no gold answer\n  keys: gold, id, question; expected golden_answers, answers, answer or Answer\n  fix: set answer_field: gold beside path in run.yaml"
	if err == nil || err.Error() != want {
		t.Errorf("error:\n%v\nwant:\n%s", err, want)
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := loadPool(ctx, memory(`{"question":"a"}`), config.Source{Path: "p"}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// A pool has no path to an answer: what LoadPool hands over is made of strings that come from no answer field.
var _ func(context.Context, Opener, config.Source, func(Question) error) ([]Warning, error) = LoadPool

func TestPoolHoldsNoAnswers(t *testing.T) {
	t.Parallel()
	load := reflect.TypeOf(LoadPool)
	for i := range load.NumOut() {
		wantNoGold(t, load.Out(i))
	}
	wantNoGold(t, load.In(load.NumIn()-1).In(0)) // what the callback is handed
	for _, c := range forms {
		const secret = "SECRET"
		content := strings.NewReplacer("Paris", secret, "yes", secret, "Sunset", secret, "1904", secret, "2,718", secret).Replace(c.content)
		pool, warnings, err := loadPool(t.Context(), memory(content), config.Source{Path: c.path})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		for _, q := range pool {
			if strings.Contains(q.Text+q.ID, secret) {
				t.Errorf("%s: %+v shows an answer", c.name, q)
			}
		}
		for _, w := range warnings {
			if strings.Contains(string(w), secret) {
				t.Errorf("%s: the warning %q shows an answer", c.name, w)
			}
		}
	}
}

// wantNoGold walks a type down to its strings.
func wantNoGold(t *testing.T, typ reflect.Type) {
	t.Helper()
	switch {
	case typ == reflect.TypeFor[Gold]():
		t.Error("LoadPool's results can hold Gold")
	case typ == reflect.TypeFor[error](), typ.Kind() == reflect.String:
	case typ.Kind() == reflect.Slice:
		wantNoGold(t, typ.Elem())
	case typ.Kind() == reflect.Struct:
		for i := range typ.NumField() {
			wantNoGold(t, typ.Field(i).Type)
		}
	default:
		t.Errorf("LoadPool's results hold %s, which may hold anything", typ)
	}
}

// The real sets lie outside the project: ../shared/data from its root.
func TestRealSets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path            string
		questions, gold int
		first           string
	}{
		{"bamboogle.json", 125, 125, "Who was president of the United States in the year that Citibank was founded?"},
		{"hotpotqa/train_questions.jsonl", 500, 0, "Who was once considered the best kick boxer"},
		{"hotpotqa/pool.jsonl", 250, 0, "What distinction is held by the former NBA player"},
		{"hotpotqa/eval.jsonl", 125, 125, "What type of structure does 277 Park Avenue"},
	} {
		t.Run(c.path, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join("..", "..", "..", "shared", "data", filepath.FromSlash(c.path))
			if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
				t.Skipf("%s is missing", file)
			}
			src := config.Source{Path: file}
			pool, warnings, err := loadPool(t.Context(), Open(nil), src)
			if err != nil || len(pool) != c.questions || !strings.HasPrefix(pool[0].Text, c.first) {
				t.Errorf("%d questions, error %v, warnings %v; want %d", len(pool), err, warnings, c.questions)
			}
			_, gold, warnings, err := loadEvaluation(t.Context(), Open(nil), src)
			if len(gold) != c.gold || (err == nil) != (c.gold > 0) || len(warnings) > 0 {
				t.Errorf("%d answers, error %v, warnings %v; want %d", len(gold), err, warnings, c.gold)
			}
		})
	}
}
