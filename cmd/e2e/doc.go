// Package e2e tests the nusku program as its users have it: the real binary, started as a process of its own on a free
// port of the loopback interface, with an embedded PostgreSQL that is as durable as any other. It holds tests only.
//
// The binary is built once (with the race detector if the tests have it), or taken from NUSKU_E2E_BINARY. Tests that
// harm nothing share a gateway; those that kill or freeze something start their own. Processes are killed by their
// number, which the test knows because it started them or their parent did.
package e2e
