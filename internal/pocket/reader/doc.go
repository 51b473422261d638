// Package reader is pocket-judge: rules, no model. It reads the text of a prompt that asks to rank an agent's outputs,
// or to say whether an answer states a reference, and answers in the form asked for, with its reasons.
//
// It is given the prompt and nothing else: no world, no gold answer that is not in the prompt, no state of the agent.
// It understands the language of pocket's worlds (package lang), so within one it is a near-perfect reader; outside it
// is of no use, and to any other prompt it says so.
//
// Ranking. The question names two hops; the selected snippets say which are known; the need is the first hop that is
// not. An output scores by what it does for the need:
//
//	decision       Search: the needed entity in the query 2, the relation's cue 1, the right thought 1, a query
//	               made before -3. Nothing missing, or no search left: Terminate 4
//	summarization  exactly the link that states the need 3, a summary that tells its fact 2; no such link: none 3
//	answer         the value of the second hop 3, its link cited 1; not known: "unknown" 2
//	checks         passed if and only if the answer is the known value, else revised to it, 3
//
// An output that cannot be read, or has an empty element, goes last. Equal scores keep the order of the slots.
package reader
