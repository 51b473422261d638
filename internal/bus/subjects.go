package bus

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// prefix of every subject of ours: the product and the version of its wire.
const prefix = "ratchet.v1"

// Families of subjects: the token after the prefix.
const (
	familyTask       = "task"
	familyStep       = "step"
	familyTrajectory = "trajectory"
	familyFeedback   = "feedback"
	familyVerdict    = "verdict"
	familyResult     = "result"
	familyTraining   = "training"
	familyEval       = "eval"
	familyRun        = "run"
	familyDead       = "dead"
	familyAPI        = "api"
)

// family is what the subjects of a family have in common.
type family struct {
	// stream holds them.
	stream string
	// beforeRun is how many tokens stand between the family's and the run's.
	beforeRun int
	// once: a subject takes one message, for ever.
	once bool
}

var families = map[string]family{
	familyTask:       {stream: Tasks, beforeRun: 1},
	familyStep:       {stream: Steps},
	familyTrajectory: {stream: Trajectories, once: true},
	familyFeedback:   {stream: Feedback, beforeRun: 1, once: true},
	familyVerdict:    {stream: Verdicts, beforeRun: 1, once: true},
	familyResult:     {stream: Results, beforeRun: 1, once: true},
	familyTraining:   {stream: Training},
	familyEval:       {stream: Evals},
	familyRun:        {stream: Runs},
	familyDead:       {stream: Dead, beforeRun: 1},
}

const (
	purposeGrow = "grow"
	purposeEval = "eval"
)

// Token makes a subject token of any text: unchanged where it fits [a-z0-9-], else a readable stem and a hash.
func Token(text string) string { return config.Token(text) }

// IDTokens prints an identity as its six tokens.
func IDTokens(id *pb.Identity) string {
	purpose := purposeGrow
	if id.GetPurpose() == pb.Purpose_PURPOSE_EVAL {
		purpose = purposeEval
	}
	return strings.Join([]string{
		id.GetRun(), strconv.Itoa(int(id.GetGeneration())), id.GetTarget(), purpose, id.GetQuestion(),
		strconv.Itoa(int(id.GetSample())),
	}, ".")
}

// ParseID reads what IDTokens printed.
func ParseID(tokens string) (*pb.Identity, error) {
	t := strings.Split(tokens, ".")
	if len(t) != 6 {
		return nil, fmt.Errorf("identity %q: want six tokens <run>.<generation>.<target>.<purpose>.<question>.<sample>", tokens)
	}
	generation, err := number(t[1])
	if err != nil {
		return nil, fmt.Errorf("identity %q: generation: %w", tokens, err)
	}
	sample, err := number(t[5])
	if err != nil {
		return nil, fmt.Errorf("identity %q: sample: %w", tokens, err)
	}
	id := &pb.Identity{Run: t[0], Generation: generation, Target: t[2], Question: t[4], Sample: sample}
	switch t[3] {
	case purposeGrow:
		id.Purpose = pb.Purpose_PURPOSE_GROW
	case purposeEval:
		id.Purpose = pb.Purpose_PURPOSE_EVAL
	default:
		return nil, fmt.Errorf("identity %q: purpose %q: want grow or eval", tokens, t[3])
	}
	for _, token := range []string{t[0], t[2], t[4]} {
		if !isToken(token) {
			return nil, fmt.Errorf("identity %q: token %q: want [a-z0-9-]", tokens, token)
		}
	}
	return id, nil
}

// number reads a canonical non-negative decimal, so that one identity has one subject.
func number(text string) (int32, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, fmt.Errorf("%q: want a plain number", text)
	}
	return int32(n), nil
}

