package search

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"path"
	"regexp"
	"strings"
)

// maxLine bounds one document of a corpus, and maxTitle a first line that is taken for a title; in bytes.
const (
	maxLine  = 16 << 20
	maxTitle = 300
)

// MaxCorpus bounds a corpus after decompression, in bytes: three times the English Wikipedia. A compression bomb would
// fill the disk with its index, and a web server without end that with its copy.
const MaxCorpus = 64 << 30

// corpus is JSON lines of documents in the blob store, gzipped or not, named by its content.
type corpus struct {
	uri, sha256 string
	get         Getter
}

// contentName is the name of a blob that carries its hash: corpora/<sha256>.jsonl.
var contentName = regexp.MustCompile(`^([0-9a-f]{64})(\.|$)`)

// findCorpus learns the corpus's hash: from its name, as submit gave it, else by reading it.
func findCorpus(ctx context.Context, uri string, get Getter) (corpus, error) {
	c := corpus{uri: uri, get: get}
	if m := contentName.FindStringSubmatch(path.Base(uri)); m != nil {
		c.sha256 = m[1]
		return c, nil
	}
	body, err := get(ctx, uri)
	if err != nil {
		return c, fmt.Errorf("get corpus %s: %w", uri, err)
	}
	defer body.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, body); err != nil {
		return c, fmt.Errorf("read corpus %s: %w", uri, err)
	}
	c.sha256 = hex.EncodeToString(sum.Sum(nil))
	return c, nil
}

// document is a line of a corpus, {id, title, contents}, or a Search-R1 server's, {id, contents: "\"title\"\ntext"}.
type document struct {
	Title    string `json:"title"`
	Contents string `json:"contents"`
	Text     string `json:"text"`
	URL      string `json:"url"`
}

// parts are the title and the text, wherever they stand, without HTML entities.
func (d document) parts() (title, text string) {
	title, text = d.Title, d.Contents
	if text == "" {
		text = d.Text
	}
	if first, rest, ok := strings.Cut(text, "\n"); title == "" && ok && len(first) <= maxTitle {
		title, text = strings.Trim(first, "\"\r"), rest
	}
	return html.UnescapeString(strings.TrimSpace(title)), html.UnescapeString(strings.TrimSpace(text))
}

// each hands over the documents with their line numbers, then checks that the content is what the hash says.
func (c corpus) each(ctx context.Context, fn func(line int, d document) error) error {
	body, err := c.get(ctx, c.uri)
	if err != nil {
		return fmt.Errorf("get corpus %s: %w", c.uri, err)
	}
	defer body.Close()
	sum := sha256.New()
	raw := bufio.NewReader(io.TeeReader(body, sum))
	text, err := plain(raw)
	if err != nil {
		return fmt.Errorf("corpus %s: %w", c.uri, err)
	}
	if err := eachLine(ctx, &bounded{text, MaxCorpus}, fn); err != nil {
		return fmt.Errorf("corpus %s: %w", c.uri, err)
	}
	if _, err := io.Copy(io.Discard, raw); err != nil { // what lies behind the end of a gzip stream is hashed too
		return fmt.Errorf("read corpus %s: %w", c.uri, err)
	}
	if have := hex.EncodeToString(sum.Sum(nil)); have != c.sha256 {
		return fmt.Errorf("corpus %s has changed: its sha256 is %s, want %s", c.uri, have, c.sha256)
	}
	return nil
}

// plain undoes gzip.
func plain(r *bufio.Reader) (io.Reader, error) {
	if magic, _ := r.Peek(2); !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return r, nil
	}
	return gzip.NewReader(r)
}

// bounded ends with an error where a corpus is too large.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("larger than %d GiB uncompressed", MaxCorpus>>30)
	}
	return n, err
}

func eachLine(ctx context.Context, r io.Reader, fn func(line int, d document) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	line := 0
	for lines.Scan() {
		line++
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		text := bytes.TrimSpace(bytes.TrimPrefix(lines.Bytes(), []byte("\ufeff")))
		if len(text) == 0 {
			continue
		}
		var d document
		if err := json.Unmarshal(text, &d); err != nil {
			return fmt.Errorf("line %d: want a JSON object {id, title, contents}: %w", line, err)
		}
		if err := fn(line, d); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w (a line may have %d bytes)", line+1, err, maxLine)
	}
	return nil
}
