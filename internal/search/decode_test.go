package search

import (
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"google.golang.org/protobuf/proto"
)

// FuzzReplies: whatever a server says, no decoder panics, and what it makes of it can be put on the wire.
func FuzzReplies(f *testing.F) {
	for _, seed := range []string{
		`{"result":[[{"document":{"contents":"\"t\"\ntext"}},{}]]}`, `{"results":[{"title":"<b>&lt;","content":"\ud800"}],"unresponsive_engines":[["a","b"]]}`,
		`{"type":"search","web":{"results":[{"title":"t","description":"d","url":"u"}]}}`, `{"searchParameters":{},"organic":null}`,
		`{"query":{"pages":[{"index":1,"title":"t","extract":null}]}}`, `{"error":{"code":"maxlag"}}`,
		`{"_shards":{"failed":0},"hits":{"hits":[{"_source":{"title":["a",{"b":"c"}],"contents":1},"highlight":{"contents":["x"]}}]}}`,
		`[{"name":"n","observations":["a"]},"s",null,[[]]]`, "null", "\xff",
	} {
		f.Add([]byte(seed))
	}
	tool := config.SearchTool{URL: "http://h", Index: "i", Fields: map[string]string{"title": "a.b"}}
	f.Fuzz(func(t *testing.T, data []byte) {
		for name, makeEngine := range engines {
			e, err := makeEngine(tool)
			if err != nil {
				t.Fatal(err)
			}
			all, err := e.decode(data)
			sendable(t, name, all, err)
		}
		all, err := readReply(&mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: string(data)}}})
		sendable(t, "mcp", all, err)
	})
}

func sendable(t *testing.T, name string, all []*pb.SearchResult, err error) {
	t.Helper()
	if err != nil && len(all) > 0 {
		t.Errorf("%s: results and an error: %v", name, err)
	}
	for _, r := range all {
		if _, err := proto.Marshal(r); err != nil || len(r.GetSnippet()) > maxSnippet || len(r.GetTitle()) > maxTitleShown {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
}
