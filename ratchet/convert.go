package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/interchange"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
	"github.com/ratchet-rl/ratchet/ratchet/history"
	"github.com/ratchet-rl/ratchet/ratchet/view"
)

type convertCommand struct {
	Source     string `arg:"" predictor:"run" help:"A run; or a file, whose name has a dot or a slash in it; or -, standard input."`
	To         string `required:"" enum:"prompt-completion,messages,input-output,preference,atropos,verifiers,react,trajectories" placeholder:"FORM" help:"Form to write: ${enum}."`
	File       string `short:"f" predictor:"file" placeholder:"FILE" help:"The file to write; one that is there is left alone. Defaults to standard output."`
	Generation int    `default:"-1" help:"Of a run, this generation. Defaults to its last mixture, or to all its trajectories."`
	Target     string `help:"Of a run, the trajectories of this target."`
	Purpose    string `enum:"grow,eval,any" default:"grow" help:"Of a run, the trajectories of this purpose: ${enum}."`
	Ranker     string `help:"Whose ranks count. Defaults to that of the run's strategy; of a file, to the only one."`
	Judge      string `help:"Whose verdicts count. Defaults to that of the run's evaluation; of a file, to the only one."`
	Rendering  string `enum:"auto,bare,few_shot" default:"auto" help:"Of the prompts: ${enum}. Auto: of rankings as the trained policy is asked, else as the trajectory's own was."`
	Pairs      string `enum:"best-worst,adjacent,all" default:"best-worst" help:"Of a preference file: ${enum}."`
	From       string `enum:"auto,prompt-completion,messages,input-output,verifiers,react,trajectories" default:"auto" help:"Form of the file to read: ${enum}."`
	Skip       bool   `help:"Leave out what cannot be read of a file, and say how much that was."`
}

func (convertCommand) Help() string {
	return `Examples (prompt-completion, messages, input-output) come from a run's mixture, preference and atropos from its rankings,
verifiers, react and trajectories from its trajectories. A file of trajectories becomes any of them, a file of examples
another of examples. docs/interchange.md shows each form.

    ratchet convert demo-7f3a --to messages -f messages.jsonl
    ratchet convert demo-7f3a --to preference --pairs adjacent --generation 1 -f pairs.jsonl
    ratchet convert demo-7f3a --to react | less
    ratchet convert others.react.txt --to prompt-completion -f part.jsonl`
}

// conversion is one call of the command: where it reads, and what it writes with.
type conversion struct {
	*convertCommand
	in *invocation
	// read hands what the source holds to the encoder.
	read    func(ctx context.Context, e *interchange.Encoder) error
	options interchange.Options
	// unreadable counts what was skipped; first says why the first was.
	unreadable int
	first      error
}

