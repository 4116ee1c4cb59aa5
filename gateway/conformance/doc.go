// Package conformance holds tests of the gateway's handlers over real sessions and a real database: the recorded
// sessions of protocol/testdata, and what they do not show. It has no code of its own, because package gateway must not
// import the store.
package conformance
