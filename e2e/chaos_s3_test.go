package e2e

import (
	"os"
	"testing"
)

// behindGate is a site whose blobs are on a real S3 server behind a gate, and its cast's course of faults.
func behindGate(t *testing.T, prepare ...func(*gate)) (*ordeal, *gate) {
	t.Helper()
	long(t)
	program := os.Getenv(minioEnv)
	if program == "" {
		t.Skip("no " + minioEnv + ": run `make test-s3`")
	}
	reference(t)
	server, lines := startMinIO(t, program)
	g := newGate(t, server)
	for _, do := range prepare {
		do(g)
	}
	s := newSite(t, append(lines, "endpoint: "+g.URL)...)
	s.course.judging = 3 * latency
	return newOrdeal(t, s, *chaosSeed,
		"coordinator", "rollout-worker", "rollout-worker", "rank-worker", "rank-worker", "trainer-bridge", "evaluator"), g
}

// Every write to S3 goes wrong the first time, in each way.
func TestS3EachWrite(t *testing.T) {
	for _, how := range []wrong{unavailable, late, refused, replyLost} {
		t.Run(how.name, func(t *testing.T) {
			o, g := behindGate(t, func(g *gate) { g.first = &how })
			want, _ := reference(t)
			o.finish(want)
			t.Logf("requests that went wrong: %v", g.met)
		})
	}
}

// S3 is away in each phase in turn, in each way.
func TestS3AwayInEachPhase(t *testing.T) {
	for _, how := range []wrong{unavailable, late, refused, replyLost} {
		t.Run(how.name, func(t *testing.T) {
			o, g := behindGate(t)
			for _, phase := range phases {
				if !o.await(phase) {
					continue // it was over before the last fault was
				}
				o.inflict(g.shut(how, o.random))
			}
			want, _ := reference(t)
			o.finish(want)
			t.Logf("requests that went wrong: %v", g.met)
		})
	}
}

// A third of all requests to S3 goes wrong all the time, while other things go wrong, too.
func TestS3Storm(t *testing.T) {
	o, g := behindGate(t)
	g.turn(33, o.random, unavailable, late, refused, replyLost)
	o.suffer(perCourse)
	want, _ := reference(t)
	o.finish(want)
	t.Logf("requests that went wrong: %v", g.met)
}
