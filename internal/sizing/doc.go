// Package sizing tells before a run starts what it will put on the bus, and whether that fits.
//
// Promise: every message that a run may write to a stream that keeps it is counted: all generations, all repetitions.
// A run that is refused would have stopped in the middle, with the store full. What a message takes is an estimate: the
// average of the messages that are there, once there are enough of them, else what was measured (docs/operations.md).
// What lies in the blob store (mixtures, checkpoints, events over 256 KiB) is not counted.
package sizing
