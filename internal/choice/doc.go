// Package choice is what there is to rank in a step, the same for a model, a rule and a person: the distinct outputs that
// can be read, what the model could see when it wrote them, an order to show them in, and the one rule above every ranker:
// an output with an empty element never stands before one without.
package choice
