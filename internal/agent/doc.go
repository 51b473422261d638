// Package agent is the search agent of "ReST meets ReAct" (arXiv 2312.10003, section 2): a state machine of five
// kinds of LLM calls, the grammar that its prompts and outputs are written in, and the controller that keeps it
// within its limits. It is pure: no network, no files, no clock but for deadlines. The model and the tool are passed in.
//
//	question -> DECISION --Search--> tool -> SUMMARIZATION --+
//	              ^ |                                        |
//	              +-|----------------------------------------+
//	                +-Terminate-> ANSWER (draft) -> RELEVANCE -> GROUNDING -> answer
//
// A run may give the agent tools beside the search: a form in the action grammar (tool.go) and a [Tool] that answers. What
// it answers is summarized, linked and counted as search results are. Without them prompts are what they always were.
//
// # Promise
//
// A prompt is a function of the state, and the state of the steps before: given a trajectory, every prompt can be
// rendered again, to the byte ([Verify]). Step does one LLM call and changes nothing; Apply advances the state by a
// finished step. So a trajectory can be stopped between any two steps and continued by somebody else.
//
// The controller, not the model, enforces the budget of searches, the number of results, link ids that grow and stay
// unique, that only selected links are kept, and that both self-checks happen once and in order.
//
// # Failure
//
// A [Failure] is the policy's own: its output could not be read even after resampling, its context overflowed, its
// budget is spent. Every other error is the infrastructure's and says nothing about the policy: try again.
//
// Model output is parsed, never executed.
package agent
