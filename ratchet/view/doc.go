// Package view prints for people: tables, progress, trajectories, and texts of models made harmless.
//
// Promise: whatever a model, a web page or a data set said, no escape sequence, bidirectional override or
// zero-width character of it reaches the terminal; each is shown by a visible stand-in. Nothing is told by
// colour alone, and without colour nothing is lost. Views are functions of plain values, so their output is
// tested against golden files.
package view
