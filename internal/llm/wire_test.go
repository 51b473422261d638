package llm

import (
	"math"
	"testing"
)

// FuzzDecode: whatever a server replies is a response with choices or an error, and no log-probability is made up.
func FuzzDecode(f *testing.F) {
	for _, body := range []string{
		`{"choices":[{"text":"a","finish_reason":"stop","logprobs":{"token_logprobs":[null,-1]}}],"usage":{"completion_tokens":2}}`,
		`{"choices":[{"message":{"content":null},"logprobs":{"content":[{"logprob":null}]}}]}`,
		`{"choices":[{"index":1},{"index":0,"logprobs":{"token_logprobs":[1e999]}}]}`,
		`{"error":{"message":"x"}}`, `<html>`, `null`, `[]`, ``,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		out, err := decode(body, []string{"# [END]"})
		if (err == nil) != (len(out.Choices) > 0) {
			t.Fatalf("%d choices, %v", len(out.Choices), err)
		}
		for _, c := range out.Choices {
			if math.IsNaN(c.MeanLogprob) || math.IsInf(c.MeanLogprob, 0) || !c.HasLogprob && c.MeanLogprob != 0 {
				t.Fatalf("%+v", c)
			}
		}
	})
}
