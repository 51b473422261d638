package bus

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ratchet-rl/ratchet/internal/config"
)

// Roles that have credentials of their own. Besides them every plug-in that the configuration names has: bus.kinds,
// bus.rankers, bus.judges.
const (
	RoleCoordinator = "coordinator"
	RoleRollout     = "rollout-worker"
	RoleRank        = "rank-worker"
	RoleBridge      = "trainer-bridge"
	RoleEvaluator   = "evaluator"
	// RoleOperator is the command `ratchet`.
	RoleOperator = "ratchet"
	// RoleKeeper is the command `ratchet` where it imports and prunes runs: it writes what nobody else may, and removes.
	RoleKeeper = "keeper"
	// RoleObserver looks and changes nothing.
	RoleObserver = "observer"
	// RoleHuman is the command `ratchet` where it imports people's rankings: it gives feedback in the name of the ranker
	// human, and does nothing else.
	RoleHuman = "human"
	// RoleWorker is any plug-in of a task kind that is none of ours.
	RoleWorker = "worker"
)

// Account is the NATS account that holds the streams.
const Account = "RATCHET"

// Role is who connects, and the least that it needs.
type Role struct {
	Name string `json:"role"`
	// Confined roles have an account of their own, which imports what they may publish. In one account with the streams
	// publish permissions bind no stranger: the server delivers a reply to whatever subject the request names, and so
	// writes in its own name where the requester may not (docs/permissions.md).
	Confined bool `json:"confined"`
	// Publish is what may be published, without Deny.
	Publish []string `json:"publish"`
	Deny    []string `json:"deny,omitempty"`
	// Subscribe is what may be subscribed to.
	Subscribe []string `json:"subscribe"`
	// Answers: may reply to what it is asked.
	Answers bool `json:"answers,omitempty"`
}

// Account is the NATS account of the role's user.
func (r Role) Account() string {
	if r.Confined {
		return r.Name
	}
	return Account
}

// Roles are the roles of an installation and their permissions.
func Roles(cfg config.Config) ([]Role, error) {
	known := durables(cfg)
	roles := []Role{
		coordinator(),
		trusted(RoleBridge, slices.Concat(
			serve("build"), serve("train"), serve("deploy"),
			writes(familyTraining, ">"), read(Trajectories), read(Training), look(Feedback, subject(familyFeedback, ">")), list("runs"),
		), known),
		trusted(RoleEvaluator, slices.Concat(
			serve("evaluate"), judges(cfg.Evaluator.Judges), specs(),
			writes(familyEval, ">"), scan(Evals), read(Trajectories), read(Verdicts), list("models"), keys("models", "promoted.>"),
		), known),
		operator(known),
		keeper(known),
		confined(RoleRollout, slices.Concat(
			serve("rollout"), specs(), writes(familyTask, "rollout.>"), writes(familyStep, ">"), scan(Steps), writes(familyTrajectory, ">"),
		)),
		confined(RoleRank, slices.Concat(rankers(cfg.Rank.Rankers), specs())),
		observer(),
		human(),
		plugIn(cfg),
	}
	return namedPlugIns(cfg, roles)
}

// coordinator owns the topology, but writes no results.
func coordinator() Role {
	publish := []string{
		api("INFO"), api("STREAM.LIST"), // is there room for a run?
		api("CONSUMER.LIST", Tasks), api("CONSUMER.LIST", Trajectories), api("STREAM.MSG.GET", Tasks), // does a queue stand still?
		api("CONSUMER.LEADER.STEPDOWN", Tasks, "*"), api("CONSUMER.LEADER.STEPDOWN", Trajectories, "*"),
	}
	for _, stream := range storage() {
		publish = append(publish, api("STREAM.CREATE", stream), api("STREAM.UPDATE", stream))
		if stream != Tasks { // of which it makes the queues, and takes nothing
			publish = append(publish, read(stream)...)
		}
	}
	r := trusted(RoleCoordinator, slices.Concat(publish,
		[]string{
			subject(familyTask, ">"), subject(familyRun, ">"), subject(familyDead, ">"),
			api("CONSUMER.CREATE", Tasks, ">"), api("CONSUMER.INFO", Tasks, "*"), api("DIRECT.GET", Tasks, ">"),
			api("STREAM.PURGE", Tasks), api("STREAM.PURGE", Steps), api("STREAM.MSG.DELETE", Tasks), api("STREAM.MSG.DELETE", Advisory),
		},
		scan(Tasks), keys("runs", ">"), keys("leases", ">"),
	), nil)
	r.Subscribe = append(r.Subscribe, subject(familyAPI, "*"), "$SRV.*", "$SRV.*.coordinator", "$SRV.*.coordinator.*")
	r.Answers = true
	return r
}

