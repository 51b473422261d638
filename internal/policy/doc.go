// Package policy makes policies of settings and checkpoints, and names them.
//
// Promise: a policy's name is a readable stem of its model and a hash of everything else in it, so the same
// settings have the same name in every process, and two policies that could answer differently never share one.
// A policy is never changed: WithCheckpoint makes a new one.
package policy