func isToken(text string) bool {
	for _, r := range text {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return text != ""
}

func subject(tokens ...string) string { return prefix + "." + strings.Join(tokens, ".") }

// StepSubject is where the journal of a trajectory lies.
func StepSubject(id *pb.Identity) string { return subject(familyStep, IDTokens(id)) }

// TrajectorySubject is where a finished trajectory lies.
func TrajectorySubject(id *pb.Identity) string { return subject(familyTrajectory, IDTokens(id)) }

// FeedbackSubject is where a ranker's feedback on a trajectory lies.
func FeedbackSubject(ranker string, id *pb.Identity) string {
	return subject(familyFeedback, ranker, IDTokens(id))
}

// VerdictSubject is where a judge's verdict on a trajectory lies.
func VerdictSubject(judge string, id *pb.Identity) string {
	return subject(familyVerdict, judge, IDTokens(id))
}

// TaskSubject is where a task waits.
func TaskSubject(kind, run string, generation int, id string) string {
	return subject(familyTask, kind, run, strconv.Itoa(generation), id)
}

// ResultSubject is where the result of a plug-in's task lies.
func ResultSubject(kind, run string, generation int, id string) string {
	return subject(familyResult, kind, run, strconv.Itoa(generation), id)
}

// TrainingSubject is where a mixture, a job's progress, a checkpoint or a deployment lies.
func TrainingSubject(run string, generation int, target, what string) string {
	return subject(familyTraining, run, strconv.Itoa(generation), target, what)
}

// EvalSubject is where a report or a decision lies.
func EvalSubject(run string, generation int, target, what string) string {
	return subject(familyEval, run, strconv.Itoa(generation), target, what)
}

// RunSubject is a line of a run's log.
func RunSubject(run, what string) string { return subject(familyRun, run, what) }

// DeadSubject is where the dead letters of a kind lie.
func DeadSubject(kind, run string) string { return subject(familyDead, kind, run) }

// APISubject is where the coordinator answers requests.
func APISubject(endpoint string) string { return subject(familyAPI, endpoint) }

// Subject is a subject of ours, read.
type Subject struct {
	Family string
	// Kind is a task's or dead letter's kind, feedback's ranker, a verdict's judge.
	Kind       string
	Run        string
	Generation int
	Target     string
	// What is the last token of training, eval and run subjects; ID that of tasks and results.
	What string
	ID   string
	// Identity is set for step, trajectory, feedback and verdict.
	Identity *pb.Identity
}

// ParseSubject reads any subject that the functions above print.
func ParseSubject(text string) (Subject, error) {
	rest, ok := strings.CutPrefix(text, prefix+".")
	if !ok {
		return Subject{}, fmt.Errorf("subject %q: want it to begin with %s", text, prefix)
	}
	family, rest, _ := strings.Cut(rest, ".")
	s := Subject{Family: family}
	var err error
	switch family {
	case familyStep, familyTrajectory:
		err = s.identity(rest)
	case familyFeedback, familyVerdict:
		s.Kind, rest, _ = strings.Cut(rest, ".")
		err = s.identity(rest)
	case familyTask, familyResult:
		err = s.tokens(rest, &s.Kind, &s.Run, nil, &s.ID)
	case familyTraining, familyEval:
		err = s.tokens(rest, &s.Run, nil, &s.Target, &s.What)
	case familyRun:
		err = s.tokens(rest, &s.Run, &s.What)
	case familyDead:
		err = s.tokens(rest, &s.Kind, &s.Run)
	default:
		err = fmt.Errorf("unknown family %q", family)
	}
	if err == nil && s.Kind != "" && !isToken(s.Kind) {
		err = fmt.Errorf("kind %q: want [a-z0-9-]", s.Kind)
	}
	if err != nil {
		return Subject{}, fmt.Errorf("subject %q: %w", text, err)
	}
	return s, nil
}

func (s *Subject) identity(tokens string) error {
	id, err := ParseID(tokens)
	if err != nil {
		return err
	}
	s.Identity, s.Run, s.Generation, s.Target = id, id.GetRun(), int(id.GetGeneration()), id.GetTarget()
	return nil
}

// tokens reads as many tokens as there are places; a nil place is the generation.
func (s *Subject) tokens(text string, places ...*string) error {
	t := strings.Split(text, ".")
	if len(t) != len(places) {
		return fmt.Errorf("%d tokens after the family, want %d", len(t), len(places))
	}
	for i, place := range places {
		if place == nil {
			generation, err := number(t[i])
			if err != nil {
				return fmt.Errorf("generation: %w", err)
			}
			s.Generation = int(generation)
			continue
		}
		if !isToken(t[i]) {
			return fmt.Errorf("token %q: want [a-z0-9-]", t[i])
		}
		*place = t[i]
	}
	return nil
}

// RunFilter matches everything of a run in a stream.
func RunFilter(stream, run string) string {
	name, f := familyOf(stream)
	tokens := append([]string{name}, slices.Repeat([]string{"*"}, f.beforeRun)...)
	tokens = append(tokens, run)
	if stream != Dead { // the run is a dead letter's last token
		tokens = append(tokens, ">")
	}
	return subject(tokens...)
}

func familyOf(stream string) (string, family) {
	for name, f := range families {
		if f.stream == stream {
			return name, f
		}
	}
	return "none", family{}
}

// GenerationFilter matches everything of a run's generation in a stream whose subjects name one.
func GenerationFilter(stream, run string, generation int) string {
	return strings.TrimSuffix(RunFilter(stream, run), ">") + strconv.Itoa(generation) + ".>"
}

// StreamOf is the stream that holds a subject of ours, empty for any other.
func StreamOf(subject string) string {
	s, err := ParseSubject(subject)
	if err != nil {
		return ""
	}
	return families[s.Family].stream
}
