package policy_test

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/policy"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

func settings() config.Policy {
	return config.Policy{
		Model:      config.Model{Endpoint: "http://127.0.0.1:1/v1", Model: "own", API: "completions", MaxTokens: 512},
		Rendering:  "few_shot",
		Candidates: 4, Temperature: 0.5, Resamples: 2,
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	p := policy.New(settings())
	if p.GetName() != policy.New(settings()).GetName() {
		t.Error("the same settings have two names")
	}
	if got, want := p.GetName()[:4], "own-"; got != want {
		t.Errorf("name %q does not begin with the model's stem %q", p.GetName(), want)
	}
	if p.GetApi() != pb.Api_API_COMPLETIONS || p.GetRendering() != pb.Rendering_RENDERING_FEW_SHOT {
		t.Errorf("api %v and rendering %v, want completions and few shot", p.GetApi(), p.GetRendering())
	}
}

// TestNameCoversEverything changes every setting in turn: each must change the name.
func TestNameCoversEverything(t *testing.T) {
	t.Parallel()
	changes := map[string]func(*config.Policy){
		"endpoint":    func(c *config.Policy) { c.Endpoint = "http://127.0.0.1:2/v1" },
		"model":       func(c *config.Policy) { c.Model.Model = "other/own" },
		"api":         func(c *config.Policy) { c.API = "chat" },
		"max tokens":  func(c *config.Policy) { c.MaxTokens++ },
		"rendering":   func(c *config.Policy) { c.Rendering = "bare" },
		"shots":       func(c *config.Policy) { c.Shots++ },
		"candidates":  func(c *config.Policy) { c.Candidates++ },
		"temperature": func(c *config.Policy) { c.Temperature = 0.7 },
		"resamples":   func(c *config.Policy) { c.Resamples++ },
		"endpoints":   func(c *config.Policy) { c.Endpoints = []string{"http://127.0.0.1:3/v1"} },
		"context":     func(c *config.Policy) { c.Context = 4096 },
		"decoding":    func(c *config.Policy) { c.Decoding = "grammar" },
	}
	seen := map[string]string{policy.New(settings()).GetName(): "nothing"}
	for what, change := range changes {
		c := settings()
		change(&c)
		name := policy.New(c).GetName()
		if other, taken := seen[name]; taken {
			t.Errorf("changing %s gives the same name as changing %s: %s", what, other, name)
		}
		seen[name] = what
	}
	// A field added to the message must be added to the hash, and to this list.
	if n := fields(&pb.Policy{}) + fields(&pb.Sampling{}); n != 15 {
		t.Errorf("Policy and Sampling have %d fields; the name's hash knows 15", n)
	}
}

func fields(m protoreflect.ProtoMessage) int { return m.ProtoReflect().Descriptor().Fields().Len() }

func TestWithCheckpoint(t *testing.T) {
	t.Parallel()
	base := policy.New(settings())
	before := proto.CloneOf(base)
	served := policy.WithCheckpoint(base, "own-0123456789abcdef", "", "bare", "0123456789abcdef", 16)
	if !proto.Equal(base, before) {
		t.Error("the base policy was changed")
	}
	if served.GetEndpoint() != base.GetEndpoint() || served.GetRendering() != pb.Rendering_RENDERING_BARE ||
		served.GetSampling().GetCandidates() != 16 || served.GetCheckpoint() != "0123456789abcdef" {
		t.Errorf("unexpected policy %v", served)
	}
	if served.GetName() == base.GetName() {
		t.Error("the served checkpoint has the base policy's name")
	}
	if hotter := policy.WithTemperature(base, 0.9); hotter.GetName() == base.GetName() {
		t.Error("another temperature has the same name")
	}
}
