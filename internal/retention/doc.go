// Package retention throws away what is no longer wanted: finished runs, by name or by age, and blobs that nobody points
// at.
//
// # Pruning a run
//
// A run that goes on is refused: it is cancelled first. What goes: its messages in every stream, its records, its folders
// in the blob store, and the large events that only its own messages point at. What stays: `<run>.pruned`, which says
// what was there; a checkpoint that another run's spec or promotion names; and questions, answers and corpora, which are
// shared by content and are collected (below) when no run has them any more.
//
// It can be killed anywhere and done again. The record is marked first, so that nobody takes what is left for the run;
// then `<run>.pruned` is written, then blobs go before the messages that name them, and the record is the last to go.
// Until then the run is found again by its name and by its age. A name stays its run's: processes remember the spec that
// they have read under it, so another spec is refused (runstate.Pruned.Allows).
//
// The bridge removes what a pruned run has left in bridge.directory: `<run>.pruned` names it.
//
// # Collecting blobs
//
// Referenced is: what a spec names; what a message in any stream claims, dead letters' payloads included; a mixture's
// manifest.json and a checkpoint's checkpoint.json, and what they name. A blob that is none of these is collected once it
// is older than the grace. That is safe beside everything that writes, because of this order: old blobs are listed first,
// then the references are read, then each blob's age is looked at once more. Who writes puts the blob first and then
// points at it, and putting again what is there makes it young (blob.Fresh); so a blob that was listed as old, is not
// pointed at, and still is old, has no writer that would point at it, unless that one takes longer than the grace, or
// puts it again between that look and the deletion, which are two requests; `ratchet submit`, the only one that puts
// again what may be old and nobody's, looks after the run is submitted whether it is still there.
// The folders of a run that is not finished are left alone altogether, and all large events while an import is under way.
// Folders that are not ours are not looked at.
package retention
