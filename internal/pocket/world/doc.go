// Package world makes pocket's fictional worlds: from a seed, people, companies, cities and works with the
// facts about them, told in one passage each, and two-hop questions in the manner of Bamboogle with their answers.
//
// All worlds speak one language (package lang) and differ in their facts, so a policy that knew one world by heart
// would be lost in the next. The questions are shuffled once and split for good: the first HeldOut are held out for
// evaluation, Pool of the others are to grow on. No passage mentions a question.
package world
