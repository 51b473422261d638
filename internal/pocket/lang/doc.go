// Package lang is the small English of pocket's fictional worlds: its names, its relations, and the wordings in
// which a fact is told and a question is asked. It knows the language and no fact: a world (package world) is a
// choice of names and facts, and whoever reads texts (the demonstrator, the rule-based judge) reads them with
// the patterns of this package alone.
//
// Every wording of a relation contains the relation's cue word, so the query "<entity> <cue>" finds it.
package lang
