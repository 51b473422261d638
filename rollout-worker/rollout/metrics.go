package rollout

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ratchet-rl/ratchet/internal/agent"
	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

type metrics struct {
	trajectories *prometheus.CounterVec
	steps        *prometheus.CounterVec
	candidates   *prometheus.CounterVec
	resumed      prometheus.Counter
	fenced       prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		trajectories: counter("ratchet_trajectories_total", "Finished trajectories.", "purpose", "outcome", "class"),
		steps:        counter("ratchet_steps_total", "Finished steps.", "step"),
		candidates:   counter("ratchet_candidates_total", "Candidates, by whether they could be read.", "step", "parse"),
		resumed:      prometheus.NewCounter(prometheus.CounterOpts{Name: "ratchet_trajectories_resumed_total", Help: "Trajectories taken up after journalled steps."}),
		fenced:       prometheus.NewCounter(prometheus.CounterOpts{Name: "ratchet_trajectories_fenced_total", Help: "Trajectories dropped because another worker went on."}),
	}
	reg.MustRegister(m.trajectories, m.steps, m.candidates, m.resumed, m.fenced)
	return m
}

func (m *metrics) stepped(step *pb.Step) {
	kind := agent.KindName(step.GetKind())
	m.steps.WithLabelValues(kind).Inc()
	for _, c := range step.GetCandidates() {
		parse := "ok"
		if c.GetParseError() != "" {
			parse = "error"
		}
		m.candidates.WithLabelValues(kind, parse).Inc()
	}
}

func (m *metrics) finished(t *pb.Trajectory) {
	class := ""
	if t.GetOutcome() == pb.Outcome_OUTCOME_FAILED {
		class = bus.ClassName(t.GetFailure())
	}
	m.trajectories.WithLabelValues(
		strings.ToLower(strings.TrimPrefix(t.GetIdentity().GetPurpose().String(), "PURPOSE_")),
		strings.ToLower(strings.TrimPrefix(t.GetOutcome().String(), "OUTCOME_")), class,
	).Inc()
}
