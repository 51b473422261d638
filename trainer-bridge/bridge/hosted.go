package bridge

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/interchange"
	"github.com/ratchet-rl/ratchet/trainer-bridge/bridge/openai"
	"github.com/ratchet-rl/ratchet/worker"
)

// hostedFile is the only file of a checkpoint whose weights are elsewhere.
const hostedFile = "model.json"

// hostedModel is its content: where the model is and what it is called there.
type hostedModel struct {
	Endpoint string `json:"endpoint"`
	Model    string `json:"model"`
}

// tuning is the driver that has a hosted model fine-tuned over the API of OpenAI. The checkpoint is the tuned model's
// name. A job's folder has, beside the lock and out:
//
//	training.jsonl  what was uploaded
//	told            the job that has failed and was told of; asked for again, after the run was resumed, another is made
type tuning struct {
	directory string // holds a folder for each job
	http      *http.Client
	key       func(endpoint string) (string, error)
	every     time.Duration
}

// Train has the job done, or finds it. When ctx ends it goes on: the next bridge finds it.
func (d tuning) Train(ctx context.Context, j job, report func(progress)) (string, error) {
	f := folder(filepath.Join(d.directory, j.name))
	if err := os.MkdirAll(f.out(), 0o755); err != nil {
		return "", fmt.Errorf("make job folder: %w", err)
	}
	lock, err := f.lock() // one caller at a time, and the tidier is none
	if err != nil {
		return "", fmt.Errorf("job %s: %w", j.name, err)
	}
	defer lock.Close()
	if _, err := os.Stat(filepath.Join(f.out(), hostedFile)); err == nil {
		return f.out(), nil
	}
	if err := chatFile(j.manifest, f); err != nil {
		return "", fmt.Errorf("job %s: write training.jsonl: %w", j.name, err)
	}
	endpoint := j.target.HostedAt()
	model, err := d.tune(ctx, endpoint, j, f, report)
	if err != nil {
		return "", fmt.Errorf("job %s: %w", j.name, err)
	}
	text, err := json.Marshal(hostedModel{Endpoint: endpoint, Model: model})
	if err != nil {
		return "", err
	}
	return f.out(), folder(f.out()).write(hostedFile, string(text))
}

func (d tuning) tune(ctx context.Context, endpoint string, j job, f folder, report func(progress)) (string, error) {
	if limit := j.timeout(); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, worker.Permanent(errTimeout))
		defer cancel()
	}
	past, err := os.ReadFile(f.path("told"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	client := openai.Client{Endpoint: endpoint, HTTP: d.http, Key: d.key}
	work := openai.Tuning{
		Name: j.name, Model: j.target.Base, Seed: j.seed, File: f.path("training.jsonl"), Past: strings.TrimSpace(string(past)),
	}
	model, id, err := client.Tune(ctx, work, d.every, func(p openai.Progress) {
		report(progress{Done: p.Step, Total: p.Total, Loss: p.Loss, Message: p.Message})
	})
	var refused *openai.Error
	switch {
	case errors.Is(err, openai.ErrFailed):
		return "", worker.Permanent(errors.Join(err, f.write("told", id)))
	case errors.As(err, &refused):
		return "", worker.Permanent(err)
	}
	return model, err
}

// chatFile writes a mixture as messages, one user's and one assistant's, the parts one after the other.
func chatFile(manifest string, f folder) (err error) {
	data, err := os.ReadFile(manifest)
	if err != nil {
		return err
	}
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("decode %s: %w", manifest, err)
	}
	temporary, err := os.Create(f.path("training.jsonl.tmp"))
	if err != nil {
		return err
	}
	defer temporary.Close()
	out := bufio.NewWriter(temporary)
	for _, part := range m.Parts {
		if err := chatPart(out, filepath.Join(filepath.Dir(manifest), path.Base(part.Key))); err != nil {
			return err
		}
	}
	if err := errors.Join(out.Flush(), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), f.path("training.jsonl"))
}

func chatPart(out io.Writer, part string) error {
	file, err := os.Open(part)
	if err != nil {
		return err
	}
	defer file.Close()
	type message struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for decoder := json.NewDecoder(file); ; {
		var e interchange.Example
		if err := decoder.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("decode %s: %w", part, err)
		}
		err := encoder.Encode(map[string][]message{"messages": {{"user", e.Prompt}, {"assistant", e.Completion}}})
		if err != nil {
			return err
		}
	}
}

// hosted is the deployer of such a checkpoint: it is served where it was made.
type hosted struct {
	shelf shelf
	probe probe
}

// Ensure reads where, and looks whether the endpoint answers for it.
func (d hosted) Ensure(ctx context.Context, o order) (served, error) {
	folder, err := d.shelf.fetch(ctx, o.checkpoint)
	if err != nil {
		return served{}, err
	}
	var m hostedModel
	text, err := os.ReadFile(filepath.Join(folder, hostedFile))
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err == nil && (m.Endpoint == "" || m.Model == "") {
		err = errors.New("it names none")
	}
	if err != nil {
		return served{}, worker.Permanent(fmt.Errorf("the checkpoint %s is no hosted model (%s: %w): deploy.deployer %s goes with targets.driver %s",
			o.checkpoint.GetId(), hostedFile, err, config.DeployerOpenAI, config.DriverOpenAI))
	}
	s := served{model: m.Model, endpoint: m.Endpoint}
	return s, d.probe.answers(ctx, o.deploy.Ready, s)
}
