// Package simulate runs the product's own rules of roles (notify.Decide,
// Answer, Rejoin, Sit and Yields, never a model of them) in a model of the
// world: nodes, disks, PostgreSQL's WAL and synchronous replication, messages,
// keepalived, crashes and operators. It holds tests only.
//
//   - wal, postgres, stream, promotion: WAL as a tree of records, data
//     directories, servers, commits, streaming, and the steps of a promotion
//     inside PostgreSQL
//   - node, facts: containers, supervisors, what these know
//   - replay: what keeps a standby from replaying
//   - replay: what keeps a standby from replaying
//   - act, copy, request, net: what each action of notify does, step by step;
//     polls, requests, keepalived
//   - world, clock, torment: the dice, the clock, what can happen
//   - check, operator: what must always hold; what an operator is told to do
//   - random, drastic: random histories; PGBATON_SOAK=1 runs many more, and
//     -rapid.seed repeats one
//   - interrupted, halfway, cases, empty, gone: histories by name
package simulate
