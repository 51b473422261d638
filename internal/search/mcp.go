package search

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// mcpTool asks a tool of an MCP server (modelcontextprotocol.io), over streamable HTTP or the standard streams of a
// program. One session is shared, and made anew when it has failed.
type mcpTool struct {
	tool      config.SearchTool
	transport func() mcp.Transport
	key       string

	turn    chan struct{} // of one: holds who reads or changes what is below, and who makes a session
	session *mcp.ClientSession
	called  *mcp.Tool
}

func chooseMCP(cfg config.Search, tool config.SearchTool) (backend, error) {
	server := tool.URL
	if server == "" {
		server = strings.Join(cfg.MCPCommand, " ")
	}
	if server == "" {
		return backend{}, errors.New("the run names no URL, and search.mcp_command of this worker is empty; set one of them")
	}
	m := &mcpTool{tool: tool, turn: make(chan struct{}, 1)}
	return backend{
		identity: fmt.Sprintf("mcp %s %s %v", server, tool.Tool, tool.Arguments),
		open: func(context.Context) (Searcher, error) {
			if err := m.open(cfg); err != nil {
				return nil, err
			}
			return &patient{asker: m, name: "MCP server " + server, timeout: cfg.Timeout}, nil
		},
	}, nil
}

// open chooses the transport; the session is made by the first search, within its time.
func (m *mcpTool) open(cfg config.Search) error {
	if m.tool.URL == "" {
		m.transport = func() mcp.Transport {
			return &mcp.CommandTransport{Command: exec.Command(cfg.MCPCommand[0], cfg.MCPCommand[1:]...), TerminateDuration: time.Second}
		}
		return nil
	}
	key, err := keyFor(cfg, m.tool.URL)
	if err != nil {
		return err
	}
	m.key = key
	client := &http.Client{Transport: &guarded{key: key, next: http.DefaultTransport.(*http.Transport).Clone()}}
	m.transport = func() mcp.Transport {
		return &mcp.StreamableClientTransport{Endpoint: m.tool.URL, HTTPClient: client, MaxRetries: -1, DisableStandaloneSSE: true, MaxEventSize: maxReply}
	}
	return nil
}

func (m *mcpTool) close() error {
	m.turn <- struct{}{}
	session := m.session
	<-m.turn
	m.drop(session)
	return nil
}

// drop ends a session, if it is still the one in use. Its error is of no use to anybody: the server may be gone.
func (m *mcpTool) drop(session *mcp.ClientSession) {
	m.turn <- struct{}{}
	used := session != nil && session == m.session
	if used {
		m.session = nil
	}
	<-m.turn
	if used {
		_ = session.Close()
	}
}

func (m *mcpTool) ask(ctx context.Context, query string, k int) ([]*pb.SearchResult, time.Duration, error) {
	session, tool, err := m.connect(ctx)
	if err != nil {
		return nil, waitOf(err), m.concealed(err)
	}
	arguments, err := argumentsOf(m.tool.Arguments, tool, query, k)
	if err != nil {
		return nil, 0, refusal{"tool " + tool.Name, err.Error()}
	}
	reply, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool.Name, Arguments: arguments})
	if err != nil {
		m.drop(session)
		return nil, waitOf(err), m.concealed(fmt.Errorf("call tool %s: %w", tool.Name, err))
	}
	results, err := readReply(reply)
	for _, r := range results {
		r.Title, r.Snippet = string(config.Concealed([]byte(r.GetTitle()), m.key)), string(config.Concealed([]byte(r.GetSnippet()), m.key))
	}
	return results, 0, m.concealed(err)
}

// concealed is the error without the key, if it holds it.
func (m *mcpTool) concealed(err error) error {
	if err == nil || m.key == "" || !strings.Contains(err.Error(), m.key) {
		return err
	}
	text := string(config.Concealed([]byte(err.Error()), m.key))
	if errors.As(err, new(refusal)) {
		return refusal{"refused", text}
	}
	return errors.New(text)
}

// connect is the session in use, or a new one, and the tool to call.
func (m *mcpTool) connect(ctx context.Context) (*mcp.ClientSession, *mcp.Tool, error) {
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return nil, nil, errors.New("search.timeout is over before a session was made")
	}
	if m.session != nil {
		return m.session, m.called, nil
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "ratchet", Version: "1"}, nil).Connect(ctx, m.transport(), nil)
	if err != nil {
		return nil, nil, fmt.Errorf("connect: %w", err)
	}
	tool, err := pick(ctx, session, m.tool.Tool)
	if err != nil {
		_ = session.Close()
		return nil, nil, err
	}
	m.session, m.called = session, tool
	return session, tool, nil
}

