package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// folder is the folder of a program that outlives its bridge, a job's or a server's; what is in it: see command.
type folder string

// errLocked says that a process of the job lives.
var errLocked = errors.New("the job runs")

func (f folder) path(name string) string { return filepath.Join(string(f), name) }

func (f folder) out() string { return f.path("out") }

// lock takes the job's lock, errLocked if somebody has it. It is released when the last copy of the open file is
// closed, by whatever end of the process that holds it: flock(2).
func (f folder) lock() (*os.File, error) {
	file, err := os.OpenFile(f.path("lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errLocked
		}
		return nil, fmt.Errorf("lock job: %w", err)
	}
	return file, nil
}

// forget removes what an earlier attempt wrote.
func (f folder) forget(names ...string) error {
	for _, name := range names {
		if err := os.Remove(f.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// over tells whether the job has ended. What a finished trainer has left running is killed: it would keep the lock.
func (f folder) over() (bool, error) {
	lock, err := f.lock()
	if err == nil {
		return true, lock.Close()
	}
	if !errors.Is(err, errLocked) {
		return false, err
	}
	if _, err := f.result(); err != nil {
		return false, nil //nolint:nilerr // no result yet
	}
	f.signal(syscall.SIGKILL)
	return true, nil
}

// releasedWithin waits until no process of the folder lives; it looks once in any case.
func (f folder) releasedWithin(limit time.Duration) bool {
	for deadline := time.Now().Add(limit); ; {
		if lock, err := f.lock(); err == nil {
			_ = lock.Close()
			return true
		}
		if !time.Now().Before(deadline) {
			return false
		}
		<-time.After(lookEvery / 4)
	}
}

// result is the exit code of a job that has finished, fs.ErrNotExist of one that has not.
func (f folder) result() (int, error) {
	return f.number("result")
}

// stderrTail describes the last lines that the job wrote to its standard error.
func (f folder) stderrTail() string {
	const most = 2 << 10 // bytes
	file, err := os.Open(f.path("stderr.log"))
	if err != nil {
		return "it has no stderr"
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size() > most {
		_, _ = file.Seek(-most, io.SeekEnd) // else the beginning is shown
	}
	tail, _ := io.ReadAll(io.LimitReader(file, most))
	if len(tail) == 0 {
		return "it wrote nothing to stderr"
	}
	return "end of its stderr: " + strings.TrimSpace(strings.ToValidUTF8(string(tail), "?"))
}

// process is a job's process group, as it stands in process.json. A number alone does not name a process: it is
// used again after the process has ended, and another host has the same numbers. Born tells them apart.
type process struct {
	PID  int    `json:"pid"`
	Host string `json:"host"`
	// Born is the kernel's word for when the process began; empty where the kernel does not tell.
	Born    string    `json:"born"`
	Started time.Time `json:"started"`
}

func (f folder) writeProcess(pid int) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	data, err := json.Marshal(process{PID: pid, Host: host, Born: born(pid), Started: time.Now()})
	if err != nil {
		return err
	}
	temporary := f.path("process.json.tmp")
	if err := os.WriteFile(temporary, data, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, f.path("process.json"))
}

func (f folder) process() (process, error) {
	var p process
	data, err := os.ReadFile(f.path("process.json"))
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fmt.Errorf("decode %s: %w", f.path("process.json"), err)
	}
	return p, nil
}

// signal sends a signal to the whole process group of the job, if it is certain which one that is.
func (f folder) signal(s syscall.Signal) {
	p, err := f.process()
	if err != nil || !p.ours() {
		return
	}
	_ = syscall.Kill(-p.PID, s) // gone already: nothing to stop
}

// ours tells whether the group is still the one that was started. The shim leads the group; while it is gone but
// others of its group live, its number is not given to anybody else.
func (p process) ours() bool {
	host, err := os.Hostname()
	if err != nil || host != p.Host || p.PID <= 1 {
		return false
	}
	now := born(p.PID)
	return now == "" || now == p.Born
}

// born is the start time of a process in clock ticks since boot, field 22 of /proc/<pid>/stat (proc(5)).
func born(pid int) string {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	// The second field, the name in parentheses, may hold anything: count from its end.
	_, rest, _ := strings.Cut(string(data[max(0, strings.LastIndexByte(string(data), ')')):]), " ")
	const afterName = 22 - 3
	if fields := strings.Fields(rest); len(fields) > afterName {
		return fields[afterName]
	}
	return ""
}
