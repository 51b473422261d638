// Package blobtest is the conformance suite of blob.Store: what a caller may rely on, whatever the store.
package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ratchet-rl/ratchet/internal/blob"
)

// Run checks the stores that open makes; each call of open gives a new empty store.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	for _, c := range []struct {
		name  string
		check func(*testing.T, blob.Store)
	}{
		{"written once", writtenOnce},
		{"any size", anySize},
		{"wrong length", wrongLength},
		{"broken body", brokenBody},
		{"cancelled", cancelled},
		{"not found", notFound},
		{"one winner", oneWinner},
		{"all or nothing", allOrNothing},
		{"list", list},
		{"list ends early", listEndsEarly},
		{"delete", deleted},
		{"stat", stat},
		{"uri", uri},
		{"bad keys", badKeys},
		{"content", content},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.check(t, open(t))
		})
	}
}

func writtenOnce(t *testing.T, s blob.Store) {
	for i, text := range []string{"first", "second", "first"} {
		created, err := s.PutIfAbsent(t.Context(), "a/b.txt", strings.NewReader(text), int64(len(text)))
		if err != nil || created != (i == 0) {
			t.Errorf("write %d: created %t, error %v", i, created, err)
		}
	}
	wantContent(t, s, "a/b.txt", "first")
}

// anySize crosses the 16 MiB from where minio-go would upload in parts, which would lose the condition.
func anySize(t *testing.T, s blob.Store) {
	for _, size := range []int{0, 1, 1 << 16, 17 << 20} {
		data := noise(size)
		key := fmt.Sprintf("size-%d", size)
		for _, want := range []bool{true, false} {
			// A reader that cannot seek, as a pipe is.
			created, err := s.PutIfAbsent(t.Context(), key, io.LimitReader(bytes.NewReader(data), 1<<40), int64(size))
			if err != nil || created != want {
				t.Fatalf("write %d bytes: created %t, error %v", size, created, err)
			}
		}
		got, err := blob.ReadAll(t.Context(), s, key, int64(size))
		if err != nil || sha256.Sum256(got) != sha256.Sum256(data) {
			t.Errorf("read %d bytes: got %d, error %v", size, len(got), err)
		}
	}
}

func wrongLength(t *testing.T, s blob.Store) {
	for _, size := range []int64{3, 5} {
		for name, body := range map[string]io.Reader{
			"file": strings.NewReader("four"),
			"pipe": iotest.OneByteReader(strings.NewReader("four")),
		} {
			if created, err := s.PutIfAbsent(t.Context(), "length", body, size); created || err == nil {
				t.Errorf("%s of 4 bytes, %d announced: created %t, error %v", name, size, created, err)
			}
			wantMissing(t, s, "length")
		}
	}
}

func brokenBody(t *testing.T, s blob.Store) {
	broken := errors.New("disk on fire")
	body := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))
	if _, err := s.PutIfAbsent(t.Context(), "broken", body, 8); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	wantMissing(t, s, "broken")
	mustPut(t, s, "broken", "repaired")
}

func cancelled(t *testing.T, s blob.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.PutIfAbsent(ctx, "cancelled", iotest.OneByteReader(strings.NewReader("x")), 1); err == nil {
		t.Error("a write with a cancelled context succeeded")
	}
	wantMissing(t, s, "cancelled")
}

func notFound(t *testing.T, s blob.Store) {
	wantMissing(t, s, "none")
	mustPut(t, s, "dir/sub/file", "x")
	wantMissing(t, s, "dir/sub")
	wantMissing(t, s, "dir/sub/none")
}

func oneWinner(t *testing.T, s blob.Store) {
	const writers = 16
	var mu sync.Mutex
	var winners []string
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			text := strings.Repeat(fmt.Sprintf("%02d", i), 5000)
			created, err := s.PutIfAbsent(t.Context(), "race", strings.NewReader(text), int64(len(text)))
			if err != nil {
				t.Errorf("writer %d: %v", i, err)
			}
			if created {
				mu.Lock()
				winners = append(winners, text)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(winners) != 1 {
		t.Fatalf("%d of %d writers were told that they made the object", len(winners), writers)
	}
	wantContent(t, s, "race", winners[0])
}

// allOrNothing looks while a write is half done.
func allOrNothing(t *testing.T, s blob.Store) {
	data := string(noise(1 << 20))
	body := &halfway{r: strings.NewReader(data), half: len(data) / 2, look: func() { wantMissing(t, s, "slow") }}
	if created, err := s.PutIfAbsent(t.Context(), "slow", body, int64(len(data))); !created || err != nil {
		t.Fatalf("created %t, error %v", created, err)
	}
	wantContent(t, s, "slow", data)
	for o, err := range s.List(t.Context(), "") {
		if err != nil || o.Key != "slow" {
			t.Errorf("left behind: %q, error %v", o.Key, err)
		}
	}
}

func list(t *testing.T, s blob.Store) {
	all := []string{"a-b", "a.b", "a/x", "a/y/z", "a0", "b/c", "b/cd/e", "bb"}
	for i := len(all) - 1; i >= 0; i-- {
		mustPut(t, s, all[i], all[i])
	}
	for prefix, want := range map[string][]string{
		"": all, "a": all[:5], "a/": all[2:4], "a/y": all[3:4], "b/c": all[5:7], "b/cd/": all[6:7], "none/": nil, "zz": nil,
	} {
		var got []string
		for o, err := range s.List(t.Context(), prefix) {
			if err != nil {
				t.Fatalf("list %q: %v", prefix, err)
			}
			if o.Size != int64(len(o.Key)) || o.Modified.IsZero() {
				t.Errorf("list %q: %+v, want size %d and a time", prefix, o, len(o.Key))
			}
			got = append(got, o.Key)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("list %q (-want +got):\n%s", prefix, diff)
		}
	}
}

func listEndsEarly(t *testing.T, s blob.Store) {
	for _, key := range []string{"d/1", "d/2", "d/3", "e"} {
		mustPut(t, s, key, "x")
	}
	n := 0
	for _, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("%d objects seen, want 2", n)
	}
}

