package search

import (
	"html"
	"regexp"
	"strings"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Limits of one result, in bytes: what a page has beyond them is cut, because it would be in the prompt, the journal
// and the trajectory.
const (
	maxTitleShown = 1 << 10
	maxSnippet    = 16 << 10
	maxURL        = 2 << 10
)

// result makes a result of whatever a backend found: bounded, and without tags, which prompts do not show either.
func result(title, snippet, url string) *pb.SearchResult {
	return &pb.SearchResult{
		Title: cut(untagged(title), maxTitleShown), Snippet: cut(untagged(snippet), maxSnippet), Url: cut(strings.ToValidUTF8(url, ""), maxURL),
	}
}

// cut is the text, or its beginning and a mark.
func cut(text string, most int) string {
	const mark = " ..."
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len(mark)], "") + mark
}

var tag = regexp.MustCompile(`</?[a-zA-Z][^<>]{0,200}>`)

func untagged(text string) string {
	return strings.ToValidUTF8(tag.ReplaceAllString(text, ""), "\uFFFD") // protobuf takes no other
}

// readable is HTML as text: no tags, no entities, and blanks as one space.
func readable(text string) string {
	return strings.Join(strings.Fields(html.UnescapeString(untagged(text))), " ")
}
