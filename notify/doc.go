// Package notify is keepalived's side of pgbaton and the roles of a cluster:
// what keepalived said (events), what a node may do (Decide, from facts), what
// nodes ask of each other (Answer), whether one may follow another (Rejoin),
// and what keepalived is told in return (track files, keepalived.conf).
//
// Nothing here touches anything: every function goes from values to values.
// keepalived's word is a hint: the only permission to open as a primary is the
// role record (node.Record).
package notify