func deleted(t *testing.T, s blob.Store) {
	mustPut(t, s, "d/e", "old")
	for range 2 {
		if err := s.Delete(t.Context(), "d/e"); err != nil {
			t.Error(err)
		}
		wantMissing(t, s, "d/e")
	}
	mustPut(t, s, "d/e", "new")
	wantContent(t, s, "d/e", "new")
}

func stat(t *testing.T, s blob.Store) {
	mustPut(t, s, "stat/file", "four")
	got, err := s.Stat(t.Context(), "stat/file")
	if err != nil || got.Key != "stat/file" || got.Size != 4 || time.Since(got.Modified).Abs() > blob.Fresh {
		t.Errorf("%+v, %v", got, err)
	}
	for _, key := range []string{"stat", "stat/none", "../x"} {
		if _, err := s.Stat(t.Context(), key); err == nil || key != "../x" && !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("%s: error %v", key, err)
		}
	}
}

func uri(t *testing.T, s blob.Store) {
	for _, key := range []string{"a", "a/b=c/d_e-f.g"} {
		got, err := s.Key(s.URI(key))
		if err != nil || got != key {
			t.Errorf("URI %s became key %q, error %v", s.URI(key), got, err)
		}
	}
	for _, foreign := range []string{"", "a", "s3://", "s3://another/a", "file:///elsewhere/a", "https://host/a", s.URI(""), s.URI("../a")} {
		if key, err := s.Key(foreign); err == nil {
			t.Errorf("URI %q of another store became key %q", foreign, key)
		}
	}
}

// BadKeys are keys that every store refuses.
var BadKeys = []string{
	"", ".", "..", "/", "/a", "a/", "a//b", "../a", "a/../b", "a/..", "./a", "a/.b", ".partial/a", `a\b`, "a b", "a\x00b", "a\nb",
	"ä", "a%2e", "C:", strings.Repeat("a", 300), strings.Repeat("a/", 600) + "a",
}

func badKeys(t *testing.T, s blob.Store) {
	for _, key := range BadKeys {
		if _, err := s.PutIfAbsent(t.Context(), key, strings.NewReader("x"), 1); err == nil {
			t.Errorf("PutIfAbsent took the key %q", key)
		}
		if _, err := s.Get(t.Context(), key); err == nil || errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Get of %q: error %v", key, err)
		}
		if err := s.Delete(t.Context(), key); err == nil {
			t.Errorf("Delete took the key %q", key)
		}
	}
	for _, err := range s.List(t.Context(), "../") {
		if err == nil {
			t.Error("List took the prefix ../")
		}
	}
}

func content(t *testing.T, s blob.Store) {
	data := []byte("hello")
	first, err := blob.PutContent(t.Context(), s, "claims/run", "pb", data)
	if err != nil {
		t.Fatal(err)
	}
	const sha = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
	want := blob.Ref{URI: s.URI("claims/run/" + sha + ".pb"), Key: "claims/run/" + sha + ".pb", SHA256: sha, Size: 5}
	if first != want {
		t.Errorf("got %+v, want %+v", first, want)
	}
	if again, err := blob.PutContent(t.Context(), s, "claims/run", "pb", data); err != nil || again != want {
		t.Errorf("again: got %+v, error %v", again, err)
	}
	if got, err := blob.Verified(t.Context(), s, want.Key, sha); err != nil || !bytes.Equal(got, data) {
		t.Errorf("verified: got %q, error %v", got, err)
	}
	if _, err := blob.Verified(t.Context(), s, want.Key, strings.Repeat("0", 64)); err == nil {
		t.Error("a wrong hash was not noticed")
	}
	if _, err := blob.ReadAll(t.Context(), s, want.Key, 4); err == nil {
		t.Error("5 bytes were read where 4 are allowed")
	}
}

func mustPut(t *testing.T, s blob.Store, key, text string) {
	t.Helper()
	if created, err := s.PutIfAbsent(t.Context(), key, strings.NewReader(text), int64(len(text))); err != nil || !created {
		t.Fatalf("write %s: created %t, error %v", key, created, err)
	}
}

func wantContent(t *testing.T, s blob.Store, key, want string) {
	t.Helper()
	got, err := blob.ReadAll(t.Context(), s, key, 1<<30)
	if err != nil || string(got) != want {
		t.Errorf("read %s: %.40q (%d bytes), error %v; want %.40q", key, got, len(got), err, want)
	}
}

func wantMissing(t *testing.T, s blob.Store, key string) {
	t.Helper()
	body, err := s.Get(t.Context(), key)
	if err == nil {
		err = body.Close()
	}
	if !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("get %s: error %v, want ErrNotFound", key, err)
	}
}

func noise(size int) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data) // never fails
	return data
}

// halfway is a body that calls look once, when half of it has been read.
type halfway struct {
	r    io.Reader
	half int
	look func()
}

func (h *halfway) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	if h.half -= n; h.half <= 0 && h.look != nil {
		h.look()
		h.look = nil
	}
	return n, err
}
