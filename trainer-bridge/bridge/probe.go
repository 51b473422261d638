package bridge

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// probeTimeout bounds one look at an endpoint.
const probeTimeout = 10 * time.Second

// models lists what an endpoint serves.
type models interface {
	Models(ctx context.Context, endpoint string) ([]string, error)
}

// probe asks an endpoint whether it is ready.
type probe struct {
	models models
	http   *http.Client
}

// answers returns nil if the endpoint answers, a notYet if it does not. It is asked for path, where deploy.ready names
// one; else for its models, and then the model must be among them. A list of none says nothing.
func (p probe) answers(ctx context.Context, path string, s served) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if path != "" {
		return p.get(ctx, root(s.endpoint)+path)
	}
	names, err := p.models.Models(ctx, s.endpoint)
	if err != nil {
		return notYet{fmt.Errorf("list models of %s: %w", s.endpoint, err)}
	}
	if len(names) > 0 && !slices.Contains(names, s.model) {
		return notYet{fmt.Errorf("%s serves %q, not %q: have it serve under that name, or name in deploy.model what it serves "+
			"(deploy.ready, if its list is not to be trusted)", s.endpoint, names, s.model)}
	}
	return nil
}

func (p probe) get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("deploy.ready: %w", err)
	}
	response, err := p.http.Do(request)
	if err != nil {
		return notYet{err}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return notYet{fmt.Errorf("%s answers %s, not 200", url, response.Status)}
	}
	return nil
}

// root is a server's address without its /v1.
func root(endpoint string) string {
	return strings.TrimSuffix(strings.TrimSuffix(endpoint, "/"), "/v1")
}
