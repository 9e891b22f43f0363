// Package pg knows PostgreSQL: where its programs are, what its files say
// without a server, how to read its settings, and how to talk SQL to it over
// the Unix socket. It is the only user of PostgreSQL's programs and of lib/pq.
// It decides nothing: who may start, stop or promote is decided elsewhere.
//
// Files of a data directory belong to postgres's uid, so whoever has that uid
// can plant links, pipes and garbage there. Readers here open without
// following a link, accept regular files up to a limit only, and never panic.
package pg
