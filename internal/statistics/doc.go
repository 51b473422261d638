// Package statistics has the few statistics that gonum lacks, and those that evaluation and report share: correlations,
// Cohen's kappa, a test for even picks, and intervals that know that answers to one question belong together. Pure: same
// numbers in, same numbers out; what is drawn has a fixed seed.
//
// What is undefined (a correlation of what does not vary, an interval from a single question) is said to be so, and is
// never 0.
package statistics
