package rank

import (
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

type metrics struct {
	rankings *prometheus.CounterVec
	slots    *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		rankings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ratchet_rankings_total",
			Help: "Steps ranked, by how: ranker, single (nothing to rank) or fallback (the judge could not be read).",
		}, []string{"ranker", "outcome"}),
		slots: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ratchet_ranking_slots_total",
			Help: "The slot, from 1, in which the best output was shown. An uneven share is position bias.",
		}, []string{"ranker", "slot"}),
	}
	reg.MustRegister(m.rankings, m.slots)
	return m
}

// recorded counts the rankings of a feedback, once it is on the bus: what a failed delivery ranked is ranked again.
func (m *metrics) recorded(f *pb.Feedback) {
	for _, r := range f.GetSteps() {
		m.ranked(f.GetRanker(), r)
	}
}

func (m *metrics) ranked(ranker string, r *pb.StepRanking) {
	m.rankings.WithLabelValues(ranker, strings.ToLower(strings.TrimPrefix(r.GetRankedBy().String(), "RANKED_BY_"))).Inc()
	if slot := slices.Index(r.GetSlots(), r.GetRanking()[0]); slot >= 0 && r.GetRankedBy() == pb.RankedBy_RANKED_BY_RANKER {
		m.slots.WithLabelValues(ranker, strconv.Itoa(slot+1)).Inc()
	}
}
