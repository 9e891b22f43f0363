// Package testbed runs real PostgreSQL in real containers for tests, for
// `make demo` and for `make bench`: containers, volumes (ones that can lose
// power too), processes seen and killed from the host, clusters on networks
// whose links can be cut, lossy, narrow or far, a probe of the VIP, and a load
// whose acknowledged commits are audited afterwards.
//
// It talks to the Docker engine over its socket, so that an operation costs
// milliseconds rather than the start of a program. Everything it makes is
// named pgbaton-…, carries Label, and is removed at the end of the test or
// program that made it; Sweep removes what a killed run left and spares those
// that still run.
//
// Functions that take a TB end the test on an error, as t.Fatal does.
// Loads and audits return their errors, since they run beside the test.
//
// The package is not part of the product: nothing but tests and programs
// below it may import it.
package testbed
