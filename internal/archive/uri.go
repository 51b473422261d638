package archive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/blob"
	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// nowhere begins the URIs within an archive.
const nowhere = "blob:///"

// uris are the fields of an event that point into the blob store.
func uris(ev *pb.Event) []*string {
	var all []*string
	if c := ev.GetClaim(); c != nil {
		all = append(all, &c.Uri)
	}
	for _, m := range []*pb.Mixture{ev.GetMixture(), ev.GetTask().GetTrain().GetMixture()} {
		if m != nil {
			all = append(all, &m.ManifestUri)
		}
	}
	for _, c := range []*pb.Checkpoint{ev.GetCheckpoint(), ev.GetTask().GetDeploy().GetCheckpoint()} {
		if c != nil {
			all = append(all, &c.Uri)
		}
	}
	return all
}

// move rewrites the URIs of a message and of the message within it, if it is a dead letter. A message that does not
// decode has none, and no event. One without URIs keeps its bytes.
func move(s bus.Stored, rewrite func(uri string) (string, error)) (bus.Stored, *pb.Event, error) {
	ev, err := bus.Decode(first(s.Header[bus.HeaderContentType]), s.Data)
	if err != nil {
		return s, nil, nil //nolint:nilerr // what nobody can read is kept as it is
	}
	moved, err := moveEvent(ev, rewrite)
	if err != nil || !moved {
		return s, ev, err
	}
	if s.Data, err = deterministic.Marshal(ev); err != nil {
		return s, ev, fmt.Errorf("encode %s: %w", s.Subject, err)
	}
	s.Header = maps.Clone(s.Header)
	s.Header[bus.HeaderContentType] = []string{"application/protobuf"}
	if s.Header[bus.HeaderContent] != nil && ev.GetBody() != nil { // that of a claim is the hash of what it points at
		s.Header[bus.HeaderContent] = []string{bus.ContentHash(ev)}
	}
	return s, ev, nil
}

var deterministic = proto.MarshalOptions{Deterministic: true}

func moveEvent(ev *pb.Event, rewrite func(string) (string, error)) (moved bool, err error) {
	for _, uri := range uris(ev) {
		if *uri == "" {
			continue
		}
		if *uri, err = rewrite(*uri); err != nil {
			return false, err
		}
		moved = true
	}
	letter := ev.GetDeadLetter()
	if letter == nil {
		return moved, nil
	}
	inner, err := bus.Decode("", letter.GetPayload())
	if err != nil {
		return moved, nil //nolint:nilerr // a letter may be about anything
	}
	innerMoved, err := moveEvent(inner, rewrite)
	if err == nil && innerMoved {
		letter.Payload, err = deterministic.Marshal(inner)
	}
	return moved || innerMoved, err
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// outward makes a URI of the store one of the archive.
func outward(store blob.Store) func(string) (string, error) {
	return func(uri string) (string, error) {
		key, err := store.Key(uri)
		return nowhere + key, err
	}
}

// inward makes a URI of the archive one of the store.
func inward(store blob.Store) func(string) (string, error) {
	return func(uri string) (string, error) {
		key, err := keyOf(uri)
		return store.URI(key), err
	}
}

func keyOf(uri string) (string, error) {
	key, ok := strings.CutPrefix(uri, nowhere)
	if !ok {
		return "", damaged("the URI %q does not begin with %s", uri, nowhere)
	}
	return key, nil
}

// moveText rewrites the URIs in a record of JSON: the texts in it that begin with from.
func moveText(text []byte, from, to string) []byte {
	return bytes.ReplaceAll(text, beginning(from), beginning(to))
}

// beginning is a text in JSON without its closing quote.
func beginning(text string) []byte {
	quoted, _ := json.Marshal(text) // a string always can be
	return quoted[:len(quoted)-1]
}
