package view

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Count prints a number with its thousands apart.
func Count(n int64) string {
	text := strconv.FormatInt(n, 10)
	start := len(text) % 3
	if strings.HasPrefix(text, "-") {
		start = 1 + (len(text)-1)%3
	}
	var b strings.Builder
	for i, r := range text {
		if i >= start && (i-start)%3 == 0 && i > 0 && text[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Short prints a large number with its unit: 9.1 M.
func Short(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}} {
		if n >= unit.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(unit.size), unit.name)
		}
	}
	return Count(n)
}

// Took prints a length of time the way people say it: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min.
func Took(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()+0.5))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
}

// Classes prints counts by class, most first: "unparsable 3, step_budget 1".
func Classes(counts map[string]int64) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		if counts[a] != counts[b] {
			return int(counts[b] - counts[a])
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, name := range names {
		if counts[name] != 0 {
			parts = append(parts, Safe(name)+" "+Count(counts[name]))
		}
	}
	return strings.Join(parts, ", ")
}

// Sum adds up counts.
func Sum(counts map[string]int64) int64 {
	var sum int64
	for _, n := range counts {
		sum += n
	}
	return sum
}

// Accuracy prints a score in percent: "31.2 ± 1.9"; without repetitions to compare, "31.2".
func Accuracy(s *pb.Score) string {
	if s == nil {
		return "-"
	}
	if len(s.GetByRepetition()) == 1 {
		return fmt.Sprintf("%.1f", 100*s.GetMean())
	}
	return fmt.Sprintf("%.1f ± %.1f", 100*s.GetMean(), 100*s.GetStd())
}

// points prints a difference of accuracies.
func points(x float64) string { return fmt.Sprintf("%+.1f", 100*x) }

// share prints a part of a whole.
func share(part, whole int64) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100*float64(part)/float64(whole))
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// Bytes prints a size: 512 B, 3.4 MiB.
func Bytes(n int64) string {
	const step = 1 << 10
	if n < step {
		return fmt.Sprintf("%d B", n)
	}
	size, units := float64(n)/step, "KMGTPE"
	for size >= step && len(units) > 1 {
		size, units = size/step, units[1:]
	}
	return fmt.Sprintf("%.1f %ciB", size, units[0])
}
