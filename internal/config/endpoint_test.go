package config

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestEndpointsAndPrices(t *testing.T) {
	t.Parallel()
	run, err := ParseRun([]byte(smallest), "run.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"endpoints", "prices", "cost", "context"} {
		if strings.Contains(string(text), `"`+key+`"`) {
			t.Errorf("a run that says nothing of %s has it in its JSON, so that its name has changed", key)
		}
	}
	run.Policy.Endpoint = ""
	run.Policy.Endpoints = []string{"http://a/v1", "http://b/v1"}
	run.Deploy.Endpoint = ""
	run.Prices = []Price{{Of: "http://a/v1", Prompt: 1, Completion: 4}, {Of: run.Judge.Model, Prompt: 0.25}}
	run.Budgets.Cost = 3
	if run, err = run.Complete(); err != nil || run.Policy.Endpoint != "http://a/v1" || run.Deploy.Endpoint != "http://a/v1" || len(run.Policy.All()) != 2 {
		t.Fatalf("%v; endpoint %s, deploy %s", err, run.Policy.Endpoint, run.Deploy.Endpoint)
	}
	if again, err := ParseRun(ExampleRun(run), "example.yaml"); err != nil || len(again.Prices) != 2 || again.Prices[0] != run.Prices[0] || len(again.Policy.Endpoints) != 2 {
		t.Errorf("the example: %v, %+v", err, again.Prices)
	}
	for _, c := range []struct {
		endpoint, model    string
		prompt, completion int64
		want               int64
	}{
		{"http://a/v1", "x", 1_000_000, 1_000_000, 5 * NanoPerUnit},
		{"http://a/v1", run.Judge.Model, 3, 9, 750}, // the model's price goes before its endpoint's
		{"http://c/v1", "x", 100, 100, 0},
	} {
		if got := run.Cost(c.endpoint, c.model, c.prompt, c.completion); got != c.want {
			t.Errorf("%+v: got %d", c, got)
		}
	}
}

func TestWrongEndpointsAndPrices(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Run){
		"policy.endpoints: http://x/v1 is named twice":          func(r *Run) { r.Policy.Endpoints = []string{r.Policy.Endpoint, "http://x/v1", "http://x/v1"} },
		"policy.endpoints: want base URLs":                      func(r *Run) { r.Policy.Endpoints = []string{r.Policy.Endpoint, "x"} },
		"is not among them":                                     func(r *Run) { r.Judge.Endpoints = []string{"http://x/v1"} },
		"policy.context: want a whole number from 0":            func(r *Run) { r.Policy.Context = -1 },
		"prices[0].of: missing":                                 func(r *Run) { r.Prices = []Price{{Prompt: 1}} },
		"prices[0].completion: want a number from 0":            func(r *Run) { r.Prices = []Price{{Of: "x", Completion: -1}} },
		"prices[1].of: a second price of x":                     func(r *Run) { r.Prices = []Price{{Of: "x"}, {Of: "x"}} },
		"budgets.cost: nothing has a price":                     func(r *Run) { r.Budgets.Cost = 1 },
		"budgets.cost: want a number from 0 to 2.147483647e+09": func(r *Run) { r.Budgets.Cost = -1 },
	} {
		run, err := ParseRun([]byte(smallest), "run.yaml")
		if err != nil {
			t.Fatal(err)
		}
		change(&run)
		if err := run.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
