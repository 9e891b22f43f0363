// Package entrypoint is the container's PID 1 and the supervisor below it.
//
// Init reaps and proxies signals and holds no logic. The supervisor observes,
// decides (decide.go, a pure function with one sentence for each row) and acts;
// everything that can block runs as a job beside its loop and reports back as
// an event. The supervisor may die at any moment: Init keeps what the next one
// needs (the volume's lock and a note, see link.go) and postgres runs on.
package entrypoint
