package bus

import (
	"fmt"
	"strings"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Candidates counts the candidates of one step kind.
type Candidates struct {
	Drawn int64 `json:"drawn"`
	// Unparsable are those that are no action of the step's kind.
	Unparsable int64 `json:"unparsable"`
}

// candidatesOf prints a trajectory's candidates for its header: "decision=12/3 answer=4/0" is 12 drawn, 3 unparsable.
func candidatesOf(t *pb.Trajectory) string {
	counts := map[pb.StepKind]Candidates{}
	for _, step := range t.GetSteps() {
		n := counts[step.GetKind()]
		for _, c := range step.GetCandidates() {
			n.Drawn++
			if c.GetParseError() != "" {
				n.Unparsable++
			}
		}
		counts[step.GetKind()] = n
	}
	var parts []string
	for kind := range int32(len(pb.StepKind_name)) {
		if n := counts[pb.StepKind(kind)]; n.Drawn > 0 && kind > 0 {
			name := strings.ToLower(strings.TrimPrefix(pb.StepKind(kind).String(), "STEP_KIND_"))
			parts = append(parts, fmt.Sprintf("%s=%d/%d", name, n.Drawn, n.Unparsable))
		}
	}
	return strings.Join(parts, " ")
}

// Candidates reads the counts of a trajectory's candidates by step kind out of its header. What is not of this form was
// written by a stranger or an older worker, and counts nothing.
func (m *Message) Candidates() map[string]Candidates { return ParseCandidates(m.Get(HeaderCandidates)) }

// ParseCandidates reads the header's text.
func ParseCandidates(text string) map[string]Candidates {
	counts := map[string]Candidates{}
	for part := range strings.FieldsSeq(text) {
		var n Candidates
		kind, numbers, _ := strings.Cut(part, "=")
		if _, known := pb.StepKind_value["STEP_KIND_"+strings.ToUpper(kind)]; !known {
			continue
		}
		if _, err := fmt.Sscanf(numbers, "%d/%d", &n.Drawn, &n.Unparsable); err == nil && n.Unparsable >= 0 && n.Unparsable <= n.Drawn {
			counts[kind] = n
		}
	}
	return counts
}
