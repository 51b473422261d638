// Package blob keeps what is too large for the bus: mixtures, checkpoints, question sets, large events.
//
// Promise: an object is written once. PutIfAbsent either makes the whole object or leaves what is there, and a
// reader sees all of an object or none of it. Once PutIfAbsent has returned, the object outlives a crash.
//
// Two stores keep it: a directory (Open with file://) and any S3-compatible server (s3://). Both pass
// blobtest.Run, and blobtest is the place to read what a caller may rely on.
//
// Failure handling: every request has a deadline, config.Blob.Timeout; for a body it bounds each wait, so that a
// large object may take its time and a dead server is noticed. S3's writes are one PUT with If-None-Match, repeated
// by the client library; when the reply was lost and the repetition is told 412, the object's metadata tells that
// this very call wrote it. A writer that dies in between starts again: under a content-addressed key (PutContent) it
// finds its own bytes, which is success; under any other key it is told created == false and compares.
// Damage is noticed by whoever reads with Verified.
package blob
