package sizing_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/config"
	"github.com/ratchet-rl/ratchet/internal/devstack"
	"github.com/ratchet-rl/ratchet/internal/sizing"
)

func example() config.Run {
	return config.Run{
		Questions: config.Source{Count: 1000}, Evaluation: config.Evaluation{Set: config.Source{Count: 100}, Repetitions: 10},
		Policy: config.Policy{Candidates: 8}, Rankers: []string{"llm", "perplexity"}, Grow: config.Grow{Samples: []int{4, 2}},
		Targets: []config.Target{{Name: "own"}, {Name: "small"}}, Generations: 3,
	}
}

// Every message of a run to its end is counted: a baseline of 1,000 trajectories; three generations that grow 4,000,
// 2,000 and 2,000 and evaluate two targets with 1,000 each.
func TestOf(t *testing.T) {
	t.Parallel()
	without := example()
	without.Targets = nil // a baseline, and one generation that is grown
	for name, c := range map[string]struct {
		run     config.Run
		streams []bus.StreamState
		want    []sizing.Need
	}{
		"to its end": {example(), nil, []sizing.Need{
			{Stream: "TRAJECTORIES", Messages: 15_000, Each: 24 << 10},
			{Stream: "STEPS", Messages: 8 * 6_000, Each: 4 << 10},
			{Stream: "FEEDBACK", Messages: 16_000, Each: 4 << 10},
			{Stream: "VERDICTS", Messages: 7_000, Each: 1 << 10},
		}},
		"nothing to train": {without, nil, []sizing.Need{
			{Stream: "TRAJECTORIES", Messages: 5_000, Each: 24 << 10},
			{Stream: "STEPS", Messages: 8 * 4_000, Each: 4 << 10},
			{Stream: "FEEDBACK", Messages: 8_000, Each: 4 << 10},
			{Stream: "VERDICTS", Messages: 1_000, Each: 1 << 10},
		}},
		"messages are known": {without, []bus.StreamState{
			{Name: "TRAJECTORIES", Messages: 2_000, Bytes: 2_000 * 777}, {Name: "FEEDBACK", Messages: 2, Bytes: 10},
		}, []sizing.Need{
			{Stream: "TRAJECTORIES", Messages: 5_000, Each: 777},
			{Stream: "STEPS", Messages: 8 * 4_000, Each: 4 << 10},
			{Stream: "FEEDBACK", Messages: 8_000, Each: 4 << 10},
			{Stream: "VERDICTS", Messages: 1_000, Each: 1 << 10},
		}},
	} {
		if diff := cmp.Diff(c.want, sizing.Of(c.run, c.streams)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestLack(t *testing.T) {
	t.Parallel()
	needs := []sizing.Need{{Stream: "TRAJECTORIES", Messages: 1000, Each: 10 << 10}, {Stream: "FEEDBACK", Messages: 1000, Each: 1 << 10}}
	stream := func(name string, held uint64, most int64) bus.StreamState {
		return bus.StreamState{Name: name, Bytes: held, MaxBytes: most}
	}
	for name, c := range map[string]struct {
		room sizing.Room
		want []string
	}{
		"nothing is limited":    {sizing.Room{Streams: []bus.StreamState{stream("TRAJECTORIES", 1<<40, -1)}, Account: -1, Disk: -1}, nil},
		"it fits exactly":       {sizing.Room{Streams: []bus.StreamState{stream("TRAJECTORIES", 0, 10_240_000)}, Account: 11_264_000, Disk: 11_264_000}, nil},
		"a byte is missing":     {sizing.Room{Streams: []bus.StreamState{stream("TRAJECTORIES", 1, 10_240_000)}, Account: -1, Disk: -1}, []string{"TRAJECTORIES (1000 messages of about 10.0 KiB) needs about 9.8 MiB", "raise bus.max_bytes to 10240001"}},
		"another stream":        {sizing.Room{Streams: []bus.StreamState{stream("STEPS", 5, 5), stream("FEEDBACK", 0, 10)}, Account: -1, Disk: -1}, []string{"FEEDBACK"}},
		"the account":           {sizing.Room{Account: 1 << 20, Disk: -1}, []string{"account needs about 10.7 MiB, 1.0 MiB are free"}},
		"the disk":              {sizing.Room{Account: -1, Disk: 0}, []string{"disk of the nats-server needs about 10.7 MiB, 0 B are free"}},
		"the stream is overful": {sizing.Room{Streams: []bus.StreamState{stream("FEEDBACK", 20, 10)}, Account: -1, Disk: -1}, []string{"0 B are free"}},
	} {
		got := c.room.Lack(needs)
		if (got == "") != (len(c.want) == 0) || strings.Count(got, "\n") > 0 {
			t.Errorf("%s: %q", name, got)
		}
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q, want %q in it", name, got, want)
			}
		}
	}
}

// A real bus tells its streams' limits, that its account has none, and how much the disk has.
func TestLook(t *testing.T) {
	t.Parallel()
	room, err := sizing.Look(t.Context(), devstack.TestBus(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if room.Account != -1 || room.Disk <= 0 || len(room.Streams) < 11 {
		t.Errorf("got %+v", room)
	}
	if lack := room.Lack([]sizing.Need{{Stream: bus.Trajectories, Messages: 1 << 20, Each: 1 << 10}}); lack != "" {
		t.Errorf("1 GiB of 1 GiB: %s", lack)
	}
	if lack := room.Lack([]sizing.Need{{Stream: bus.Trajectories, Messages: 1<<20 + 1, Each: 1 << 10}}); !strings.Contains(lack, "TRAJECTORIES") {
		t.Errorf("more than 1 GiB of 1 GiB: %q", lack)
	}
	if _, err := sizing.Look(t.Context(), devstack.TestBus(t), "/no/such/folder"); err == nil {
		t.Error("a store that is not there was looked at")
	}
}