// operator reads everything, asks the coordinator, gives and replays tasks, and writes no result.
func operator(known []Source) Role {
	publish := []string{
		subject(familyTask, ">"), subject(familyAPI, "*"), "$SRV.>", api("STREAM.MSG.DELETE", Dead), look(Tasks)[0], api("DIRECT.GET", Tasks, ">"),
	}
	for _, stream := range storage() {
		if stream != Tasks { // a consumer there would take the work from the workers
			publish = append(publish, read(stream)...)
		}
	}
	return trusted(RoleOperator, slices.Concat(publish, scan(Tasks), overview()), known)
}

// keeper brings runs and takes them away: everything of a run, in every stream and bucket that holds runs.
func keeper(known []Source) Role {
	publish := slices.Concat(scan(Tasks), keys("runs", ">"), keys("models", "promoted.>"))
	publish = append(publish, api("DIRECT.GET", Tasks, ">"))
	for name, f := range families {
		publish = append(publish, subject(name, ">"), api("STREAM.PURGE", f.stream))
	}
	for _, bucket := range []string{"runs", "models"} {
		publish = append(publish, api("STREAM.PURGE", kvStream(bucket)))
	}
	for _, stream := range storage() {
		if stream != Tasks {
			publish = append(publish, read(stream)...)
		}
	}
	return trusted(RoleKeeper, publish, known)
}

func observer() Role {
	r := confined(RoleObserver, slices.Concat(overview(), []string{api("DIRECT.GET", ">")}))
	r.Subscribe = append(r.Subscribe, foreignInbox)
	return r
}

// human looks at what it ranks, and takes nothing from a queue: people are asked by a sheet.
func human() Role {
	return confined(RoleHuman, slices.Concat(
		writes(familyFeedback, RoleHuman, ">"), look(Trajectories, subject(familyTrajectory, "*.*.*", purposeGrow, ">")), specs(),
	))
}

// plugIn is a worker of any kind that is none of ours and that nobody has named.
func plugIn(cfg config.Config) Role {
	r := confined(RoleWorker, slices.Concat(serve("*"), specs(), writes(familyResult, ">")))
	for _, kind := range builtinKinds {
		r.Deny = append(r.Deny, serve(kind)...)
	}
	for _, s := range durables(cfg) { // whose replays and dead letters are none of a task kind's
		r.Deny = append(r.Deny, serve(s.Consumer)...)
	}
	r.Subscribe = []string{inboxPrefix(RoleWorker) + ".>", foreignInbox}
	return r
}

// namedPlugIns adds a role for each name in bus.kinds, bus.rankers and bus.judges.
func namedPlugIns(cfg config.Config, roles []Role) ([]Role, error) {
	ours := len(roles)
	add := func(setting, name string, publish []string) error {
		i := slices.IndexFunc(roles, func(r Role) bool { return r.Name == name })
		switch {
		case name == RoleHuman && setting == "bus.rankers": // a page, say, that asks people as trajectories come
			roles[i].Publish, roles[i].Subscribe = sorted(append(roles[i].Publish, publish...)), append(roles[i].Subscribe, foreignInbox)
			return nil
		case i >= 0 && i < ours:
			return fmt.Errorf("%s: %q is the name of a role of Ratchet's; give the plug-in another", setting, name)
		case i >= 0:
			roles[i].Publish = sorted(append(roles[i].Publish, publish...))
			return nil
		}
		r := confined(name, append(publish, specs()...))
		r.Subscribe = append(r.Subscribe, foreignInbox)
		roles = append(roles, r)
		return nil
	}
	for _, kind := range cfg.Bus.Kinds {
		if err := add("bus.kinds", kind, append(serve(kind), writes(familyResult, kind, ">")...)); err != nil {
			return nil, err
		}
	}
	for _, name := range cfg.Bus.Rankers {
		if err := add("bus.rankers", name, rankers([]string{name})); err != nil {
			return nil, err
		}
	}
	for _, name := range cfg.Bus.Judges {
		if err := add("bus.judges", name, judges([]string{name})); err != nil {
			return nil, err
		}
	}
	return roles, nil
}

// trusted roles share the streams' account. They may make consumers, except in the place of those that take work.
func trusted(name string, publish []string, known []Source) Role {
	r := Role{Name: name, Publish: sorted(publish), Subscribe: []string{inboxPrefix(name) + ".>"}}
	for _, s := range known {
		if !slices.Contains(publish, api("CONSUMER.CREATE", s.Stream, ">")) {
			continue
		}
		r.Deny = append(r.Deny, api("CONSUMER.CREATE", s.Stream, s.Consumer), api("CONSUMER.CREATE", s.Stream, s.Consumer, ">"), api("CONSUMER.DELETE", s.Stream, s.Consumer))
		if !slices.Contains(publish, api("CONSUMER.INFO", s.Stream, s.Consumer)) {
			r.Deny = append(r.Deny, take(s)[1:]...)
		}
	}
	return r
}

func confined(name string, publish []string) Role {
	return Role{Name: name, Confined: true, Publish: sorted(append(publish, api("INFO"))), Subscribe: []string{inboxPrefix(name) + ".>"}}
}

