package search

import (
	"cmp"
	"encoding/json"
	"errors"
	"html"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// readReply finds the results in what a tool answered. MCP does not say how they look: there may be structured content,
// JSON as text, links, or a text for each result.
func readReply(reply *mcp.CallToolResult) ([]*pb.SearchResult, error) {
	if reply.NeedsInput() {
		return nil, refusal{"the tool asks something back", "nobody is there to answer; use another tool"}
	}
	if reply.IsError {
		text := excerpt([]byte(textOf(reply.Content)))
		return nil, errors.New("the tool failed: " + cmp.Or(text, "without a word"))
	}
	if all, ok := list(reply.StructuredContent); ok {
		return items(all), nil
	}
	var out []*pb.SearchResult
	for _, content := range reply.Content {
		switch c := content.(type) {
		case *mcp.TextContent:
			found, err := texts(c.Text)
			if err != nil {
				return nil, err
			}
			out = append(out, found...)
		case *mcp.ResourceLink:
			out = append(out, result(readable(cmp.Or(c.Title, c.Name)), readable(c.Description), c.URI))
		case *mcp.EmbeddedResource:
			if c.Resource != nil && c.Resource.Text != "" {
				title, text := document{Contents: c.Resource.Text}.parts()
				out = append(out, result(title, text, c.Resource.URI))
			}
		}
	}
	return out, nil
}

func textOf(content []mcp.Content) string {
	var all []string
	for _, c := range content {
		if text, ok := c.(*mcp.TextContent); ok {
			all = append(all, text.Text)
		}
	}
	return strings.Join(all, " ")
}

// texts are the results in a text: those of its JSON, else the text itself, whose first line is its title if it is short.
func texts(text string) ([]*pb.SearchResult, error) {
	var v any
	if json.Unmarshal([]byte(text), &v) == nil {
		if all, ok := list(v); ok {
			return items(all), nil
		}
		if one, ok := v.(map[string]any); ok {
			if found := items([]any{one}); len(found) > 0 {
				return found, nil
			}
			return nil, unexpected("a list of results, or a result", []byte(text), nil)
		}
	}
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	title, rest := document{Contents: text}.parts()
	return []*pb.SearchResult{result(title, rest, "")}, nil
}

// Names that servers give the parts of a result, and the list of them.
var (
	titleNames = []string{"title", "name", "heading"}
	textNames  = []string{"snippet", "text", "content", "contents", "description", "extract", "summary", "body", "observations"}
	urlNames   = []string{"url", "link", "href", "uri", "source"}
	listNames  = []string{"results", "result", "items", "organic", "documents", "hits", "data", "pages", "entities"}
)

// list is the list of results in a JSON value: itself, or one below it under a usual name.
func list(v any) ([]any, bool) {
	switch v := v.(type) {
	case []any:
		return v, true
	case map[string]any:
		for _, name := range listNames {
			if all, ok := v[name].([]any); ok {
				return all, true
			}
		}
		for _, name := range append([]string{"web"}, listNames...) {
			if inner, ok := v[name].(map[string]any); ok {
				return list(inner)
			}
		}
	}
	return nil, false
}

// items reads each element: an object with the usual names, or a text.
func items(all []any) []*pb.SearchResult {
	var out []*pb.SearchResult
	for _, v := range all {
		switch v := v.(type) {
		case string:
			title, text := document{Contents: v}.parts()
			out = append(out, result(title, text, ""))
		case map[string]any:
			title, text, url := under(v, titleNames), under(v, textNames), under(v, urlNames)
			if title == "" && text == "" {
				continue
			}
			out = append(out, result(readable(title), strings.TrimSpace(html.UnescapeString(untagged(text))), url))
		}
	}
	return out
}

func under(v map[string]any, names []string) string {
	for _, name := range names {
		if text := textAt(v[name], ""); text != "" {
			return text
		}
	}
	return ""
}
