package kube

import (
	"bufio"
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// maxLine is the longest line of a log that is looked at, in bytes; the rest of a longer one is passed over.
const maxLine = 64 << 10

// follower follows the logs of a job's pods, each from its beginning. Lines come on one channel.
type follower struct {
	logs  logReader
	lines chan []byte
	ended chan string          // pods whose log has ended, or was cut off
	open  map[string]bool      // pods that are being followed
	since map[string]time.Time // of pods whose log was cut off: when
}

func newFollower(logs logReader) *follower {
	return &follower{
		logs: logs, lines: make(chan []byte), ended: make(chan string), open: map[string]bool{}, since: map[string]time.Time{},
	}
}

// follow follows what runs or has run, unless it does already. A log that was cut off goes on where it was: some lines
// are seen twice, none is lost.
func (f *follower) follow(ctx context.Context, all []corev1.Pod) {
	for _, p := range all {
		since, before := f.since[p.Name]
		begun := p.Status.Phase != corev1.PodPending && p.Status.Phase != corev1.PodUnknown
		if f.open[p.Name] || !begun || before && p.Status.Phase != corev1.PodRunning {
			continue
		}
		f.open[p.Name] = true
		go f.read(ctx, p.Name, since)
	}
}

// over notes that a log has ended.
func (f *follower) over(pod string) {
	f.open[pod] = false
	f.since[pod] = time.Now()
}

func (f *follower) read(ctx context.Context, pod string, since time.Time) {
	defer func() {
		select {
		case f.ended <- pod:
		case <-ctx.Done():
		}
	}()
	body, err := f.logs(ctx, pod, since)
	if err != nil {
		return // it is asked for again, and its loss costs progress only
	}
	defer body.Close()
	reader := bufio.NewReaderSize(body, maxLine)
	for {
		line, rest, err := reader.ReadLine()
		if err != nil {
			return
		}
		select {
		case f.lines <- append([]byte(nil), line...):
		case <-ctx.Done():
			return
		}
		for rest && err == nil {
			_, rest, err = reader.ReadLine()
		}
	}
}
