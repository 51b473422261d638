// Package demo makes the demonstrations that pocket's base models are taught by: a teacher who knows the method and
// the language, and has bad habits, runs the real agent in worlds of its own.
//
// The teacher is an agent.Model: it reads the prompt that the agent renders, as a policy must, and writes an action in
// the agent's grammar. Nothing else passes between the two, so a base learns exactly what it will be asked. Its habits
// (Sloppiness) are what self-improvement has to get rid of; the teacher never sees the world of an evaluation.
package demo
