package evaluate

import (
	"github.com/prometheus/client_golang/prometheus"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// metrics are the evaluator's own counters.
type metrics struct {
	verdicts  *prometheus.CounterVec
	decisions *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ratchet_verdicts_total",
			Help: "Verdicts given, by judge and result: right, wrong, or unreadable for the judge's own failures.",
		}, []string{"judge", "result"}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ratchet_decisions_total",
			Help: "Decisions recorded, by ruling.",
		}, []string{"ruling"}),
	}
	if registerer != nil {
		registerer.MustRegister(m.verdicts, m.decisions)
	}
	return m
}

func (m *metrics) verdict(v *pb.Verdict) {
	result := "wrong"
	switch {
	case v.GetOutcome() == pb.Outcome_OUTCOME_FAILED:
		result = "unreadable"
	case v.GetAnswerRight():
		result = "right"
	}
	m.verdicts.WithLabelValues(v.GetJudge(), result).Inc()
}

func (m *metrics) decision(d *pb.Decision) {
	m.decisions.WithLabelValues(rulingName(d.GetRuling())).Inc()
}
