// Package e2e holds the tests of the whole system: the built programs as processes, real servers, and a model whose
// answers are a function of the request, so that two courses of one run can be compared byte by byte.
//
// They say of the running system what the documentation promises: a kill -9 anywhere changes nothing of the outcome
// and repeats only calls in flight, processes apart give what `ratchet up` gives, and an interrupt is orderly.
// They take minutes; `go test -short` leaves them out.
//
// Chaos is the same for every other fault: a cast of processes (cast_test.go) suffers faults (fault_test.go) in an
// ordeal (ordeal_test.go), which is judged from outside, by the model server and the run's record; `make chaos`.
package e2e
