package bus

import "github.com/prometheus/client_golang/prometheus"

// metrics of one connection.
type metrics struct {
	conflicts   prometheus.Counter
	deadLetters *prometheus.CounterVec
	deliveries  *prometheus.CounterVec
	panics      *prometheus.CounterVec
	rejected    *prometheus.CounterVec
	silences    *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "ratchet", Subsystem: "bus", Name: name, Help: help}, labels)
	}
	m := &metrics{
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "ratchet", Subsystem: "bus", Name: "conflicts_total",
			Help: "Results that were there already with another content; the first stands.",
		}),
		deadLetters: counter("dead_letters_total", "Messages given up, by consumer and failure class.", "consumer", "class"),
		deliveries:  counter("deliveries_total", "Messages settled, by consumer and outcome.", "consumer", "outcome"),
		panics:      counter("handler_panics_total", "Handlers that panicked; each is a failed delivery.", "consumer"),
		rejected:    counter("rejected_total", "Messages that are not what their subject says, by stream and reason; each reading of one counts.", "stream", "reason"),
		silences:    counter("missed_heartbeats_total", "Pulls that the server left without a sign of life: its pull queue is full, or it is gone.", "consumer"),
	}
	if registerer != nil {
		registerer.MustRegister(m.conflicts, m.deadLetters, m.deliveries, m.panics, m.rejected, m.silences)
	}
	return m
}
