// Package trial runs the loop of ReST meets ReAct in one process, without bus, blob store or servers: the same agent,
// the same ranking prompt and the same trainer as a real run, to measure what pocket learns in a minute.
//
// It measures two arms from the same generation 0: with the judge, each target is the judge's first choice; without,
// the sample of lowest perplexity. What the judge adds is the difference.
package trial