// pick finds the tool by its name; without one, the only tool, or the only one called a search.
func pick(ctx context.Context, session *mcp.ClientSession, name string) (*mcp.Tool, error) {
	var all, searches []*mcp.Tool
	var names []string
	for tool, err := range session.Tools(ctx, nil) {
		if err != nil {
			return nil, fmt.Errorf("list tools: %w", err)
		}
		if tool.Name == name {
			return tool, nil
		}
		all, names = append(all, tool), append(names, tool.Name)
		if strings.Contains(strings.ToLower(tool.Name), "search") {
			searches = append(searches, tool)
		}
	}
	switch {
	case name != "":
		return nil, refusal{"no tool " + name, "the server has: " + strings.Join(names, ", ") + "; name one in search.tool"}
	case len(all) == 1:
		return all[0], nil
	case len(searches) == 1:
		return searches[0], nil
	}
	return nil, refusal{fmt.Sprintf("%d tools", len(all)), "which one searches? The server has: " + strings.Join(names, ", ") + "; name one in search.tool"}
}

// argumentsOf fills in the arguments, as numbers where the tool's schema wants numbers.
func argumentsOf(named map[string]string, tool *mcp.Tool, query string, k int) (map[string]any, error) {
	properties := propertiesOf(tool)
	if len(named) == 0 {
		if _, ok := properties["query"]; !ok {
			return nil, fmt.Errorf("it has no argument query, but %s; say in search.arguments which is the query: {NAME: \"{query}\"}",
				strings.Join(slices.Sorted(maps.Keys(properties)), ", "))
		}
		named = map[string]string{"query": "{query}"}
	}
	filled := map[string]any{}
	for name, text := range named {
		text = strings.NewReplacer("{query}", query, "{results}", strconv.Itoa(k)).Replace(text)
		filled[name] = text
		if t := properties[name]; t == "integer" || t == "number" || t == "boolean" {
			var value any
			if err := json.Unmarshal([]byte(text), &value); err != nil {
				return nil, fmt.Errorf("search.arguments: the tool wants %s for %s, not %q", t, name, text)
			}
			filled[name] = value
		}
	}
	return filled, nil
}

// propertiesOf are the types of a tool's arguments, by name.
func propertiesOf(tool *mcp.Tool) map[string]string {
	types := map[string]string{}
	schema, _ := tool.InputSchema.(map[string]any)
	properties, _ := schema["properties"].(map[string]any)
	for name, v := range properties {
		property, _ := v.(map[string]any)
		types[name], _ = property["type"].(string)
	}
	return types
}

// guarded puts the key into requests, and reads no more of a reply than is ever wanted.
type guarded struct {
	key  string
	next *http.Transport
}

// busy is a reply that may be another the next time.
type busy struct {
	status string
	wait   time.Duration
}

func (b busy) Error() string { return b.status }

func waitOf(err error) time.Duration {
	var b busy
	if errors.As(err, &b) {
		return b.wait
	}
	return 0
}

// farewell bounds the end of a session, which no search waits for.
const farewell = time.Second

// RoundTrip makes errors of what is none to the SDK, or not one that says what to do.
func (g *guarded) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodDelete {
		ctx, cancel := context.WithTimeout(request.Context(), farewell)
		defer cancel()
		request = request.WithContext(ctx)
	}
	if g.key != "" {
		request = request.Clone(request.Context())
		request.Header.Set("Authorization", "Bearer "+g.key)
	}
	reply, err := g.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	code := reply.StatusCode
	switch {
	case mayPass(code):
		_ = reply.Body.Close()
		return nil, busy{reply.Status, askedToWait(reply.Header, time.Now())}
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		_ = reply.Body.Close()
		return nil, refusal{reply.Status, "check the key in search.key_file"}
	}
	reply.Body = boundedBody{io.LimitReader(reply.Body, maxReply), reply.Body}
	return reply, nil
}

// CloseIdleConnections is what http.Client looks for.
func (g *guarded) CloseIdleConnections() { g.next.CloseIdleConnections() }

type boundedBody struct {
	io.Reader
	io.Closer
}
