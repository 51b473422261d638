package archive_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/archive"
	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/runstate"
	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// item is an entry of an archive in the hands of a stranger.
type item struct {
	name string
	data []byte
	flag byte
}

func unpacked(t testing.TB, file []byte) (all []item) {
	t.Helper()
	zip, err := zstd.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	defer zip.Close()
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		data, err2 := io.ReadAll(r)
		if err = errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		all = append(all, item{h.Name, data, h.Typeflag})
	}
}

// packed makes an archive of what a stranger has, with a manifest that agrees.
func packed(t testing.TB, all []item) []byte {
	t.Helper()
	var file bytes.Buffer
	zip, err := zstd.NewWriter(&file)
	if err != nil {
		t.Fatal(err)
	}
	w, sum := tar.NewWriter(zip), sha256.New()
	m := archive.Manifest{Messages: map[string]int64{}}
	add := func(i item) {
		if err := errors.Join(w.WriteHeader(&tar.Header{Name: i.name, Size: int64(len(i.data)), Typeflag: i.flag, Mode: 0o600})); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(i.data); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range all {
		if i.name == "manifest.json" {
			m.SHA256 = hex.EncodeToString(sum.Sum(nil))
			if i.data, err = json.MarshalIndent(m, "", "  "); err != nil {
				t.Fatal(err)
			}
			add(i)
			continue
		}
		add(i)
		fmt.Fprintf(sum, "%s\x00%d\x00%s", i.name, len(i.data), i.data)
		m.Entries++
		m.Bytes += int64(len(i.data))
		names := strings.Split(i.name, "/")
		switch {
		case i.name == "ratchet.json":
			_ = json.Unmarshal(i.data, &m.Header)
		case names[0] == "streams":
			m.Messages[names[1]] += int64(bytes.Count(i.data, []byte("\n")))
		case names[0] == "blobs":
			m.Blobs++
		}
	}
	if err := errors.Join(w.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// change changes the entry whose name begins so.
func change(all []item, name string, by func(data []byte) []byte) []item {
	i := slices.IndexFunc(all, func(i item) bool { return strings.HasPrefix(i.name, name) })
	all[i].data = by(slices.Clone(all[i].data))
	return all
}

// after puts an entry behind the one whose name begins so.
func after(all []item, name string, more item) []item {
	i := slices.IndexFunc(all, func(i item) bool { return strings.HasPrefix(i.name, name) })
	return slices.Insert(all, i+1, more)
}

// message replaces the first message of an entry.
func message(all []item, name string, by func(s *bus.Stored, ev *pb.Event)) []item {
	return change(all, name, func(data []byte) []byte {
		line, rest, _ := bytes.Cut(data, []byte("\n"))
		var s bus.Stored
		_ = json.Unmarshal(line, &s)
		ev, _ := bus.Decode("", s.Data)
		by(&s, ev)
		s.Data, _ = proto.Marshal(ev)
		line, _ = json.Marshal(s)
		return append(append(line, '\n'), rest...)
	})
}

func replace(from, to string) func([]byte) []byte {
	return func(data []byte) []byte { return bytes.ReplaceAll(data, []byte(from), []byte(to)) }
}

// Nothing of an archive is written that has anything in it that no export would write.
func TestStrangersArchive(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.begin(run, 2)
	s.state(run, false, 0)
	whole := s.export(run)
	plain := item{flag: tar.TypeReg, data: []byte("{}")}
	named := func(name string) item { i := plain; i.name = name; return i }
	const victim = "victim"
	for name, by := range map[string]func([]item) []item{
		"unchanged":        func(all []item) []item { return all },
		"a path":           func(all []item) []item { return after(all, "spec.json", named("../../etc/passwd")) },
		"a path to a blob": func(all []item) []item { return after(all, "blobs/c", named("blobs/checkpoints/../../x")) },
		"an absolute path": func(all []item) []item { return after(all, "spec.json", named("/etc/passwd")) },
		"another run's blob": func(all []item) []item {
			return after(all, "blobs/mixtures/r/1/p", named("blobs/mixtures/victim/1/manifest.json"))
		},
		"a blob too much": func(all []item) []item {
			return after(all, "blobs/mixtures/r/1/p", named("blobs/mixtures/r/2/manifest.json"))
		},
		"a blob too few": func(all []item) []item {
			return slices.DeleteFunc(all, func(i item) bool { return strings.HasPrefix(i.name, "blobs/corpora") })
		},
		"another blob": func(all []item) []item { return change(all, "blobs/corpora", replace("words", "swords")) },
		"another part": func(all []item) []item { return change(all, "blobs/mixtures/r/1/part", replace("examples", "poison")) },
		"a link": func(all []item) []item {
			return after(all, "spec.json", item{name: "streams/DEAD/000000.jsonl", flag: tar.TypeSymlink})
		},
		"an unknown stream": func(all []item) []item { return after(all, "spec.json", named("streams/KV_models/000000.jsonl")) },
		"twice":             func(all []item) []item { return after(all, "spec.json", named("spec.json")) },
		"the wrong order":   func(all []item) []item { return after(all, "state.json", named("control.json")) },
		"no spec": func(all []item) []item {
			return slices.DeleteFunc(all, func(i item) bool { return i.name == "spec.json" })
		},
		"no manifest":          func(all []item) []item { return all[:len(all)-1] },
		"something at the end": func(all []item) []item { return append(all, named("spec.json")) },
		"another form":         func(all []item) []item { return change(all, "ratchet.json", replace(`"version": 1`, `"version": 2`)) },
		"another run's state":  func(all []item) []item { return change(all, "state.json", replace(`"run": "r"`, `"run": "victim"`)) },
		"another's promotion":  func(all []item) []item { return change(all, "promoted/", replace(`"run":"r"`, `"run":"victim"`)) },
		"a run that is no name": func(all []item) []item {
			return change(change(all, "spec.json", replace(`"name": "r"`, `"name": "r.>"`)), "ratchet.json", replace(`"r"`, `"r.>"`))
		},
		"another run's subject": func(all []item) []item {
			return message(all, "streams/RUNS", func(s *bus.Stored, _ *pb.Event) { s.Subject = bus.RunSubject(victim, "entered") })
		},
		"another stream's": func(all []item) []item {
			return message(all, "streams/RUNS", func(s *bus.Stored, _ *pb.Event) { s.Subject = bus.EvalSubject(run, 1, "own", "decision-1") })
		},
		"a bucket": func(all []item) []item {
			return message(all, "streams/RUNS", func(s *bus.Stored, _ *pb.Event) { s.Subject = "$KV.models.promoted.victim" })
		},
		"a server's header": func(all []item) []item {
			return message(all, "streams/RUNS", func(s *bus.Stored, _ *pb.Event) { s.Header["Nats-Rollup"] = []string{"all"} })
		},
		"another run's event": func(all []item) []item {
			return message(all, "streams/RUNS", func(_ *bus.Stored, ev *pb.Event) { ev.Run = victim })
		},
		"another run's identity": func(all []item) []item {
			return message(all, "streams/FEEDBACK", func(_ *bus.Stored, ev *pb.Event) { ev.GetFeedback().Identity.Run = victim })
		},
		"another identity": func(all []item) []item {
			return message(all, "streams/FEEDBACK", func(_ *bus.Stored, ev *pb.Event) { ev.GetFeedback().Identity.Sample++ })
		},
		"another's dead letter": func(all []item) []item {
			return message(all, "streams/DEAD", func(_ *bus.Stored, ev *pb.Event) {
				ev.GetDeadLetter().Subject = bus.TaskSubject("train", victim, 1, "t")
			})
		},
		"a URI to a file": func(all []item) []item {
			return message(all, "streams/TRAINING", func(_ *bus.Stored, ev *pb.Event) { ev.GetMixture().ManifestUri = "file:///etc/passwd" })
		},
		"a URI to another run's": func(all []item) []item {
			return message(all, "streams/TRAINING", func(_ *bus.Stored, ev *pb.Event) {
				ev.GetMixture().ManifestUri = "blob:///mixtures/victim/1/manifest.json"
			})
		},
		"a spec's URI elsewhere": func(all []item) []item {
			return change(all, "spec.json", replace("blob:///questions", "s3://questions"))
		},
		"a message of any size": func(all []item) []item {
			return change(all, "streams/RUNS", func(data []byte) []byte { return append(data, bytes.Repeat([]byte(" "), 9<<20)...) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := packed(t, by(unpacked(t, whole)))
			_, err := archive.Verify(t.Context(), bytes.NewReader(file), limits)
			if (err == nil) != (name == "unchanged") || err != nil && !errors.Is(err, archive.ErrDamaged) {
				t.Errorf("%v", err)
			}
		})
	}
}

// Cut or changed anywhere, a file is no archive, and says so without a panic; but for bits that mean nothing to zstd.
func TestDamagedArchive(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.begin(run, 1)
	s.state(run, true, 0)
	whole := s.export(run)
	sound, err := archive.Verify(t.Context(), bytes.NewReader(whole), limits)
	s.must(err)
	for at := 0; at < len(whole); at += 41 {
		changed := slices.Clone(whole)
		changed[at] ^= 0x10
		for what, file := range map[string][]byte{"cut": whole[:at], "changed": changed} {
			if c, err := archive.Verify(t.Context(), bytes.NewReader(file), limits); err == nil && (what == "cut" || c.SHA256 != sound.SHA256) {
				t.Fatalf("%s at byte %d of %d: no error", what, at, len(whole))
			}
		}
	}
}

// A file of a few kilobytes that unpacks to a terabyte is refused at the limit, entry by entry.
func TestBomb(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.begin(run, 1)
	s.state(run, true, 0)
	all := change(unpacked(t, s.export(run)), "blobs/corpora", func([]byte) []byte { return make([]byte, 64<<20) })
	file := packed(t, all)
	_, err := archive.Verify(t.Context(), bytes.NewReader(file), archive.Limits{Bytes: 16 << 20})
	if err == nil || !strings.Contains(err.Error(), "unpacks to more than") {
		t.Errorf("%d bytes: %v", len(file), err)
	}
}

// An import that was cut anywhere goes on when it is done again.
func TestImportCut(t *testing.T) {
	t.Parallel()
	from, to := newSite(t), newSite(t)
	from.begin(run, 3)
	from.state(run, false, 1)
	file := from.export(run)
	c, err := archive.Verify(t.Context(), bytes.NewReader(file), limits)
	if err != nil {
		t.Fatal(err)
	}
	cuts := 0
	for reads := 0; ; reads++ {
		_, err := to.Import(t.Context(), &cut{Reader: bytes.NewReader(file), left: reads}, c, limits)
		if err == nil {
			break
		}
		if !errors.Is(err, errCut) {
			t.Fatalf("cut after %d reads: %v", reads, err)
		}
		cuts++
		if _, _, err := to.Bus.KV(runstate.Bucket).Get(t.Context(), runstate.Key(run)); !errors.Is(err, bus.ErrNotFound) {
			t.Fatalf("cut after %d reads, the run is there: %v", reads, err)
		}
	}
	if !bytes.Equal(to.export(run), file) {
		t.Error("it was cut, and the archive of what was imported differs")
	}
	t.Logf("cut %d times", cuts)
}

var errCut = errors.New("cut")

// cut ends after some reads of a few bytes.
type cut struct {
	*bytes.Reader
	left int
}

func (c *cut) Read(p []byte) (int, error) {
	if c.left--; c.left < 0 {
		return 0, errCut
	}
	return c.Reader.Read(p[:min(len(p), 256)])
}

// Every field of the wire that is a URI is known to be one: a new one must be moved too.
func TestEveryURIIsMoved(t *testing.T) {
	t.Parallel()
	var found []string
	messages := pb.File_ratchet_v1_event_proto.Messages()
	for i := range messages.Len() {
		fields := messages.Get(i).Fields()
		for j := range fields.Len() {
			if name := string(fields.Get(j).FullName()); strings.HasSuffix(name, "uri") {
				found = append(found, name)
			}
		}
	}
	want := []string{"ratchet.v1.Claim.uri", "ratchet.v1.Mixture.manifest_uri", "ratchet.v1.Checkpoint.uri"}
	if !slices.Equal(found, want) {
		t.Errorf("the wire has %v; archives move %v", found, want)
	}
}
