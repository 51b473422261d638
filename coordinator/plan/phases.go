package plan

import (
	"context"
	"fmt"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/policy"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// The phases of a run, as the record names them.
const (
	phasePlan     = "plan"
	phaseBaseline = "baseline"
	phaseGrow     = "grow"
	phaseRank     = "rank"
	phaseBuild    = "build"
	phaseTrain    = "train"
	phaseDeploy   = "deploy"
	phaseEvaluate = "evaluate"
	phaseDecide   = "decide"
	phaseDone     = "done"
)

// phases does each phase's work and says where it leads. Each may be started again at any point of its work.
//
//	plan -> baseline -> grow -> rank -> build -> train -> deploy -> evaluate -> decide -> done
//	                     ^                                             ^          |  |
//	                     |                                             +-another--+  |
//	                     +-----------------the next generation----------look---------+
var phases = map[string]func(*conductor, context.Context) (next, error){
	phasePlan: (*conductor).plan, phaseBaseline: (*conductor).baseline, phaseGrow: (*conductor).grow,
	phaseRank: (*conductor).rank, phaseBuild: (*conductor).build, phaseTrain: (*conductor).train,
	phaseDeploy: (*conductor).deploy, phaseEvaluate: (*conductor).evaluate, phaseDecide: (*conductor).decide,
}

var phaseNumber = map[string]pb.Phase{
	phasePlan: pb.Phase_PHASE_PLAN, phaseBaseline: pb.Phase_PHASE_BASELINE, phaseGrow: pb.Phase_PHASE_GROW,
	phaseRank: pb.Phase_PHASE_RANK, phaseBuild: pb.Phase_PHASE_BUILD, phaseTrain: pb.Phase_PHASE_TRAIN,
	phaseDeploy: pb.Phase_PHASE_DEPLOY, phaseEvaluate: pb.Phase_PHASE_EVALUATE, phaseDecide: pb.Phase_PHASE_DECIDE,
	phaseDone: pb.Phase_PHASE_DONE,
}

// taskOf is the kind of task that a phase cannot do without, where it has one.
var taskOf = map[string]string{
	phaseBaseline: kindEvaluate, phaseBuild: kindBuild, phaseTrain: kindTrain, phaseDeploy: kindDeploy, phaseDecide: kindEvaluate,
}

// firstLook is the look of everything that is reported once: the baseline and the students.
const firstLook = 1

// noIncumbent says that there is nothing to compare with yet.
const noIncumbent = -1

// plan has nothing to do but what every start of a conductor does.
func (c *conductor) plan(context.Context) (next, error) {
	return next{phase: phaseBaseline, look: firstLook}, nil
}

// queues makes those that this run's rankers and judge follow. A run that an older version has
// begun, or that was imported, may lack some.
func (c *conductor) queues(ctx context.Context) error {
	for _, ranker := range c.spec.Rankers {
		if err := c.bus.AddRanker(ctx, ranker); err != nil {
			return fmt.Errorf("add ranker %s: %w", ranker, err)
		}
	}
	if err := c.bus.AddJudge(ctx, c.spec.Evaluation.Judge); err != nil {
		return fmt.Errorf("add judge %s: %w", c.spec.Evaluation.Judge, err)
	}
	return nil
}

// baseline measures generation 0.
func (c *conductor) baseline(ctx context.Context) (next, error) {
	repetitions := c.spec.Evaluation.Repetitions
	if err := c.roll(ctx, c.evaluation(config.OwnTarget, policy.New(c.spec.Policy), 0, repetitions)); err != nil {
		return next{}, err
	}
	own := assessment{
		target: config.OwnTarget, policy: policy.New(c.spec.Policy), look: firstLook, repetitions: repetitions,
		incumbent: noIncumbent,
	}
	if err := c.assess(ctx, own); err != nil {
		return next{}, err
	}
	if err := c.seal(ctx); err != nil {
		return next{}, err
	}
	if c.spec.Generations == 0 {
		return next{phase: phaseDone, reason: "baseline measured; no generation was asked for"}, nil
	}
	return next{phase: phaseGrow, generation: 1}, nil
}

// grow samples trajectories with the incumbent.
func (c *conductor) grow(ctx context.Context) (next, error) {
	incumbent, err := c.incumbent(ctx)
	if err != nil {
		return next{}, err
	}
	if t := c.spec.Grow.Temperature; t > 0 {
		incumbent = policy.WithTemperature(incumbent, t)
	}
	r := roll{
		target: config.OwnTarget, purpose: pb.Purpose_PURPOSE_GROW, policy: incumbent, source: c.spec.Questions,
		samples: c.spec.Grow.SamplesIn(c.record.Generation),
	}
	if err := c.roll(ctx, r); err != nil {
		return next{}, err
	}
	// What rank waits for is fixed here, where the counts are known to be whole, and saved by the same swap.
	completed := c.seen.tally(r.group(c.record.Generation)).completed
	p := c.record.progress(phaseRank, config.OwnTarget, purposeGrow)
	p.Expected = completed * int64(len(c.spec.Rankers))
	return next{phase: phaseRank, generation: c.record.Generation}, nil
}

// incumbent is the promoted policy: generation 0's, or the deployment of the generation that won.
func (c *conductor) incumbent(ctx context.Context) (*pb.Policy, error) {
	if c.record.Incumbent == 0 {
		return policy.New(c.spec.Policy), nil
	}
	d, err := c.deployed(ctx, config.OwnTarget, c.record.Incumbent)
	return d.GetPolicy(), err
}

// deployed waits until the projection has caught up with a deployment that is known to exist.
func (c *conductor) deployed(ctx context.Context, target string, generation int) (*pb.Deployment, error) {
	var d *pb.Deployment
	err := c.await(ctx, func() (bool, error) {
		d = c.seen.deployment(trained{generation, target})
		return d != nil, nil
	})
	return d, err
}

// rank waits for the feedback of every required ranker on every completed trajectory, or a recorded reason.
func (c *conductor) rank(ctx context.Context) (next, error) {
	expected := c.record.progress(phaseRank, config.OwnTarget, purposeGrow).Expected
	p, err := c.enter(ctx, config.OwnTarget, purposeGrow, expected)
	if err != nil {
		return next{}, err
	}
	g := group{c.record.Generation, config.OwnTarget, pb.Purpose_PURPOSE_GROW}
	err = c.await(ctx, func() (bool, error) {
		t := c.seen.tally(g)
		p.Completed, p.Dead, p.Feedback = 0, 0, t.feedback
		for _, ranker := range c.spec.Rankers {
			p.Completed += t.feedback[ranker]
			p.Dead += t.mute["rank-"+ranker]
		}
		return p.Completed+p.Dead >= expected, nil
	})
	return next{phase: phaseBuild, generation: c.record.Generation}, err
}

// build waits for the mixture. A run ends here when there is nothing to train, or nothing to train on.
func (c *conductor) build(ctx context.Context) (next, error) {
	generation := c.record.Generation
	p, err := c.enter(ctx, config.OwnTarget, phaseBuild, 1)
	if err != nil {
		return next{}, err
	}
	task := &pb.Task{Id: "mixture", Kind: kindBuild, Work: &pb.Task_Build{Build: &pb.Build{}}}
	if err := c.bus.PublishTask(ctx, c.spec.Name, generation, task); err != nil {
		return next{}, fmt.Errorf("publish build task: %w", err)
	}
	var mixture *pb.Mixture
	err = c.await(ctx, func() (bool, error) {
		mixture = c.seen.mixture(generation)
		return mixture != nil, nil
	})
	if err != nil {
		return next{}, err
	}
	p.Completed = 1
	switch {
	case mixture.GetExamples() == 0:
		return next{phase: phaseDone, reason: fmt.Sprintf("the mixture of generation %d has no examples: no trajectory was completed, or all were left out (%v)", generation, mixture.GetDropped())}, nil
	case len(c.spec.Targets) == 0:
		return next{phase: phaseDone, reason: fmt.Sprintf("no targets to train; the mixture of generation %d has %d examples", generation, mixture.GetExamples())}, nil
	}
	return next{phase: phaseTrain, generation: generation}, nil
}

// train waits for a checkpoint of every target.
func (c *conductor) train(ctx context.Context) (next, error) {
	generation := c.record.Generation
	var mixture *pb.Mixture
	err := c.await(ctx, func() (bool, error) { // after a restart it may take a moment to be seen again
		mixture = c.seen.mixture(generation)
		return mixture != nil, nil
	})
	if err != nil {
		return next{}, err
	}
	err = c.forTargets(ctx, func(target string) *pb.Task {
		return &pb.Task{Id: target, Kind: kindTrain, Work: &pb.Task_Train{Train: &pb.Train{Target: target, Mixture: mixture}}}
	}, func(t trained) bool { return c.seen.checkpoint(t) != nil })
	return next{phase: phaseDeploy, generation: generation}, err
}

// deploy waits until every checkpoint is served.
func (c *conductor) deploy(ctx context.Context) (next, error) {
	generation := c.record.Generation
	err := c.await(ctx, func() (bool, error) { return c.allTrained(generation), nil })
	if err != nil {
		return next{}, err
	}
	err = c.forTargets(ctx, func(target string) *pb.Task {
		checkpoint := c.seen.checkpoint(trained{generation, target})
		return &pb.Task{Id: target, Kind: kindDeploy, Work: &pb.Task_Deploy{Deploy: &pb.Deploy{Checkpoint: checkpoint}}}
	}, func(t trained) bool { return c.seen.deployment(t) != nil })
	return next{phase: phaseEvaluate, generation: generation, look: firstLook}, err
}

func (c *conductor) allTrained(generation int) bool {
	for _, target := range c.spec.Targets {
		if c.seen.checkpoint(trained{generation, target.Name}) == nil {
			return false
		}
	}
	return true
}

// forTargets publishes a task for each target and waits until all are done.
func (c *conductor) forTargets(ctx context.Context, task func(target string) *pb.Task, done func(trained) bool) error {
	for _, target := range c.spec.Targets {
		if _, err := c.enter(ctx, target.Name, c.record.Phase, 1); err != nil {
			return err
		}
		if done(trained{c.record.Generation, target.Name}) {
			continue
		}
		if err := c.bus.PublishTask(ctx, c.spec.Name, c.record.Generation, task(target.Name)); err != nil {
			return fmt.Errorf("publish %s task of %s: %w", c.record.Phase, target.Name, err)
		}
	}
	return c.await(ctx, func() (bool, error) {
		all := true
		for _, target := range c.spec.Targets {
			p := c.record.progress(c.record.Phase, target.Name, c.record.Phase)
			if done(trained{c.record.Generation, target.Name}) {
				p.Completed = 1
			} else {
				all = false
			}
		}
		return all, nil
	})
}

// evaluate makes and judges this look's trajectories: of the target that may be promoted up to the look's
// repetitions, of the students all of theirs at the first look.
func (c *conductor) evaluate(ctx context.Context) (next, error) {
	generation, look := c.record.Generation, c.record.Look
	looks := c.spec.Evaluation.LookPlan()
	var rolls []roll
	for _, target := range c.evaluated() {
		d, err := c.deployed(ctx, target, generation)
		if err != nil {
			return next{}, err
		}
		first, until := 0, c.spec.Evaluation.Repetitions
		if target == config.OwnTarget {
			until = looks[look-1]
			if look > firstLook {
				first = looks[look-2]
			}
		}
		rolls = append(rolls, c.evaluation(target, d.GetPolicy(), first, until))
	}
	if err := c.roll(ctx, rolls...); err != nil {
		return next{}, err
	}
	return next{phase: phaseDecide, generation: generation, look: look}, nil
}

// evaluated is the targets that this look is about.
func (c *conductor) evaluated() []string {
	if c.record.Look > firstLook {
		return []string{config.OwnTarget}
	}
	var names []string
	for _, target := range c.spec.Targets {
		names = append(names, target.Name)
	}
	return names
}

// decide waits for the reports and the decision, and acts on it.
func (c *conductor) decide(ctx context.Context) (next, error) {
	look, looks := c.record.Look, c.spec.Evaluation.LookPlan()
	var all []assessment
	for _, target := range c.evaluated() {
		d, err := c.deployed(ctx, target, c.record.Generation)
		if err != nil {
			return next{}, err
		}
		a := assessment{
			target: target, policy: d.GetPolicy(), look: look, repetitions: c.spec.Evaluation.Repetitions,
			incumbent: c.record.Incumbent,
		}
		if target == config.OwnTarget {
			a.repetitions = looks[look-1]
		}
		all = append(all, a)
	}
	if err := c.assess(ctx, all...); err != nil {
		return next{}, err
	}
	own := looked{trained{c.record.Generation, config.OwnTarget}, look}
	decision := c.seen.decision(own)
	if decision.GetRuling() == pb.Ruling_RULING_CONTINUE {
		return next{phase: phaseEvaluate, generation: c.record.Generation, look: look + 1}, nil
	}
	if err := c.seal(ctx); err != nil {
		return next{}, err
	}
	return c.settle(decision, c.seen.report(own)), nil
}

// settle turns the ratchet, or not, and says whether another generation is worth trying. The record's fields
// are saved by the move that follows.
func (c *conductor) settle(decision *pb.Decision, report *pb.Report) next {
	r := c.record
	if decision.GetRuling() == pb.Ruling_RULING_PROMOTE {
		r.Incumbent, r.Streak = r.Generation, 0
	} else {
		r.Streak++
	}
	accuracy := report.GetAnswer().GetMean()
	switch {
	case r.Streak == 0 && c.spec.Gate.Target > 0 && accuracy >= c.spec.Gate.Target:
		return next{phase: phaseDone, reason: fmt.Sprintf("target reached: %.1f %% (asked for %.1f %%)", 100*accuracy, 100*c.spec.Gate.Target)}
	case r.Generation >= c.spec.Generations:
		return next{phase: phaseDone, reason: fmt.Sprintf("all %d generations tried; generation %d is promoted", c.spec.Generations, r.Incumbent)}
	case r.Streak >= c.spec.Plateau:
		return next{phase: phaseDone, reason: fmt.Sprintf("plateau: %d generations in a row were not promoted; generation %d stays", r.Streak, r.Incumbent)}
	}
	return next{phase: phaseGrow, generation: r.Generation + 1}
}

// seal drops the journal of a finished round: its trajectories hold every step.
func (c *conductor) seal(ctx context.Context) error {
	if err := c.bus.Purge(ctx, bus.Steps, bus.GenerationFilter(bus.Steps, c.spec.Name, c.record.Generation)); err != nil {
		return fmt.Errorf("purge the journal: %w", err)
	}
	return nil
}

// assessment is one report to make, and for the own target one decision.
type assessment struct {
	target      string
	policy      *pb.Policy
	look        int
	repetitions int
	incumbent   int
}

// assess asks for the reports and waits for them and for the own target's decision.
func (c *conductor) assess(ctx context.Context, all ...assessment) error {
	for _, a := range all {
		task := &pb.Task{Id: fmt.Sprintf("%s-%d", a.target, a.look), Kind: kindEvaluate, Work: &pb.Task_Evaluate{Evaluate: &pb.Evaluate{
			Target: a.target, Policy: a.policy, Look: int32(a.look), Repetitions: int32(a.repetitions), Incumbent: int32(a.incumbent),
		}}}
		if err := c.bus.PublishTask(ctx, c.spec.Name, c.record.Generation, task); err != nil {
			return fmt.Errorf("publish evaluate task of %s: %w", a.target, err)
		}
	}
	return c.await(ctx, func() (bool, error) {
		for _, a := range all {
			l := looked{trained{c.record.Generation, a.target}, a.look}
			if c.seen.report(l) == nil || a.target == config.OwnTarget && c.seen.decision(l) == nil {
				return false, nil
			}
		}
		return true, nil
	})
}
