package bridge

import "github.com/prometheus/client_golang/prometheus"

// metrics are the bridge's own counters.
type metrics struct {
	examples prometheus.Counter
	jobs     *prometheus.CounterVec
	unserved prometheus.Counter
}

// newMetrics registers them, unless registerer is nil.
func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		examples: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ratchet_mixture_examples_total", Help: "Examples of the mixtures built.",
		}),
		jobs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ratchet_jobs_total", Help: "Training jobs ended, by target and result: succeeded, failed or stopped.",
		}, []string{"target", "result"}),
		unserved: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ratchet_reconcile_failures_total", Help: "Times that not everything deployed was found served or could be served again.",
		}),
	}
	if registerer != nil {
		registerer.MustRegister(m.examples, m.jobs, m.unserved)
	}
	return m
}
