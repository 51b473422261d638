package bridge

import "testing"

func TestHeldOutCheck(t *testing.T) {
	t.Parallel()
	h := &heldOut{exact: map[string]bool{}, words: map[string]bool{}, fewer: map[string]bool{}}
	h.add("Who was president of the United States in the year that Citibank was founded?")
	h.add("Who wrote Hamlet?")
	tests := []struct{ name, question, want string }{
		{"same", "Who was president of the United States in the year that Citibank was founded?", droppedExact},
		{"case and punctuation", "who was President of the United States, in the year that CITIBANK was founded", droppedExact},
		{"function words", "Who was the president of United States in the year Citibank was founded?", droppedNear},
		{"order", "In the year that Citibank was founded, who was president of the United States?", droppedNear},
		{"a word more", "Who was first president of the United States in the year that Citibank was founded?", droppedNear},
		{"a word less", "Who was president of the States in the year that Citibank was founded?", droppedNear},
		{"another entity", "Who was president of the United States in the year that Microsoft was founded?", ""},
		{"another question word", "When was president of the United States in the year that Citibank was founded?", ""},
		{"short, a word more", "Who really wrote Hamlet?", ""},
		{"short, function words", "Who was the one who did Hamlet?", ""},
		{"short, same", "Who wrote 'Hamlet'?", droppedExact},
		{"unrelated", "What is the highest mountain of Wales?", ""},
		{"empty", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := h.check(test.question); got != test.want {
				t.Errorf("check(%q) = %q, want %q", test.question, got, test.want)
			}
		})
	}
}
