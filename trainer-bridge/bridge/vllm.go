package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/ratchet-rl/ratchet/internal/config"
)

// loadTimeout bounds one call that loads an adapter.
const loadTimeout = 5 * time.Minute

// vllmLora loads checkpoints as LoRA adapters into a running vLLM (or into pocket, which offers the same call):
// POST /v1/load_lora_adapter, https://docs.vllm.ai/en/stable/features/lora.html. vLLM needs --enable-lora and
// VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, and must see the shelf under the same path.
//
// An adapter's name holds the checkpoint's hash and is never used for another one, so rollouts under way never
// have their model changed under them. Only GET /v1/models is trusted to say what is loaded: a reply that was
// lost, or "already loaded", is settled by looking again.
type vllmLora struct {
	shelf  shelf
	models models
	http   *http.Client
	key    func(endpoint string) (string, error) // the API key of an endpoint, empty if it needs none
	log    *slog.Logger
}

// Ensure loads the checkpoint unless the endpoint lists it.
func (d *vllmLora) Ensure(ctx context.Context, o order) (served, error) {
	c, endpoint := o.checkpoint, o.deploy.Endpoint
	name := c.GetTarget() + "-" + c.GetId()
	s := served{model: name, endpoint: endpoint}
	if there, err := d.serves(ctx, endpoint, name); err != nil || there {
		return s, err
	}
	folder, err := d.shelf.fetch(ctx, c)
	if err != nil {
		return served{}, err
	}
	loading := d.load(ctx, endpoint, name, folder)
	there, err := d.serves(ctx, endpoint, name)
	switch {
	case err != nil:
		return served{}, err
	case there:
		d.log.Info("loaded adapter", "endpoint", endpoint, "model", name, "path", folder)
		return s, nil
	case loading != nil:
		return served{}, loading
	}
	return served{}, fmt.Errorf("%s accepted the adapter %s but does not list it in /models: "+
		"is it several servers behind one address?", endpoint, name)
}

func (d *vllmLora) serves(ctx context.Context, endpoint, name string) (bool, error) {
	served, err := d.models.Models(ctx, endpoint)
	if err != nil {
		return false, notYet{fmt.Errorf("list models of %s: %w", endpoint, err)}
	}
	return slices.Contains(served, name), nil
}

// load asks the server to load an adapter.
func (d *vllmLora) load(ctx context.Context, endpoint, name, folder string) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	body, err := json.Marshal(map[string]string{"lora_name": name, "lora_path": folder})
	if err != nil {
		return err
	}
	url := root(endpoint) + "/v1/load_lora_adapter"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("load adapter %s: %w", name, err)
	}
	request.Header.Set("Content-Type", "application/json")
	key, err := d.key(endpoint)
	if err != nil {
		return err
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := d.http.Do(request)
	if err != nil {
		return fmt.Errorf("load adapter %s: %w", name, err)
	}
	defer response.Body.Close()
	return refusal(response, url, name, folder, key)
}

// refusal is the error of a reply that is not 200, with what the operator can do.
func refusal(response *http.Response, url, name, folder, key string) error {
	if response.StatusCode == http.StatusOK {
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10)) // for the message only
	text, response.Status = config.Concealed(text, key), string(config.Concealed([]byte(response.Status), key))
	err := fmt.Errorf("%s answered %s to loading %s: %s", url, response.Status, name, bytes.TrimSpace(text))
	if response.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%w (either it cannot see %s, or it does not load adapters at run time: "+
			"vLLM needs --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True)", err, folder)
	}
	return err
}
