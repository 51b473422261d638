package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Contents are what an archive holds, without messages and blobs.
type Contents struct {
	Manifest
	Spec  config.Run
	State runstate.State

	specText, state, control []byte
	promoted                 [][]byte
}

// verifier reads an archive without writing anything.
type verifier struct {
	Contents
	refs References
	keys int // blobs that were there
}

// Verify reads a whole archive and says what it holds, or why it is none.
func Verify(ctx context.Context, file io.ReadSeeker, limits Limits) (Contents, error) {
	v := &verifier{refs: References{}}
	manifest, err := walk(ctx, file, limits, v.visit)
	if err != nil {
		return Contents{}, err
	}
	v.Manifest = manifest
	switch {
	case v.specText == nil || v.state == nil:
		return Contents{}, damaged("it holds no spec or no state")
	case v.Spec.Name != v.Run || v.State.Run != v.Run:
		return Contents{}, damaged("it is of run %q, its spec of %q, its state of %q", v.Run, v.Spec.Name, v.State.Run)
	case v.keys != len(v.refs):
		return Contents{}, damaged("%d blobs are missing that it points at", len(v.refs)-v.keys)
	}
	return v.Contents, nil
}

func (v *verifier) visit(e *entry) (err error) {
	switch {
	case e.place == placeSpec:
		return v.spec(e)
	case e.stream != "":
		return e.messages(v.Spec.Name, v.message)
	case e.key != "":
		return v.blob(e)
	case e.place == placePromoted:
		var of struct{ Run string }
		data, err := e.bytes()
		if err == nil {
			err = json.Unmarshal(data, &of)
		}
		if v.promoted = append(v.promoted, data); err != nil || of.Run != v.Spec.Name || len(v.promoted) > maxHistory {
			return damaged("%s is no promotion of run %s", e.name, v.Spec.Name)
		}
	case e.place == placeControl:
		if v.control, err = e.bytes(); err == nil && json.Unmarshal(v.control, &runstate.Control{}) != nil {
			return damaged("%s is no wish", e.name)
		}
	case e.place == placeState:
		if v.state, err = e.bytes(); err == nil {
			if v.State, err = runstate.Unmarshal(v.state); err != nil || v.State.Pruning {
				return damaged("%s is no record of a run", e.name)
			}
		}
	}
	return err
}

func (v *verifier) spec(e *entry) (err error) {
	if v.specText, err = e.bytes(); err != nil {
		return err
	}
	if err := json.Unmarshal(v.specText, &v.Spec); err != nil {
		return damaged("%s: %w", e.name, err)
	}
	if !config.IsToken(v.Spec.Name) {
		return damaged("%q is no name of a run", v.Spec.Name)
	}
	if err := v.Spec.Validate(); err != nil {
		return damaged("%s: %w", e.name, err)
	}
	if err := v.refs.AddSpec(v.Spec, keyOf); err != nil {
		return damaged("%w", err)
	}
	return nil
}

// message notes what a message points at, and that it is what its subject says.
func (v *verifier) message(s bus.Stored) error {
	ev, err := bus.Decode(first(s.Header[bus.HeaderContentType]), s.Data)
	if err != nil {
		return nil //nolint:nilerr // nobody can read it: it does no harm
	}
	if err := v.belongs(ev, s.Subject); err != nil {
		return damaged("%s: %w", s.Subject, err)
	}
	if err := v.refs.AddEvent(v.Spec.Name, ev, keyOf); err != nil {
		return damaged("%s: %w", s.Subject, err)
	}
	return nil
}

// belongs says why an event cannot have been published on a subject of this run. Readers trust what is within: a ranker
// publishes its feedback under the identity in the trajectory.
func (v *verifier) belongs(ev *pb.Event, subject string) error {
	if ev.GetRun() != v.Spec.Name {
		return fmt.Errorf("the event is of run %q", ev.GetRun())
	}
	s, _ := bus.ParseSubject(subject) // it was checked; empty for a blob
	for _, id := range identities(ev) {
		if id.GetRun() != v.Spec.Name || s.Identity != nil && bus.IDTokens(id) != bus.IDTokens(s.Identity) {
			return fmt.Errorf("the event is about %s", bus.IDTokens(id))
		}
	}
	letter := ev.GetDeadLetter()
	if letter == nil {
		return nil
	}
	if s, err := bus.ParseSubject(letter.GetSubject()); err == nil && s.Run != v.Spec.Name {
		return fmt.Errorf("the dead letter is of %s", letter.GetSubject())
	}
	if inner := lettered(ev); inner != nil {
		return v.belongs(inner, letter.GetSubject())
	}
	return nil
}

// identities are the trajectories that an event says it is about.
func identities(ev *pb.Event) []*pb.Identity {
	all := ev.GetDeadLetter().GetIdentities()
	for _, body := range []interface{ GetIdentity() *pb.Identity }{ev.GetTrajectory(), ev.GetFeedback(), ev.GetVerdict()} {
		if id := body.GetIdentity(); id != nil {
			all = append(all, id)
		}
	}
	return all
}

// blob checks that something points at a blob and that it is what it should be.
func (v *verifier) blob(e *entry) error {
	want, ok := v.refs[e.key]
	if !ok {
		return damaged("nothing in it points at the blob %s", e.key)
	}
	v.keys++
	sum := sha256.New()
	body := io.TeeReader(e.body, sum)
	if err := v.readable(e, body); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, body); err != nil {
		return damaged("%s: %w", e.name, err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != want {
		return damaged("the blob %s is not what points at it says: the hash differs", e.key)
	}
	return nil
}

// readable reads the blobs that we understand.
func (v *verifier) readable(e *entry, body io.Reader) error {
	isEvent := bus.IsClaimKey(e.key)
	if !isEvent && !isIndex(e.key) {
		return nil
	}
	if e.size > maxIndex {
		return damaged("%s has %d bytes, more than %d", e.name, e.size, maxIndex)
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return damaged("%s: %w", e.name, err)
	}
	if !isEvent {
		if err := v.refs.addIndex(v.Spec.Name, e.key, data); err != nil {
			return damaged("%w", err)
		}
		return nil
	}
	if ev, err := bus.Decode("application/protobuf", data); err == nil {
		if err := v.belongs(ev, ""); err != nil {
			return damaged("%s: %w", e.name, err)
		}
	}
	return nil
}
