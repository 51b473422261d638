package llm

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the calls of one client.
type metrics struct {
	calls    *prometheus.CounterVec
	tokens   *prometheus.CounterVec
	duration *prometheus.HistogramVec
	circuit  *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		calls:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ratchet_llm_calls_total", Help: "Calls by outcome; each retry is one."}, []string{"endpoint", "outcome"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ratchet_llm_tokens_total", Help: "Tokens by direction."}, []string{"direction"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ratchet_llm_call_duration_seconds", Help: "Time of a call; each retry is one.",
			Buckets: []float64{.01, .05, .2, 1, 5, 20, 60, 300}, NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"endpoint"}),
		circuit: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ratchet_circuit_open", Help: "1 while an endpoint's circuit is open."}, []string{"endpoint"}),
	}
	if reg != nil {
		reg.MustRegister(m.calls, m.tokens, m.duration, m.circuit)
	}
	return m
}

func (m *metrics) called(endpoint string, elapsed time.Duration, out Response, err error) {
	outcome := "ok"
	var failed *Error
	switch {
	case errors.As(err, &failed):
		outcome = failed.Kind
	case errors.Is(err, ErrContextOverflow):
		outcome = "overflow"
	case err != nil:
		outcome = "cancelled"
	}
	m.calls.WithLabelValues(endpoint, outcome).Inc()
	m.tokens.WithLabelValues("in").Add(float64(out.PromptTokens))
	m.tokens.WithLabelValues("out").Add(float64(out.CompletionTokens))
	m.duration.WithLabelValues(endpoint).Observe(elapsed.Seconds())
}

func (m *metrics) open(endpoint string, open bool) {
	value := 0.0
	if open {
		value = 1
	}
	m.circuit.WithLabelValues(endpoint).Set(value)
}