func (c *convertCommand) Run(ctx context.Context, in *invocation) error {
	job := &conversion{convertCommand: c, in: in, options: interchange.Options{
		Ranker: c.Ranker, Judge: c.Judge, Pairs: interchange.Pairs(c.Pairs), Rendering: renderingOf(c.Rendering),
	}}
	ready, ofOther := job.ofRun, c.From != "auto" || c.Skip
	if c.Source == "-" || strings.ContainsAny(c.Source, `./\`) {
		ready, ofOther = job.ofFile, c.Generation >= 0 || c.Target != "" || c.Purpose != "grow"
	}
	if ofOther {
		return usage(errors.New("--generation, --target and --purpose are of a run, --from and --skip of a file"), "a file's name has a dot or a slash in it")
	}
	done, err := ready(ctx)
	if err != nil {
		return err
	}
	defer done()
	return job.write(ctx)
}

// renderingOf is the rendering of a name, unspecified for another.
func renderingOf(name string) pb.Rendering {
	switch name {
	case config.RenderingBare:
		return pb.Rendering_RENDERING_BARE
	case config.RenderingFewShot:
		return pb.Rendering_RENDERING_FEW_SHOT
	}
	return pb.Rendering_RENDERING_UNSPECIFIED
}

func (c *conversion) form() interchange.Form { return interchange.Form(c.To) }

// write writes the file, or standard output.
func (c *conversion) write(ctx context.Context) error {
	var tally interchange.Tally
	encode := func(w io.Writer) error {
		e := interchange.NewEncoder(c.form(), w, c.options)
		err := c.read(ctx, e)
		tally = e.Tally()
		if err == nil && tally.Records == 0 && c.unreadable == 0 {
			err = notFound("name another generation, target or purpose", "%s has nothing to convert", c.Source)
		}
		return err
	}
	if c.File != "" {
		if err := writeWhole(c.File, encode); err != nil {
			return err
		}
		c.say(tally)
		return c.in.print(tally, []string{c.File}, func(view.Paint) string {
			return view.Safe(fmt.Sprintf("%s  %s  %d lines", c.File, c.To, tally.Lines)) + "\n"
		})
	}
	out := bufio.NewWriterSize(c.in.out, 64<<10)
	err := encode(out)
	if flushed := out.Flush(); err == nil && flushed != nil {
		err = fmt.Errorf("print the result: %w", flushed)
	}
	if err == nil {
		c.say(tally)
	}
	return err
}

// say notes what is not in the result.
func (c *conversion) say(tally interchange.Tally) {
	for _, reason := range tally.Reasons() {
		c.in.note("left out: %d %s", tally.LeftOut[reason], reason)
	}
	if c.unreadable > 0 {
		c.in.note("left out: %d that cannot be read; the first: %s", c.unreadable, c.first)
	}
}

// skip tells whether to go on after an error of one record.
func (c *conversion) skip(err error, skippable bool) bool {
	if !skippable {
		return false
	}
	if c.unreadable++; c.first == nil {
		c.first = err
	}
	return true
}

// ofRun reads a run: its mixture for examples, else its trajectories.
func (c *conversion) ofRun(ctx context.Context) (done func(), err error) {
	s, err := c.in.connect(ctx)
	if err != nil {
		return nil, err
	}
	spec, err := s.spec(ctx, c.Source)
	if err != nil {
		s.close()
		return nil, err
	}
	if c.form().OfExamples() {
		c.read = func(ctx context.Context, e *interchange.Encoder) error { return c.mixture(ctx, s, e) }
		return s.close, nil
	}
	if c.form() != interchange.Trajectories { // which holds what everybody said
		c.options.Ranker = cmp.Or(c.Ranker, spec.Strategy.Ranker)
		c.options.Judge = cmp.Or(c.Judge, spec.Evaluation.Judge)
	}
	if c.form().OfFeedback() && c.options.Rendering == pb.Rendering_RENDERING_UNSPECIFIED {
		c.options.Rendering = renderingOf(spec.Deploy.Rendering)
	}
	c.options.Shots = spec.Policy.Shots
	c.read = func(ctx context.Context, e *interchange.Encoder) error { return c.trajectories(ctx, s, e) }
	return s.close, nil
}

func (c *conversion) trajectories(ctx context.Context, s *session, e *interchange.Encoder) error {
	q := history.Query{Run: c.Source, Generation: c.Generation, Target: c.Target, Sample: -1}
	if c.Purpose != "any" {
		q.Purpose = c.Purpose
	}
	for story, err := range history.Finished(ctx, s.bus, q) {
		if err == nil {
			err = e.Record(&interchange.Record{Trajectory: story.Trajectory, Feedback: story.Feedback, Verdicts: story.Verdicts})
		}
		if err != nil && !c.skip(err, errors.Is(err, bus.ErrRejected)) {
			return usageOf(err)
		}
	}
	return nil
}

// ofFile reads a file, or standard input.
func (c *conversion) ofFile(context.Context) (done func(), err error) {
	file, name := io.NopCloser(c.in.in), "standard input"
	if c.Source != "-" {
		name = c.Source
		if file, err = os.Open(c.Source); err != nil {
			return nil, notFound("name another file, or a run, whose name has neither dot nor slash", "open what to convert: %w", err)
		}
	}
	done = func() { _ = file.Close() }
	detector := interchange.NewDetector(file)
	from := interchange.Form(c.From)
	if c.From == "auto" {
		if from, err = interchange.Detect(name, detector); err != nil {
			done()
			return nil, usage(err, "")
		}
	}
	if from.OfExamples() && !c.form().OfExamples() {
		done()
		return nil, usage(fmt.Errorf("%s: examples of the form %s do not become %s: one example is one step without its candidates", name, from, c.To),
			"convert the run, or a file of its trajectories")
	}
	c.read = func(ctx context.Context, e *interchange.Encoder) error { return c.file(ctx, from, name, detector, e) }
	return done, nil
}

func (c *conversion) file(ctx context.Context, from interchange.Form, name string, r io.Reader, e *interchange.Encoder) error {
	if from.OfExamples() {
		for x, err := range interchange.ReadExamples(from, name, r) {
			if err == nil {
				err = e.Example(x)
			}
			if err := c.goOn(ctx, err); err != nil {
				return err
			}
		}
		return nil
	}
	for record, err := range interchange.Read(from, name, r) {
		if err == nil {
			err = e.Record(record)
		}
		if err := c.goOn(ctx, err); err != nil {
			return err
		}
	}
	return nil
}

// goOn tells whether the next record of a file is read after this one.
func (c *conversion) goOn(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil || c.skip(err, c.skippable(err)) {
		return nil
	}
	return usageOf(err)
}

func (c *conversion) skippable(err error) bool {
	return c.Skip && errors.As(err, new(*interchange.Error))
}

// usageOf says what to do about a record that cannot be read.
func usageOf(err error) error {
	switch {
	case errors.As(err, new(*interchange.Error)):
		return usage(err, "mend the file, or add --skip to go on without what cannot be read")
	case errors.Is(err, interchange.ErrSeveral):
		return usage(err, "")
	}
	return err
}
