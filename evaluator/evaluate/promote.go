package evaluate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/ratchet-rl/ratchet/internal/bus"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// promotion is the record of the policy in force, in KV models under promoted.<run>: JSON for people
// (`nats kv get models promoted.<run>`). It is a function of a decision and its report.
type promotion struct {
	Run        string `json:"run"`
	Generation int    `json:"generation"`
	// Policy is pb.Policy as protobuf JSON.
	Policy     json.RawMessage `json:"policy"`
	Checkpoint string          `json:"checkpoint"`
	// Accuracy and Std are those of the report, in [0, 1].
	Accuracy float64 `json:"accuracy"`
	Std      float64 `json:"std"`
	// Decision is the subject of the decision that promoted it, At that decision's time.
	Decision string    `json:"decision"`
	At       time.Time `json:"at"`
}

// modelsBucket is the KV bucket that only evaluators may write.
const modelsBucket = "models"

func promotedKey(run string) string { return "promoted." + run }

// promotionTries bounds the compare-and-sets of one delivery; evaluators of one run are few.
const promotionTries = 10

// promote puts a promoted policy in force. It never goes backwards: a record of the same or a later generation
// stands.
func (e *evaluating) promote(ctx context.Context, w work, report *pb.Report, decided *pb.Event) error {
	switch decided.GetDecision().GetRuling() {
	case pb.Ruling_RULING_BASELINE, pb.Ruling_RULING_PROMOTE:
	default:
		return nil
	}
	record, err := newPromotion(w, report, decided)
	if err != nil {
		return err
	}
	for range promotionTries {
		err := e.advance(ctx, record)
		if !errors.Is(err, bus.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("promote generation %d of run %s: somebody else changed %s %d times in a row",
		record.Generation, record.Run, promotedKey(record.Run), promotionTries)
}

func newPromotion(w work, report *pb.Report, decided *pb.Event) (promotion, error) {
	policy := decided.GetDecision().GetPolicy()
	text, err := protojson.Marshal(policy)
	if err != nil {
		return promotion{}, fmt.Errorf("encode policy %s: %w", policy.GetName(), err)
	}
	return promotion{
		Run: w.run, Generation: w.generation, Policy: text, Checkpoint: policy.GetCheckpoint(),
		Accuracy: report.GetAnswer().GetMean(), Std: report.GetAnswer().GetStd(),
		Decision: w.subject("decision"), At: decided.GetTime().AsTime(),
	}, nil
}

// advance replaces an older record by this one, or returns bus.ErrConflict if it changed meanwhile.
func (e *evaluating) advance(ctx context.Context, record promotion) error {
	value, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return fmt.Errorf("encode promotion: %w", err)
	}
	models, key := e.conn.KV(modelsBucket), promotedKey(record.Run)
	current, revision, err := models.Get(ctx, key)
	if errors.Is(err, bus.ErrNotFound) {
		_, err = models.Create(ctx, key, value)
		return err
	}
	if err != nil {
		return err
	}
	var inForce promotion
	if err := json.Unmarshal(current, &inForce); err != nil {
		return fmt.Errorf("read %s of KV %s, revision %d: expected a promotion as JSON; `nats kv history` shows the last good one: %w",
			key, modelsBucket, revision, err)
	}
	if inForce.Generation >= record.Generation {
		return nil
	}
	if _, err := models.Update(ctx, key, value, revision); err != nil {
		return err
	}
	e.log.Info("promoted", "run", record.Run, "generation", record.Generation, "over", inForce.Generation, "decision", record.Decision)
	return nil
}
