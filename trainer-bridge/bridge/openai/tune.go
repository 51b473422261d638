package openai

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"time"
)

// nameKey is the entry of a job's metadata that it is found by.
const nameKey = "ratchet_job"

// maxSeed is the largest seed that the API takes.
const maxSeed = 1<<31 - 1

// ErrFailed means that the job ended without a model.
var ErrFailed = errors.New("the fine-tuning job failed")

// Tuning is one job.
type Tuning struct {
	Name  string // at most 64 bytes; what it is known by
	Model string // to start from
	Seed  uint64
	File  string // JSON lines of {messages}
	// Past is the job of this name that has failed and was told of; empty if none.
	Past string
}

// Progress is what a job says of itself.
type Progress struct {
	Step, Total int64
	Loss        float64
	Message     string
}

// Tune has the model fine-tuned, or finds the job that does, and returns the tuned model's name. id is the job's, if it
// is known. When ctx ends the job goes on. What is refused for a while is asked again.
func (c Client) Tune(ctx context.Context, t Tuning, every time.Duration, report func(Progress)) (model, id string, err error) {
	w := &watch{client: c, tuning: t, report: report}
	for {
		model, err := w.look(ctx)
		if model != "" || err != nil && !Passes(err) {
			return model, w.id, err
		}
		if err != nil {
			report(Progress{Step: w.last.Step, Total: w.last.Total, Loss: w.last.Loss, Message: "the API does not answer: " + err.Error()})
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return "", w.id, context.Cause(ctx)
		}
	}
}

// watch is one job being waited for.
type watch struct {
	client Client
	tuning Tuning
	report func(Progress)
	id     string // empty until the job was found or made
	last   Progress
	seen   string // the last event
}

// look makes the job if there is none, passes on what is new, and returns the model once there is one.
func (w *watch) look(ctx context.Context) (model string, err error) {
	if w.id == "" {
		if err := w.ensure(ctx); err != nil {
			return "", err
		}
	}
	var j job
	if err := w.client.get(ctx, "/fine_tuning/jobs/"+url.PathEscape(w.id), &j); err != nil {
		return "", err
	}
	if err := w.events(ctx); err != nil {
		return "", err
	}
	switch j.Status {
	case "succeeded":
		if j.FineTunedModel == "" {
			return "", fmt.Errorf("%w: %s succeeded and names no model", ErrFailed, w.id)
		}
		return j.FineTunedModel, nil
	case "failed", "cancelled":
		return "", fmt.Errorf("%w: %s %s: %s %s", ErrFailed, w.id, j.Status, j.Error.Code, j.Error.Message)
	}
	return "", nil
}

// ensure finds the job, or makes it.
func (w *watch) ensure(ctx context.Context) error {
	t := w.tuning
	found, err := w.client.findJobs(ctx, nameKey, t.Name)
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(j job) bool { return j.ID == t.Past })
	if len(found) > 0 {
		newest := slices.MaxFunc(found, func(a, b job) int { return int(a.CreatedAt - b.CreatedAt) })
		w.id = newest.ID
		return nil
	}
	file, err := w.file(ctx)
	if err != nil {
		return err
	}
	var made job
	err = w.client.post(ctx, "/fine_tuning/jobs", map[string]any{
		"model": t.Model, "training_file": file, "seed": t.Seed % maxSeed, "suffix": t.Name,
		"metadata": map[string]string{nameKey: t.Name}, "method": map[string]any{"type": "supervised"},
	}, &made)
	w.id = made.ID // empty if the reply was lost: it is looked for the next time
	return err
}

// file is the id of the training file, uploaded unless it is there.
func (w *watch) file(ctx context.Context) (string, error) {
	info, err := os.Stat(w.tuning.File)
	if err != nil {
		return "", err
	}
	name := w.tuning.Name + ".jsonl"
	if id, err := w.client.findFile(ctx, name, info.Size()); id != "" || err != nil {
		return id, err
	}
	return w.client.upload(ctx, w.tuning.File, name)
}

// events passes on what the job has said since the last look, the oldest first.
func (w *watch) events(ctx context.Context) error {
	var list struct {
		Data []event `json:"data"`
	}
	if err := w.client.get(ctx, "/fine_tuning/jobs/"+url.PathEscape(w.id)+"/events?limit=100", &list); err != nil {
		return err
	}
	if i := slices.IndexFunc(list.Data, func(e event) bool { return e.ID == w.seen }); i >= 0 {
		list.Data = list.Data[:i] // the newest come first
	}
	for _, e := range slices.Backward(list.Data) {
		w.seen = e.ID
		w.last = Progress{Step: max(e.Data.Step, w.last.Step), Total: max(e.Data.Total, w.last.Total), Loss: w.last.Loss, Message: e.Message}
		if e.Type == "metrics" {
			w.last.Loss = e.Data.Loss
		}
		w.report(w.last)
	}
	return nil
}

type event struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Message string `json:"message"`
	Data    struct {
		Step  int64   `json:"step"`
		Total int64   `json:"total_steps"`
		Loss  float64 `json:"train_loss"`
	} `json:"data"`
}
