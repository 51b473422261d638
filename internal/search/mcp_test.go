package search_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/search"
)

// asServer makes this test program an MCP server on its standard streams; once the word is dying, it ends at the first
// call.
const asServer = "RATCHET_TEST_MCP_SERVER"

func TestMain(m *testing.M) {
	switch os.Getenv(asServer) {
	case "":
		os.Exit(m.Run())
	case "dying":
		server := mcp.NewServer(&mcp.Implementation{Name: "dying", Version: "1"}, nil)
		mcp.AddTool(server, &mcp.Tool{Name: "search"}, func(context.Context, *mcp.CallToolRequest, mcpQuery) (*mcp.CallToolResult, any, error) {
			os.Exit(1)
			return nil, nil, nil
		})
		_ = server.Run(context.Background(), &mcp.StdioTransport{})
	default:
		_ = newMCPServer(pages).Run(context.Background(), &mcp.StdioTransport{})
	}
}

// A program that speaks MCP on its standard streams; here this very test.
func TestMCPCommand(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ask := func(word string) (string, error) {
		cfg := settings(t, "off")
		cfg.MCPCommand = []string{"env", asServer + "=" + word, self}
		found, err := open(t, cfg, config.SearchTool{Kind: "mcp"}, nil).Search(t.Context(), "harbor", 2)
		return titles(found), err
	}
	if found, err := ask("living"); err != nil || found != "Silver Harbor & Co,Old Harbor" {
		t.Errorf("%q, %v", found, err)
	}
	_, err = ask("dying")
	failsAs(t, err, self, "4 tries", "call tool search")

	cfg := settings(t, "off")
	cfg.MCPCommand = []string{"/no/such/program"}
	_, err = open(t, cfg, config.SearchTool{Kind: "mcp"}, nil).Search(t.Context(), "harbor", 2)
	failsAs(t, err, "/no/such/program", "no such file")
	if _, err := search.Open(t.Context(), settings(t, "off"), config.SearchTool{Kind: "mcp"}, nil); err == nil || !strings.Contains(err.Error(), "search.mcp_command") {
		t.Errorf("neither URL nor program: %v", err)
	}
}

// serveTool is an MCP server with one tool, and one more of each name.
func serveTool(t *testing.T, answer func(in object) *mcp.CallToolResult, others ...string) string {
	t.Helper()
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	schema := object{"type": "object", "properties": object{"q": object{"type": "string"}, "n": object{"type": "integer"}, "deep": object{"type": "boolean"}}}
	for _, name := range append([]string{"lookup"}, others...) {
		mcp.AddTool(server, &mcp.Tool{Name: name, InputSchema: schema}, func(_ context.Context, _ *mcp.CallToolRequest, in object) (*mcp.CallToolResult, any, error) {
			return answer(in), nil, nil
		})
	}
	url, _ := serve(t, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil).ServeHTTP)
	return url
}

func text(all ...string) *mcp.CallToolResult {
	r := &mcp.CallToolResult{}
	for _, one := range all {
		r.Content = append(r.Content, &mcp.TextContent{Text: one})
	}
	return r
}

// TestMCPTool: which tool, with which arguments.
func TestMCPTool(t *testing.T) {
	t.Parallel()
	named := map[string]string{"q": "{query} site", "n": "{results}", "deep": "true"}
	for name, c := range map[string]struct {
		others []string
		tool   config.SearchTool
		want   string // of the argument n and q, or of the error
	}{
		"the only one":      {nil, config.SearchTool{Arguments: named}, "map[deep:true n:2 q:harbor site]"},
		"the search":        {[]string{"a", "find_search"}, config.SearchTool{Arguments: named}, "map[deep:true n:2 q:harbor site]"},
		"by name":           {[]string{"search"}, config.SearchTool{Tool: "lookup", Arguments: named}, "map[deep:true n:2 q:harbor site]"},
		"no such tool":      {nil, config.SearchTool{Tool: "nope", Arguments: named}, "the server has: lookup"},
		"two searches":      {[]string{"search_a", "search_b"}, config.SearchTool{Arguments: named}, "which one searches? The server has: lookup, search_a, search_b"},
		"no argument query": {nil, config.SearchTool{}, "deep, n, q; say in search.arguments"},
		"no number":         {nil, config.SearchTool{Arguments: map[string]string{"n": "{query}"}}, "wants integer for n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.tool.Kind, c.tool.URL = "mcp", serveTool(t, func(in object) *mcp.CallToolResult { return text("Title\n" + fmt.Sprint(in)) }, c.others...)
			found, err := open(t, settings(t, "off"), c.tool, nil).Search(t.Context(), "harbor", 2)
			if err == nil {
				if len(found) != 1 || found[0].GetTitle() != "Title" || found[0].GetSnippet() != c.want {
					t.Errorf("%v, want %s", found, c.want)
				}
				return
			}
			failsAs(t, err, c.tool.URL, c.want, "1 tries")
		})
	}
}

