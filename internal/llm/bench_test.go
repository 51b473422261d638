package llm_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// BenchmarkComplete calls a server without latency: 4 choices of 150 tokens with log-probabilities, 17 KB. The figures
// hold the server's side too.
func BenchmarkComplete(b *testing.B) {
	var logprobs, choices []string
	for i := range 150 {
		logprobs = append(logprobs, fmt.Sprintf("-0.%04d", i))
	}
	for i := range 4 {
		choices = append(choices, fmt.Sprintf(`{"index":%d,"text":%q,"finish_reason":"stop","logprobs":{"tokens":[%s],"token_logprobs":[%s]}}`,
			i, strings.Repeat("word ", 150), `"word"`+strings.Repeat(`,"word"`, 149), strings.Join(logprobs, ",")))
	}
	s := serve(b, say(http.StatusOK, `{"choices":[`+strings.Join(choices, ",")+`],"usage":{"prompt_tokens":900,"completion_tokens":600}}`))
	c := newClient(b, settings())
	r := request(s.endpoint(), 4)
	r.Prompt = strings.Repeat("ResultItem(link_text='..', snippet='..')\n", 100)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Complete(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}
