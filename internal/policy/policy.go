package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"

	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// nameHash is how many hex digits of the hash a name carries.
const nameHash = 10

// New is the policy that a run starts from: generation 0.
func New(c config.Policy) *pb.Policy {
	return named(&pb.Policy{
		Endpoint:  c.Endpoint,
		Endpoints: c.Endpoints,
		Context:   int64(c.Context),
		Model:     c.Model.Model,
		Api:       api(c.API),
		Rendering: rendering(c.Rendering),
		Shots:     int32(c.Shots),
		Sampling: &pb.Sampling{
			Candidates:  int32(c.Candidates),
			Temperature: c.Temperature,
			MaxTokens:   int32(c.MaxTokens),
			Resamples:   int32(c.Resamples),
			Grammar:     c.Decoding == config.DecodingGrammar,
		},
	})
}

// WithCheckpoint is base with its model replaced by a served checkpoint. An empty endpoint and rendering, and 0
// candidates, keep base's.
func WithCheckpoint(base *pb.Policy, model, endpoint, render, checkpoint string, candidates int) *pb.Policy {
	p := proto.CloneOf(base)
	p.Model, p.Checkpoint, p.Endpoints = model, checkpoint, nil // a deployer serves it at one endpoint
	if endpoint != "" {
		p.Endpoint = endpoint
	}
	if render != "" {
		p.Rendering = rendering(render)
	}
	if candidates > 0 {
		p.Sampling.Candidates = int32(candidates)
	}
	return named(p)
}

// WithTemperature is base sampled at another temperature: growing may be hotter than evaluating.
func WithTemperature(base *pb.Policy, temperature float64) *pb.Policy {
	p := proto.CloneOf(base)
	p.Sampling.Temperature = temperature
	return named(p)
}

func named(p *pb.Policy) *pb.Policy {
	p.Name = stem(p.GetModel()) + "-" + hash(p)
	return p
}

// stem is the last part of a model's name as a token: "org/Qwen3-4B" gives "qwen3-4b" and a hash.
func stem(model string) string { return config.Token(path.Base(model)) }

// hash covers every field but the name. JSON of a fixed list, because protobuf promises no canonical bytes.
func hash(p *pb.Policy) string {
	s := p.GetSampling()
	fields := []any{
		p.GetEndpoint(), p.GetModel(), p.GetApi(), p.GetRendering(), p.GetShots(), p.GetCheckpoint(),
		s.GetCandidates(), s.GetTemperature(), s.GetMaxTokens(), s.GetResamples(),
	}
	if s.GetGrammar() { // only then: policies named before there was a choice keep their names
		fields = append(fields, "grammar")
	}
	if len(p.GetEndpoints()) > 0 {
		fields = append(fields, p.GetEndpoints())
	}
	if p.GetContext() > 0 {
		fields = append(fields, fmt.Sprintf("context %d", p.GetContext()))
	}
	text, err := json.Marshal(fields)
	if err != nil { // NaN or Inf as a temperature, which validation refuses
		text = []byte(p.String())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])[:nameHash]
}

func api(name string) pb.Api {
	if name == config.APIChat {
		return pb.Api_API_CHAT
	}
	return pb.Api_API_COMPLETIONS
}

func rendering(name string) pb.Rendering {
	if name == config.RenderingBare {
		return pb.Rendering_RENDERING_BARE
	}
	return pb.Rendering_RENDERING_FEW_SHOT
}