// TestMCPReplies: results as servers give them.
func TestMCPReplies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reply *mcp.CallToolResult
		want  string
	}{
		"JSON of a list":   {text(`{"results":[{"title":"A","text":"a","url":"u"},{"name":"B","content":["b","b"]}]}`), "A|a|u;B|b b|"},
		"JSON within":      {text(`{"web":{"results":[{"title":"A","description":"<b>a</b>"}]}}`), "A|a|"},
		"JSON list":        {text(`[{"title":"A","snippet":"a"}]`), "A|a|"},
		"JSON of texts":    {text(`["A\na"]`), "A|a|"},
		"one as JSON each": {text(`{"title":"A","link":"u"}`, `{"title":"B","link":"v"}`), "A||u;B||v"},
		"texts":            {text("A\nsays &amp; a", "B\nsays b"), "A|says & a|;B|says b|"},
		"empty list":       {text(`{"results":[]}`), ""},
		"nothing":          {text(""), ""},
		"links":            {&mcp.CallToolResult{Content: []mcp.Content{&mcp.ResourceLink{URI: "u", Name: "n", Title: "A", Description: "a"}}}, "A|a|u"},
		"a resource":       {&mcp.CallToolResult{Content: []mcp.Content{&mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: "u", Text: "A\na"}}}}, "A|a|u"},
		"an image":         {&mcp.CallToolResult{Content: []mcp.Content{&mcp.ImageContent{MIMEType: "image/png", Data: []byte("x")}}}, ""},
		"an error":         {&mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: "quota"}}}, "! the tool failed: quota"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tool := config.SearchTool{Kind: "mcp", Arguments: map[string]string{"q": "{query}"}, URL: serveTool(t, func(object) *mcp.CallToolResult { return c.reply })}
			found, err := open(t, settings(t, "off"), tool, nil).Search(t.Context(), "harbor", 9)
			if want, fails := strings.CutPrefix(c.want, "! "); fails {
				failsAs(t, err, tool.URL, want)
				return
			}
			var got []string
			for _, r := range found {
				got = append(got, r.GetTitle()+"|"+r.GetSnippet()+"|"+r.GetUrl())
			}
			if err != nil || strings.Join(got, ";") != c.want {
				t.Errorf("%q, %v; want %q", strings.Join(got, ";"), err, c.want)
			}
		})
	}
}

// A server that was started anew knows no session of before: the next search makes one.
func TestMCPRestart(t *testing.T) {
	t.Parallel()
	var current atomic.Pointer[http.HandlerFunc]
	restart := func() { h := serveMCP(pages); current.Store(&h) }
	restart()
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { (*current.Load())(w, r) })
	s := open(t, settings(t, "off"), config.SearchTool{Kind: "mcp", URL: url}, nil)
	for range 3 {
		if found, err := s.Search(t.Context(), "harbor", 3); err != nil || len(found) != 3 {
			t.Errorf("%v, %v", found, err)
		}
		restart()
	}
}

// A tool that hangs takes neither the other searches nor the end with it.
func TestMCPHangs(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	next := serveMCP(pages)
	hang := func(r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method == http.MethodDelete || bytes.Contains(body, []byte("stuck")) {
			hang(r)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next(w, r)
	})
	t.Cleanup(func() { close(release) })
	cfg := settings(t, "off")
	cfg.Timeout = time.Second
	begin := time.Now()
	s, err := search.Open(t.Context(), cfg, config.SearchTool{Kind: "mcp", URL: url}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	both.Go(func() {
		_, err := s.Search(t.Context(), "stuck", 3)
		failsAs(t, err, url)
	})
	both.Go(func() {
		if found, err := s.Search(t.Context(), "harbor", 3); err != nil || len(found) != 3 {
			t.Errorf("beside a call that hangs: %v, %v", found, err)
		}
	})
	both.Wait()
	if found, err := s.Search(t.Context(), "harbor", 3); err != nil || len(found) != 3 {
		t.Errorf("after a call that hung: %v, %v", found, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("all of it took %s", took)
	}
}
