// Package nn is pocket's transformer in plain Go: forward, hand-written backward, training and sampling.
//
// Architecture: tied embedding; per layer RMSNorm, a causal depthwise convolution of width 3, multi-head attention
// with ALiBi's distance penalty and no other positions, a residual, RMSNorm, a ReLU MLP, a residual; no biases. The
// output is a mixture, gated per position, of a softmax over the vocabulary and of a pointer: one attention from the
// last row back over the last layer's convolved rows, whose mass goes to the tokens there. The pointer is what lets
// so small a model copy names; without it the task is not learnt (POCKET measured 2 % against 67 % right).
//
// One forward pass serves training, prefill and decoding, on rows that differ only in what lies before them. So the
// log-probability of a sample is minus the loss of learning it, to the bit.
//
// Determinism. The same inputs give the same bits for any GOMAXPROCS: a batch's gradient is computed in four fixed
// shards that are summed in order. N samples are the N single requests with the seeds that follow, though samples that
// agree so far share one computation. No kernel lets the compiler fuse a multiplication with an addition, so
// GOAMD64=v1 and v3 give the same bits too.
//
// A Model is read-only in use and safe for concurrent sampling; Train changes its model in place.
package nn
