// Package llm is a thin client of OpenAI-compatible servers: vLLM, SGLang, llama.cpp, Ollama, hosted ones.
//
// # Promise
//
// Complete returns as many choices as were asked for, whether or not the server honours `n`: what is missing is asked
// for one by one, with the seeds that the missing choices would have had. A choice has a mean log-probability where
// the server gives any, in either of its two shapes on either route, and none where it does not. A text ends with the
// stop marker where the model wrote it, although servers remove it. What was paid for is counted.
//
// Only fields of the OpenAI interface are sent, except to servers that are known to sample by defaults of their own
// (llama.cpp, vLLM, SGLang: see dialect); these are told to leave the distribution alone.
//
// Of several endpoints behind one policy a call goes to the one that has its prefix, within a fair share, and elsewhere
// when that fails; what has arrived is not asked for again. A prompt that is known not to fit is not sent. Probe finds
// out what a server honours.
//
// # Failure
//
// What may pass is tried again, with growing delays or at the server's Retry-After, within llm.tries and llm.wait:
// refused, timed out, 429, 5xx, an unknown model (a checkpoint may be loading), a reply that is none. What is left is
// an [Error], the infrastructure's failure and never an answer. A prompt that does not fit is ErrContextOverflow, the
// policy's own; a completion over llm.max_reply is ErrTooLong, which its caller judges: nothing of it is kept.
//
// What an endpoint says of its rate, by headers or refusals, is kept to: calls wait for their turn here, or go elsewhere.
//
// After llm.open_after failures in a row the endpoint's circuit opens: Ready blocks until a probe succeeds, so that
// workers stop pulling instead of burning attempts. Calls in flight go on, because they must end somehow. One of several
// gets no calls meanwhile, and is asked beside them whether it is well again.
package llm
