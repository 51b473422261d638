// Package kube has jobs and servers run in a Kubernetes cluster.
//
// # Promise
//
// A job and a server are known by their name and a hash of all that makes them what they are. Asking for one that is
// there starts no second: the name is the lock, and an object of the same name with another hash is somebody else's and
// is left alone. What the cluster does goes on while the bridge is away; the next bridge finds it.
//
// Files go by one volume that the bridge and the pods mount at the same path, so that a program is started with the same
// words as on the bridge's own machine.
//
// # Failure
//
//   - A pod that is evicted or preempted is replaced and counts as no attempt; one that fails is replaced attempts-1 times.
//     No pod is started before the one it replaces has ended: both would write to the same folder.
//   - A job that failed for good stays, so that its pods can be looked at, and says so once: asked for again, after the
//     run was resumed, it is deleted and made anew.
//   - A job that somebody deletes while it runs is made anew.
//   - The API server away: the caller is told, and asks again.
package kube