func sorted(subjects []string) []string {
	slices.Sort(subjects)
	return slices.Compact(subjects)
}

// foreignInbox is where clients of other makes have their replies sent; no role of ours does.
const foreignInbox = "_INBOX.>"

// inboxPrefix is where a role's replies go. Those of plug-ins lie together, because nobody knows their names.
func inboxPrefix(role string) string {
	token := strings.NewReplacer(".", "_", " ", "_", "*", "_", ">", "_").Replace(role)
	switch role {
	case RoleCoordinator, RoleRollout, RoleRank, RoleBridge, RoleEvaluator, RoleOperator, RoleKeeper, RoleObserver, RoleWorker:
		return "_INBOX_" + token
	}
	return "_INBOX_" + RoleWorker + "." + token
}

// durables are the consumers on the results that the configuration names.
func durables(cfg config.Config) []Source {
	var all []Source
	for _, name := range slices.Concat(cfg.Rank.Rankers, cfg.Bus.Rankers) {
		all = append(all, RankSource(name))
	}
	for _, name := range slices.Concat(cfg.Evaluator.Judges, cfg.Bus.Judges) {
		all = append(all, JudgeSource(name))
	}
	return all
}

// serve is what it takes to do a kind's tasks.
func serve(kind string) []string {
	return append(take(TaskSource(kind)), subject(familyDead, kind, ">"))
}

func rankers(names []string) (all []string) {
	for _, name := range names {
		all = slices.Concat(all, take(RankSource(name)), writes(familyFeedback, name, ">"), again(rankPrefix+name, purposeGrow))
	}
	return all
}

func judges(names []string) (all []string) {
	for _, name := range names {
		all = slices.Concat(all, take(JudgeSource(name)), writes(familyVerdict, name, ">"), again(judgePrefix+name, purposeEval))
	}
	return all
}

// again is a ranker's or judge's dead letters, and their replay: tasks that name trajectories, which it looks up.
func again(kind, purpose string) []string {
	return append(serve(kind), look(Trajectories, subject(familyTrajectory, "*.*.*", purpose, ">"))...)
}

// take is what it takes to be handed messages and to settle them. Servers write acknowledgements in two forms.
func take(s Source) []string {
	return []string{
		api("CONSUMER.INFO", s.Stream, s.Consumer), api("CONSUMER.MSG.NEXT", s.Stream, s.Consumer),
		"$JS.ACK." + s.Stream + "." + s.Consumer + ".>", "$JS.ACK.*.*." + s.Stream + "." + s.Consumer + ".>",
	}
}

// writes is writing, and reading back what stands there.
func writes(family string, tokens ...string) []string {
	own := subject(append([]string{family}, tokens...)...)
	return append(look(families[family].stream, own), own)
}

// look is asking for the newest message on subjects.
func look(stream string, subjects ...string) []string {
	all := []string{api("STREAM.INFO", stream)}
	for _, s := range subjects {
		all = append(all, api("DIRECT.GET", stream, s))
	}
	return all
}

// scan is asking for messages by their sequence.
func scan(stream string) []string {
	return []string{api("STREAM.INFO", stream), api("DIRECT.GET", stream)}
}

// read is reading a stream in its order, through a consumer made for it.
func read(stream string) []string {
	return []string{
		api("STREAM.INFO", stream), api("STREAM.MSG.GET", stream), api("DIRECT.GET", stream), api("DIRECT.GET", stream, ">"), api("CONSUMER.CREATE", stream, ">"),
		api("CONSUMER.INFO", stream, "*"), api("CONSUMER.MSG.NEXT", stream, "*"), api("CONSUMER.DELETE", stream, "*"), "$JS.FC." + stream + ".>",
	}
}

// specs is reading runs' specs, as every worker does.
func specs() []string { return look(kvStream("runs"), "$KV.runs.*.spec") }

// list is reading a bucket and its keys.
func list(bucket string) []string { return read(kvStream(bucket)) }

// keys is writing keys.
func keys(bucket, pattern string) []string { return []string{"$KV." + bucket + "." + pattern} }

// overview is what `nats stream report` and `nats consumer report` ask for.
func overview() []string {
	return []string{
		api("INFO"), api("STREAM.NAMES"), api("STREAM.LIST"), api("STREAM.INFO.*"), api("CONSUMER.NAMES.*"), api("CONSUMER.LIST.*"), api("CONSUMER.INFO.*.*"),
	}
}

func api(tokens ...string) string { return "$JS.API." + strings.Join(tokens, ".") }

// storage is every stream, and those under the buckets.
func storage() (all []string) {
	t := NewTopology(config.Default().Bus)
	for _, s := range t.Streams {
		all = append(all, s.Name)
	}
	for _, b := range t.Buckets {
		all = append(all, kvStream(b.Bucket))
	}
	return all
}

func kvStream(bucket string) string { return "KV_" + bucket }
