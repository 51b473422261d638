// Package openai has a model fine-tuned by OpenAI's API, or one like it: upload, job, events, result.
//
// The API has no idempotency key. A job is known by its metadata: before one is made, and after a reply was lost, it is
// looked for by them. A training file is known by its name and size. One caller at a time for one name: a lock is the
// caller's affair.
//
// OpenAI closes fine-tuning to organisations that have not used it, and to all from January 2027; the package follows the
// published schema (as openai-go v3.96.0 has it) and was not tried against the real service.
package openai
