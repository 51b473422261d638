package plan

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ratchet-rl/ratchet/internal/runstate"
)

// metrics shows the runs that this coordinator conducts. A run's series go when it is finished.
type metrics struct {
	items    *prometheus.GaugeVec
	progress *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		items: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ratchet_run_items", Help: "Items of a run's present phase, by state.",
		}, []string{"run", "phase", "state"}),
		progress: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ratchet_run_last_progress_timestamp_seconds", Help: "When a run's record last changed.",
		}, []string{"run"}),
	}
	reg.MustRegister(m.items, m.progress)
	return m
}

func (m *metrics) show(s runstate.State) {
	m.items.DeletePartialMatch(prometheus.Labels{"run": s.Run})
	if s.Finished {
		m.progress.DeleteLabelValues(s.Run)
		return
	}
	m.progress.WithLabelValues(s.Run).Set(float64(s.Updated.Unix()))
	for _, p := range s.Progress {
		if p.Phase != s.Phase || p.Generation != s.Generation {
			continue
		}
		var failed int64
		for _, n := range p.Failed {
			failed += n
		}
		m.items.WithLabelValues(s.Run, p.Phase, "expected").Add(float64(p.Expected))
		m.items.WithLabelValues(s.Run, p.Phase, "completed").Add(float64(p.Completed))
		m.items.WithLabelValues(s.Run, p.Phase, "failed").Add(float64(failed))
		m.items.WithLabelValues(s.Run, p.Phase, "dead").Add(float64(p.Dead))
	}
}
