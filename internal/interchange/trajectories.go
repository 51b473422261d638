package interchange

import (
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// own is a record as `ratchet trajectory -o json` prints it, on one line: messages of proto/ratchet/v1 as protobuf JSON.
type own struct {
	Trajectory json.RawMessage   `json:"trajectory"`
	Feedback   []json.RawMessage `json:"feedback"`
	Verdicts   []json.RawMessage `json:"verdicts"`
}

func ownOf(r *Record) own {
	o := own{Trajectory: protoText(r.Trajectory), Feedback: []json.RawMessage{}, Verdicts: []json.RawMessage{}}
	for _, f := range r.Feedback {
		o.Feedback = append(o.Feedback, protoText(f))
	}
	for _, v := range r.Verdicts {
		o.Verdicts = append(o.Verdicts, protoText(v))
	}
	return o
}

// protoText is a message as JSON. protobuf's own blanks vary on purpose; the encoder of the line takes them out.
func protoText(m proto.Message) json.RawMessage {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil { // invalid UTF-8, which decoding refuses
		return json.RawMessage("null")
	}
	return text
}

func readOwn(l line) (*Record, error) {
	const expected = `{"trajectory": {...}, "feedback": [...], "verdicts": [...]}, as ratchet convert --to trajectories writes it`
	var o own
	if err := l.decode(&o, expected); err != nil {
		return nil, err
	}
	r, err := o.record()
	if err != nil {
		return nil, &Error{Place: l.place(), Problem: "this is no trajectory of Ratchet", Err: err, Expected: expected}
	}
	return r, nil
}

func (o own) record() (*Record, error) {
	r := &Record{Trajectory: &pb.Trajectory{}}
	if len(o.Trajectory) == 0 {
		return nil, errors.New("there is no trajectory")
	}
	if err := readProto(o.Trajectory, r.Trajectory); err != nil {
		return nil, fmt.Errorf("trajectory: %w", err)
	}
	for _, text := range o.Feedback {
		f := &pb.Feedback{}
		if err := readProto(text, f); err != nil {
			return nil, fmt.Errorf("feedback: %w", err)
		}
		r.Feedback = append(r.Feedback, f)
	}
	for _, text := range o.Verdicts {
		v := &pb.Verdict{}
		if err := readProto(text, v); err != nil {
			return nil, fmt.Errorf("verdict: %w", err)
		}
		r.Verdicts = append(r.Verdicts, v)
	}
	return r, r.check()
}

func readProto(text json.RawMessage, m proto.Message) error {
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(text, m) // fields of a later version are no fault
}

// check tells whether a record names itself, and whether all that is in it is about the same trajectory.
func (r *Record) check() error {
	id := r.Trajectory.GetIdentity()
	if _, err := bus.ParseID(bus.IDTokens(id)); err != nil {
		return err
	}
	for _, f := range r.Feedback {
		if !proto.Equal(f.GetIdentity(), id) {
			return fmt.Errorf("the feedback of %q is on %s, not on %s", f.GetRanker(), bus.IDTokens(f.GetIdentity()), bus.IDTokens(id))
		}
	}
	for _, v := range r.Verdicts {
		if !proto.Equal(v.GetIdentity(), id) {
			return fmt.Errorf("the verdict of %q is on %s, not on %s", v.GetJudge(), bus.IDTokens(v.GetIdentity()), bus.IDTokens(id))
		}
	}
	return nil
}
