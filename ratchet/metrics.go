package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/ratchet-rl/ratchet/internal/app"
)

// serveMetrics serves health and the metrics of all roles on one address until ctx ends.
func serveMetrics(ctx context.Context, addr string, envs []*app.Env) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return &failure{code: exitFailed, err: fmt.Errorf("serve health and metrics at %s: %w", addr, err), fix: "stop what listens there, or set http.listen to another address"}
	}
	server := &http.Server{Handler: metricsHandler(envs), ReadHeaderTimeout: shutdownTime}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve health and metrics: %w", err)
	}
	return nil
}

func metricsHandler(envs []*app.Env) http.Handler {
	var all prometheus.Gatherers
	for _, env := range envs {
		all = append(all, ofRole{env.Role, env.Metrics.Registry()})
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(all, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		for _, env := range envs {
			if err := env.Ready(); err != nil {
				http.Error(w, env.Role+": "+err.Error(), http.StatusServiceUnavailable)
				return
			}
		}
		fmt.Fprintln(w, "ready")
	})
	return mux
}

// ofRole adds the role's label, so that five registries can be read as one.
type ofRole struct {
	role string
	from prometheus.Gatherer
}

const roleLabel = "role"

// Gather implements prometheus.Gatherer.
func (g ofRole) Gather() ([]*dto.MetricFamily, error) {
	families, err := g.from.Gather()
	for _, family := range families {
		for _, metric := range family.Metric {
			if !hasLabel(metric, roleLabel) {
				name := roleLabel
				metric.Label = append(metric.Label, &dto.LabelPair{Name: &name, Value: &g.role})
			}
		}
	}
	return families, err
}

func hasLabel(metric *dto.Metric, name string) bool {
	for _, label := range metric.Label {
		if label.GetName() == name {
			return true
		}
	}
	return false
}
