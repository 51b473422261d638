package view

import (
	"strings"
	"testing"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/ratchet/history"
)

func TestSpendingAndCandidates(t *testing.T) {
	t.Parallel()
	entries := []history.Entry{
		{
			Generation: 1, Target: "own", Purpose: "grow", Spent: map[string]history.Usage{"grow": {Calls: 1200, PromptTokens: 5, CostNano: 12_345_000_000}, "rank": {Calls: 2, CostNano: 1_000_000}},
			Candidates: map[string]bus.Candidates{"decision": {Drawn: 8, Unparsable: 1}, "answer": {Drawn: 2}},
		},
		{Generation: 1, Target: "small", Purpose: "grow", Spent: map[string]history.Usage{"grow": {Calls: 34}}},
	}
	for text, wants := range map[string][]string{
		Spending(entries, Paint{}):                   {"1    grow  1,234", "12.35", "1    rank  2 ", "0.0010"},
		Candidates(entries, "grammar", Paint{}):      {"decoding grammar", "1    own     grow     10     10.0 % (1)  0.0 % (0)  12.5 % (1)"},
		Candidates(entries, "", Paint{}):             {"decoding free"},
		Spending(nil, Paint{}) + Money(0):            {"-"},
		Candidates(nil, "grammar", Paint{}) + "none": {"none"},
		Endpoints([]*pb.Capabilities{
			{Model: "a", Endpoint: "http://x/v1", Server: "vllm", Context: 4096, Found: []*pb.Capability{{Name: "n", Support: pb.Support_SUPPORT_YES}, {Name: "seed"}}},
			{Model: "b", Endpoint: "http://x/v1", Server: "vllm", Context: 4096, Found: []*pb.Capability{{Name: "n", Support: pb.Support_SUPPORT_YES}, {Name: "seed"}}},
			{Model: "c", Endpoint: "http://y/v1", Found: []*pb.Capability{{Name: "n", Support: pb.Support_SUPPORT_NO}}},
		}, Paint{}): {"a, b at http://x/v1 (vllm), context 4,096; can: n; unknown: seed\n", "c at http://y/v1; cannot: n\n"},
	} {
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in:\n%s", want, text)
			}
		}
	}
}
