// Package judge is AI feedback as text: the prompts that ask a model to rank the candidates of a step and to judge an
// answer, the parsers of what it says, and the rule-based scores beside it. No I/O: who asks the model is the role.
//
// Ranking is zero-shot (arXiv 2312.10003, listing 8): the instructions, what the model could see, the outputs in numbered
// slots, and an answer of three lines. Judging is a five-shot code prompt (listing 7): does ANSWER imply REF_ANSWER? The
// judge sees no snippet and no trajectory. The exemplars are ours.
//
// An answer that cannot be read is an error; what then is the caller's decision.
package judge
