// Package pid1test holds tests only: what pgbaton promises as PID 1 of a
// container, shown on real containers with real PostgreSQL.
package pid1test
