package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/ratchet-rl/ratchet/internal/config"
)

const (
	// replyTimeout bounds one request but the upload, uploadTimeout that.
	replyTimeout  = 30 * time.Second
	uploadTimeout = 30 * time.Minute
	maxReply      = 4 << 20 // bytes
)

// Client speaks to one API.
type Client struct {
	Endpoint string // the base URL with /v1
	HTTP     *http.Client
	Key      func(endpoint string) (string, error)
}

// Error is a refusal of the API.
type Error struct {
	Status  int
	Code    string
	Message string
}

// Error says what the API said.
func (e *Error) Error() string { return fmt.Sprintf("status %d %s: %s", e.Status, e.Code, e.Message) }

// Passes tells whether asking again may help: not where the account is out of money, though that is a 429 too.
func Passes(err error) bool {
	var refused *Error
	if errors.As(err, &refused) {
		return refused.Status == http.StatusTooManyRequests && refused.Code != "insufficient_quota" || refused.Status >= http.StatusInternalServerError
	}
	var network *url.Error
	return errors.As(err, &network)
}

type job struct {
	ID             string            `json:"id"`
	Status         string            `json:"status"`
	FineTunedModel string            `json:"fine_tuned_model"`
	Metadata       map[string]string `json:"metadata"`
	CreatedAt      int64             `json:"created_at"`
	Error          struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// findJobs lists the jobs with an entry in their metadata, the newest first.
func (c Client) findJobs(ctx context.Context, key, value string) ([]job, error) {
	query := url.Values{"limit": {"100"}, "metadata[" + key + "]": {value}}
	var list struct {
		Data []job `json:"data"`
	}
	if err := c.get(ctx, "/fine_tuning/jobs?"+query.Encode(), &list); err != nil {
		return nil, err
	}
	var found []job
	for _, j := range list.Data { // a server that does not know the filter lists all
		if j.Metadata[key] == value {
			found = append(found, j)
		}
	}
	return found, nil
}

// findFile is the id of an uploaded training file; empty if there is none.
func (c Client) findFile(ctx context.Context, name string, size int64) (string, error) {
	var list struct {
		Data []struct {
			ID       string `json:"id"`
			Filename string `json:"filename"`
			Bytes    int64  `json:"bytes"`
		} `json:"data"`
	}
	if err := c.get(ctx, "/files?purpose=fine-tune&order=desc&limit=10000", &list); err != nil {
		return "", err
	}
	for _, f := range list.Data {
		if f.Filename == name && f.Bytes == size {
			return f.ID, nil
		}
	}
	return "", nil
}

// upload sends a training file under a name.
func (c Client) upload(ctx context.Context, file, name string) (id string, err error) {
	body, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer body.Close()
	reader, writer := io.Pipe() // a mixture is not held in memory
	form := multipart.NewWriter(writer)
	go func() {
		err := form.WriteField("purpose", "fine-tune")
		part, errPart := form.CreateFormFile("file", filepath.Base(name))
		if err = errors.Join(err, errPart); err == nil {
			_, err = io.Copy(part, body)
		}
		writer.CloseWithError(errors.Join(err, form.Close()))
	}()
	var made struct {
		ID string `json:"id"`
	}
	err = c.do(ctx, uploadTimeout, http.MethodPost, "/files", form.FormDataContentType(), reader, &made)
	_ = reader.Close() // the writer stops, whatever became of the request
	return made.ID, err
}

func (c Client) get(ctx context.Context, path string, into any) error {
	return c.do(ctx, replyTimeout, http.MethodGet, path, "", nil, into)
}

func (c Client) post(ctx context.Context, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.do(ctx, replyTimeout, http.MethodPost, path, "application/json", bytes.NewReader(text), into)
}

func (c Client) do(ctx context.Context, limit time.Duration, method, path, contentType string, body io.Reader, into any) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, c.Endpoint+path, body)
	if err != nil {
		return err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	key, err := c.Key(c.Endpoint)
	if err != nil {
		return err
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxReply))
	if err != nil {
		return &url.Error{Op: method, URL: c.Endpoint + path, Err: err} // cut off: as good as not answered
	}
	if response.StatusCode != http.StatusOK {
		return refusal(response.StatusCode, config.Concealed(text, key))
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s %s: want JSON: %w", method, path, err)
	}
	return nil
}

func refusal(status int, text []byte) error {
	var body struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	_ = json.Unmarshal(text, &body) // else it is shown as it is
	e := &Error{Status: status, Code: body.Error.Code, Message: body.Error.Message}
	if e.Message == "" {
		const most = 500
		e.Message = string(text[:min(len(text), most)])
	}
	return e
}
