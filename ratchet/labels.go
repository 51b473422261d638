package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/ratchet/history"
	"github.com/ratchet-rl/ratchet/ratchet/sheet"
)

// Columns of a sheet of labels.
const (
	columnIdentity = "identity"
	columnQuestion = "question"
	columnLabel    = "label"
	columnWho      = "who"
)

// labelling reads labels of answers that are there.
type labelling struct {
	answers    map[string]bool     // by identity
	byQuestion map[string][]string // identities by the question's token, and by its id in its set
	labels     map[string][]history.Label
	first      map[string]string // place of a person's label of an answer
}

// known takes the answers that may be labelled.
func (l *labelling) known(spec config.Run, all []*pb.Identity) {
	for _, id := range all {
		tokens := bus.IDTokens(id)
		l.answers[tokens] = true
		l.byQuestion[id.GetQuestion()] = append(l.byQuestion[id.GetQuestion()], tokens)
		if short, ok := strings.CutPrefix(id.GetQuestion(), config.Token(spec.Evaluation.Set.Name)+"-"); ok {
			l.byQuestion[short] = append(l.byQuestion[short], tokens)
		}
	}
}

// read checks every line, and says all that is wrong.
func (l *labelling) read(file string) error {
	rows, err := sheet.Read(file, columnLabel)
	if err != nil {
		return err
	}
	var wrong []error
	for _, row := range rows {
		wrong = append(wrong, l.add(row))
	}
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	if len(l.labels) == 0 {
		return usage(fmt.Errorf("%s holds no label", file), "fill in the column label: true or false")
	}
	return nil
}

// add takes one line. One that nobody has labelled yet says nothing.
func (l *labelling) add(row sheet.Row) error {
	word := row.Word(columnLabel)
	if word == "" {
		return nil
	}
	right, ok := truth[strings.ToLower(word)]
	if !ok {
		return row.Wrong(fmt.Sprintf("label %q", word), "true or false (also yes and no, right and wrong, 1 and 0)", "")
	}
	answer, err := l.answer(row)
	if err != nil {
		return err
	}
	who := row.Word(columnWho)
	key := answer + " " + who
	if at, twice := l.first[key]; twice {
		return row.Wrong(fmt.Sprintf("%s has two labels of %q, the other one at %s", answer, who, at), "one label of each person", "drop one, or name the people in the column who")
	}
	l.first[key] = row.Place
	l.labels[answer] = append(l.labels[answer], history.Label{Who: who, Right: right})
	return nil
}

var truth = map[string]bool{
	"true": true, "t": true, "yes": true, "y": true, "right": true, "correct": true, "1": true,
	"false": false, "f": false, "no": false, "n": false, "wrong": false, "incorrect": false, "0": false,
}

// answer is the identity of what a line labels.
func (l *labelling) answer(row sheet.Row) (string, error) {
	if identity := row.Word(columnIdentity); identity != "" {
		if _, err := bus.ParseID(identity); err != nil {
			return "", row.Wrong(fmt.Sprintf("identity %q: %v", identity, err), "<run>.<generation>.<target>.eval.<question>.<sample>", "")
		}
		if !l.answers[identity] {
			return "", row.Wrong("no evaluated trajectory "+identity, "one of the runs that were named, and of --generation and --target", "name its run too, or drop the line")
		}
		return identity, nil
	}
	question := row.Word(columnQuestion)
	switch all := l.byQuestion[question]; {
	case question == "":
		return "", row.Wrong("a label of nothing", "a trajectory's identity, or a question", "")
	case len(all) == 0:
		return "", row.Wrong(fmt.Sprintf("no evaluated question %q", question), "its token, or its id in the evaluation set", "")
	case len(all) > 1:
		return "", row.Wrong(fmt.Sprintf("question %q has %d answers, such as %s and %s", question, len(all), all[0], all[1]),
			"one", "name the trajectory in the column identity, or choose with --generation and --target")
	default:
		return all[0], nil
	}
}
