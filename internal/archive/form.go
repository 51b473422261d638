package archive

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/bus"
)

// version of the form of an archive.
const version = 1

// Sizes within an archive, in bytes.
const (
	// chunkSize is when an entry of messages is closed; it is larger by one message at most.
	chunkSize = 4 << 20
	maxChunk  = 8 << 20
	maxRecord = 1 << 20
	// maxIndex bounds a manifest.json of a mixture, a checkpoint.json and an event in the blob store.
	maxIndex = 64 << 20
	// maxHistory is how many promotions the bucket keeps.
	maxHistory = 64
)

// ErrOther means that a run of the name is there with other content.
var ErrOther = errors.New("another run of this name is there")

// ErrDamaged means that a file is no archive, or not a whole one, or one that nobody of ours has written.
var ErrDamaged = errors.New("no sound archive")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, args...))
}

// Header is ratchet.json.
type Header struct {
	Version int    `json:"version"`
	Run     string `json:"run"`
}

// Manifest is manifest.json, the last entry.
type Manifest struct {
	Header
	// Messages by stream.
	Messages map[string]int64 `json:"messages"`
	Blobs    int64            `json:"blobs"`
	// Entries and Bytes count what stands before, unpacked; SHA256 is over name, size and content of each.
	Entries int64  `json:"entries"`
	Bytes   int64  `json:"bytes"`
	SHA256  string `json:"sha256"`
}

// streams are the streams of a run in the order in which they are read: tasks before the results that end them, then
// what is made from others before these. They are written in the same order, but for the tasks, which come last.
var streams = []string{
	bus.Tasks, bus.Evals, bus.Training, bus.Verdicts, bus.Feedback, bus.Results, bus.Dead, bus.Runs, bus.Steps, bus.Trajectories,
}

// Names of the entries.
const (
	headerName    = "ratchet.json"
	specName      = "spec.json"
	streamsFolder = "streams/"
	blobsFolder   = "blobs/"
	promotedNames = "promoted/%06d.json"
	controlName   = "control.json"
	stateName     = "state.json"
	manifestName  = "manifest.json"
)

func chunkName(stream string, n int) string {
	return fmt.Sprintf("%s%s/%06d.jsonl", streamsFolder, stream, n)
}

// place is where an entry stands in the order; entries of a place are in the order of their names.
type place int

const (
	placeHeader    place = 0
	placeSpec      place = 1
	placeStreams   place = 10 // and one for each stream
	placeBlobs     place = 100
	placePromoted  place = 101
	placeControl   place = 102
	placeState     place = 103
	placeManifest  place = 104
	placeBeginning place = -1
)

// parsed is an entry's name, read.
type parsed struct {
	place  place
	stream string // of messages
	key    string // of a blob
}

func parseName(name string) (parsed, error) {
	switch name {
	case headerName:
		return parsed{place: placeHeader}, nil
	case specName:
		return parsed{place: placeSpec}, nil
	case controlName:
		return parsed{place: placeControl}, nil
	case stateName:
		return parsed{place: placeState}, nil
	case manifestName:
		return parsed{place: placeManifest}, nil
	}
	if key, ok := strings.CutPrefix(name, blobsFolder); ok {
		return parsed{place: placeBlobs, key: key}, nil
	}
	if rest, ok := strings.CutPrefix(name, streamsFolder); ok {
		stream, chunk, _ := strings.Cut(rest, "/")
		if i := slices.Index(streams, stream); i >= 0 && isNumbered(chunk, "%06d.jsonl") {
			return parsed{place: placeStreams + place(i), stream: stream}, nil
		}
	}
	if isNumbered(name, promotedNames) {
		return parsed{place: placePromoted}, nil
	}
	return parsed{}, damaged("it has an entry %q", name)
}

// isNumbered tells a name that form prints of a number.
func isNumbered(name, form string) bool {
	var n int
	_, err := fmt.Sscanf(name, form, &n)
	return err == nil && n >= 0 && fmt.Sprintf(form, n) == name
}

// limit is the largest size of an entry, 0 if only the archive's bounds it.
func (p parsed) limit() int64 {
	switch {
	case p.stream != "":
		return maxChunk
	case p.key != "":
		return 0
	}
	return maxRecord
}
