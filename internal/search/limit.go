package search

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// An entry takes at least a block of the disk, whatever its length.
const block = 4 << 10

// limit bounds a folder: once what was added may have brought it over, the oldest entries go. Several processes may write
// into it; each looks again after a tenth of the limit, so that it is exceeded by a tenth for each of them at most.
type limit struct {
	directory string
	most      int64 // 0: unbounded

	mu   sync.Mutex
	room int64 // what may be added before the next look
	seen bool
}

// added counts an entry, and makes room if need be.
func (l *limit) added(size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.room -= onDisk(size)
	if l.most <= 0 || l.seen && l.room > 0 {
		return
	}
	l.seen = true
	l.room = min(l.most-l.sweep(), l.most/10)
}

func onDisk(size int64) int64 { return (size + block - 1) / block * block }

type keptFile struct {
	path string
	size int64
	at   time.Time
}

// sweep removes the oldest entries, and what a crash left half-written, until a tenth is free; it returns what is there.
func (l *limit) sweep() int64 {
	files, total := l.files()
	if total <= l.most {
		return total
	}
	slices.SortFunc(files, func(a, b keptFile) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.path, b.path)) })
	for _, f := range files {
		if total <= l.most-l.most/10 {
			break
		}
		if os.Remove(f.path) == nil || !isThere(f.path) { // another process may have been faster
			total -= f.size
		}
	}
	return total
}

func (l *limit) files() (files []keptFile, total int64) {
	_ = filepath.WalkDir(l.directory, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // what cannot be read is gone, or nobody's to remove
		}
		info, err := d.Info()
		if err != nil || strings.HasPrefix(d.Name(), aside) && time.Since(info.ModTime()) < time.Minute {
			return nil
		}
		files = append(files, keptFile{path, onDisk(info.Size()), info.ModTime()})
		total += onDisk(info.Size())
		return nil
	})
	return files, total
}
