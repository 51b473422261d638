package bus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Headers of every message; docs/protocol.md says what they hold.
const (
	HeaderID               = "Nats-Msg-Id"
	HeaderContentType      = "Content-Type"
	HeaderTraceparent      = "traceparent" // lower case: NATS headers are case-sensitive
	HeaderRun              = "Ratchet-Run"
	HeaderGeneration       = "Ratchet-Generation"
	HeaderKind             = "Ratchet-Kind"
	HeaderOutcome          = "Ratchet-Outcome"
	HeaderCalls            = "Ratchet-Calls"
	HeaderPromptTokens     = "Ratchet-Prompt-Tokens"
	HeaderCompletionTokens = "Ratchet-Completion-Tokens"
	HeaderContent          = "Ratchet-Content"
	HeaderCost             = "Ratchet-Cost"
	HeaderCandidates       = "Ratchet-Candidates"
)

const (
	typeProtobuf = "application/protobuf"
	typeJSON     = "application/json"
	// claimAbove is the size from which an event lies in the blob store, far under NATS's 1 MiB.
	claimAbove = 256 << 10
	// claimFolder holds what claims point at.
	claimFolder = "events/"
	// maxClaim bounds what a reader fetches for one event, and so what anybody may publish.
	maxClaim = 64 << 20
)

// fill completes an event's envelope.
func (c *Conn) fill(subject string, ev *pb.Event) {
	if ev.GetId() == "" {
		ev.Id = idOf(subject)
		if ev.GetTask() != nil { // a finished task may come again, within the server's window of message ids too
			ev.Id += "." + strconv.FormatUint(rand.Uint64(), 36)
		}
	}
	if ev.GetTime() == nil {
		ev.Time = timestamppb.New(time.Now())
	}
	if ev.GetProducer() == "" {
		ev.Producer = c.producer
	}
}

// idOf is the id of an event that is alone on its subject.
func idOf(subject string) string { return strings.TrimPrefix(subject, prefix+".") }

// encode makes the message of an event; a large one goes to the blob store first.
func (c *Conn) encode(ctx context.Context, subject string, ev *pb.Event) (*nats.Msg, error) {
	data, err := proto.Marshal(ev)
	if err != nil {
		return nil, fmt.Errorf("encode event for %s: %w", subject, err)
	}
	msg := nats.NewMsg(subject)
	headers(msg.Header, ev)
	if len(data) > claimAbove {
		if data, err = c.checkIn(ctx, ev, data); err != nil {
			return nil, fmt.Errorf("put large event for %s into the blob store: %w", subject, err)
		}
	}
	msg.Data = data
	return msg, nil
}

func headers(h nats.Header, ev *pb.Event) {
	set := func(key, value string) {
		if value != "" {
			h[key] = []string{value}
		}
	}
	set(HeaderID, ev.GetId())
	set(HeaderContentType, typeProtobuf)
	set(HeaderTraceparent, ev.GetTraceparent())
	set(HeaderRun, ev.GetRun())
	set(HeaderGeneration, strconv.Itoa(int(ev.GetGeneration())))
	set(HeaderKind, kindOf(ev))
	set(HeaderContent, ContentHash(ev))
	outcome, usage := resultOf(ev)
	set(HeaderOutcome, outcome)
	if usage != nil {
		set(HeaderCalls, strconv.FormatInt(usage.GetCalls(), 10))
		set(HeaderPromptTokens, strconv.FormatInt(usage.GetPromptTokens(), 10))
		set(HeaderCompletionTokens, strconv.FormatInt(usage.GetCompletionTokens(), 10))
		if usage.GetCostNano() != 0 {
			set(HeaderCost, strconv.FormatInt(usage.GetCostNano(), 10))
		}
	}
	set(HeaderCandidates, candidatesOf(ev.GetTrajectory()))
}

// kindOf is the body's name, as in the schema.
func kindOf(ev *pb.Event) string {
	m := ev.ProtoReflect()
	field := m.WhichOneof(m.Descriptor().Oneofs().ByName("body"))
	if field == nil {
		return ""
	}
	return string(field.Name())
}

type result interface {
	GetOutcome() pb.Outcome
	GetFailure() pb.FailureClass
	GetUsage() *pb.Usage
}

func resultOf(ev *pb.Event) (outcome string, usage *pb.Usage) {
	var r result
	switch body := ev.GetBody().(type) {
	case *pb.Event_Trajectory:
		r = body.Trajectory
	case *pb.Event_Feedback:
		r = body.Feedback
	case *pb.Event_Verdict:
		r = body.Verdict
	default:
		return "", nil
	}
	if r.GetOutcome() == pb.Outcome_OUTCOME_FAILED {
		return "failed/" + ClassName(r.GetFailure()), r.GetUsage()
	}
	return "completed", r.GetUsage()
}

