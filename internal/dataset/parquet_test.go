package dataset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/ratchet-rl/ratchet/internal/config"
)

// searchR1 is a row of Search-R1's Parquet files.
type searchR1 struct {
	DataSource string `parquet:"data_source"`
	Prompt     []struct {
		Role    string `parquet:"role"`
		Content string `parquet:"content"`
	} `parquet:"prompt,list"`
	RewardModel struct {
		GroundTruth struct {
			Target []string `parquet:"target,list"`
		} `parquet:"ground_truth"`
	} `parquet:"reward_model"`
	ExtraInfo struct {
		Index int64 `parquet:"index"`
	} `parquet:"extra_info"`
}

func parquetFile[T any](t testing.TB, rows []T) string {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[T](&b)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestParquet(t *testing.T) {
	t.Parallel()
	var rows []searchR1
	for i := range 300 { // more than one read's worth
		var r searchR1
		r.Prompt = append(r.Prompt, struct {
			Role    string `parquet:"role"`
			Content string `parquet:"content"`
		}{"user", fmt.Sprintf("Answer it. Question: number %d?\n", i)})
		r.RewardModel.GroundTruth.Target = []string{"a", fmt.Sprint(i)}
		rows = append(rows, r)
	}
	content := parquetFile(t, rows)
	for name, content := range map[string]string{"plain": content, "gzipped": gzipped(t, content)} {
		questions, gold, _, err := loadEvaluation(t.Context(), memory(content), config.Source{Name: "sr", Path: "train.parquet"})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(questions) != 300 || questions[299].Text != "number 299?" || questions[299].ID != "sr_299" {
			t.Errorf("%s: %d questions, the last is %+v", name, len(questions), questions[len(questions)-1])
		}
		if want := []string{"a", "299"}; !reflect.DeepEqual(gold[299].Answers, want) {
			t.Errorf("%s: gold %q, want %q", name, gold[299].Answers, want)
		}
	}
}

func TestParquetFlat(t *testing.T) {
	t.Parallel()
	type flat struct {
		ID       int32    `parquet:"id"`
		Question *string  `parquet:"question,optional"`
		Answers  []string `parquet:"golden_answers,list"`
		Score    float64  `parquet:"score"`
	}
	text := "who?"
	content := parquetFile(t, []flat{{ID: 7, Question: &text, Answers: []string{"x"}}, {ID: 8}})
	questions, gold, warnings, err := loadEvaluation(t.Context(), memory(content), config.Source{Path: "p.parquet"})
	if want := []Question{{"p-7", "7", "who?"}}; err != nil || !reflect.DeepEqual(questions, want) {
		t.Errorf("got %+v, error %v; want %+v", questions, err, want)
	}
	if want := []Gold{{"p-7", []string{"x"}}}; !reflect.DeepEqual(gold, want) {
		t.Errorf("got %+v, want %+v; warnings %v", gold, want, warnings)
	}
}

// A damaged file is an error at whatever byte it is damaged, not a panic.
func TestParquetDamaged(t *testing.T) {
	t.Parallel()
	content := parquetFile(t, []searchR1{{DataSource: "nq"}})
	for i := 4; i < len(content); i += 3 {
		damaged := []byte(content)
		damaged[i] ^= 0xff
		loadPool(t.Context(), memory(string(damaged)), config.Source{Path: "p.parquet"})
		loadPool(t.Context(), memory(content[:i]), config.Source{Path: "p.parquet"})
	}
}

// A file that lies about its metadata is refused before room is made for it.
func TestParquetLies(t *testing.T) {
	t.Parallel()
	content := []byte(parquetFile(t, []searchR1{{DataSource: "nq"}}))
	binary.LittleEndian.PutUint32(content[len(content)-8:], 1<<32-1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := loadPool(t.Context(), memory(string(content)), config.Source{Path: "p.parquet"})
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "4294967295 bytes of metadata") || after.TotalAlloc-before.TotalAlloc > 1<<30 {
		t.Errorf("%v, after taking %d bytes", err, after.TotalAlloc-before.TotalAlloc)
	}
}
