// Package bench loads a gateway and checks, in the same run, that it did its work right.
//
// The load generator shares its machine with what it measures, so it is made to cost little: one goroutine drives
// every connection of a run from one epoll loop (loop_linux.go); frames are encoded once and only their numbers are
// patched (template.go); a zero mask key leaves payloads as they are (frame.go); of a reply only the status and the
// request's id are read (reply.go); many frames travel in one write. Since one goroutine does everything, nothing in
// a run is locked.
//
// A run (run.go) is: connect, prepare, measure, check. Every message carries a number, so that a message that is
// lost, doubled or out of order is seen; what is found wrong is in Result.Violations. The control requests (making
// queues ready, statistics, removal) go through package client.
//
// Absolute figures of a shared machine move by a factor of two within the hour. So a run can measure a raw reference
// (reference.go) right before and after itself, and Result has the ratio and the share of time that the hypervisor
// gave to others.
package bench
