// Package config is Ratchet's configuration as plain data: Config for the roles, Run for a self-improvement run.
// It imports nothing of ours and never holds a secret: secrets are paths of files, read by Secret.
//
// Promise: Load and ParseRun read strictly. A key that no struct has is an error that names the nearest right
// one; every problem of a file is reported at once, each with file:line, variable or flag, and what to do.
// Whatever a file leaves out or leaves empty has its default. The same text gives the same value, and a run
// without a name the same name (Run.Named).
//
// Precedence, lowest first: Default, the file, the environment (RATCHET_<SECTION>_<KEY>; lists comma separated,
// maps name=value), overrides. Sources says where each value came from.
//
// The structs' comments are the manual: ExampleConfig and ExampleRun print them beside every key.
package config