// ClassName is a failure class as people and headers write it: "context_overflow".
func ClassName(class pb.FailureClass) string {
	return strings.ToLower(strings.TrimPrefix(class.String(), "FAILURE_CLASS_"))
}

// ContentHash covers the body without what differs between two honest workers: the time it took.
func ContentHash(ev *pb.Event) string {
	body := proto.CloneOf(&pb.Event{Body: ev.GetBody()})
	for _, step := range append(body.GetTrajectory().GetSteps(), body.GetStep()) {
		if step != nil {
			step.ElapsedMs = 0
		}
	}
	if checkpoint := body.GetCheckpoint(); checkpoint != nil {
		checkpoint.ElapsedMs = 0
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(body)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16])
}

// checkIn puts the event into the blob store and returns the small event that points at it.
func (c *Conn) checkIn(ctx context.Context, ev *pb.Event, data []byte) ([]byte, error) {
	if c.blobs == nil {
		return nil, fmt.Errorf("event of %d bytes: no blob store", len(data))
	}
	if len(data) > maxClaim {
		return nil, Permanent(WithClass(pb.FailureClass_FAILURE_CLASS_INVALID, fmt.Errorf("it has %d bytes; no reader takes more than %d", len(data), maxClaim)))
	}
	sum := sha256.Sum256(data)
	hash := hex.EncodeToString(sum[:])
	key := claimFolder + hash + ".pb"
	if _, err := c.blobs.PutIfAbsent(ctx, key, bytes.NewReader(data), int64(len(data))); err != nil {
		return nil, err
	}
	return proto.Marshal(&pb.Event{
		Id: ev.GetId(), Time: ev.GetTime(), Run: ev.GetRun(), Generation: ev.GetGeneration(),
		Traceparent: ev.GetTraceparent(), Producer: ev.GetProducer(),
		Claim: &pb.Claim{Uri: c.blobs.URI(key), Size: int64(len(data)), Sha256: hash},
	})
}

// IsClaimKey tells a blob that a claim points at.
func IsClaimKey(key string) bool { return strings.HasPrefix(key, claimFolder) }

// event reads a message's event, and fetches it where the message only points at it. What is not what its subject says
// is ErrRejected; any other error may pass: the blob store did not answer.
func (c *Conn) event(ctx context.Context, subject string, header nats.Header, data []byte) (*pb.Event, error) {
	ev, err := c.decode(ctx, first(header[HeaderContentType]), data)
	if err == nil {
		err = fits(subject, first(header[HeaderOutcome]), ev)
	}
	if err != nil {
		return nil, c.rejected(subject, err)
	}
	return ev, nil
}

func (c *Conn) decode(ctx context.Context, contentType string, data []byte) (*pb.Event, error) {
	ev, err := Decode(contentType, data)
	if err != nil {
		return nil, reject(reasonUndecodable, "%w", err)
	}
	if ev.GetClaim() == nil {
		return ev, nil
	}
	whole, err := c.checkOut(ctx, ev.GetClaim())
	if err != nil {
		return nil, fmt.Errorf("fetch event %s from the blob store: %w", ev.GetId(), err)
	}
	if ev, err = Decode(typeProtobuf, whole); err != nil {
		return nil, reject(reasonUndecodable, "%w", err)
	}
	return ev, nil
}

// Decode reads an event as its content type says; without one, JSON if it begins with a brace, which no event's
// protobuf does.
func Decode(contentType string, data []byte) (*pb.Event, error) {
	ev := &pb.Event{}
	if strings.HasPrefix(contentType, typeJSON) || contentType == "" && bytes.HasPrefix(data, []byte("{")) {
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, ev); err != nil {
			return nil, fmt.Errorf("decode event from JSON: %w", err)
		}
		return ev, nil
	}
	if err := proto.Unmarshal(data, ev); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	return ev, nil
}

func (c *Conn) checkOut(ctx context.Context, claim *pb.Claim) ([]byte, error) {
	if c.blobs == nil {
		return nil, fmt.Errorf("no blob store for %s", claim.GetUri())
	}
	if claim.GetSize() > maxClaim {
		return nil, reject(reasonTooLarge, "%s has %d bytes, more than %d", claim.GetUri(), claim.GetSize(), maxClaim)
	}
	key, err := c.blobs.Key(claim.GetUri())
	if err != nil {
		return nil, reject(reasonClaim, "%w", err)
	}
	body, err := c.blobs.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, claim.GetSize()+1))
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != claim.GetSha256() {
		return nil, reject(reasonClaim, "%s is not what the event claims: the hash differs", claim.GetUri())
	}
	return data, nil
}
