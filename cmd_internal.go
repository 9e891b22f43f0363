package main

import "github.com/pgbaton/pgbaton/entrypoint"

// internals are the commands that pgbaton and the image's scripts call. They
// are no part of the command tree, and nobody is told to type them.
var internals = map[string]func(args []string) int{
	"entrypoint": initProcess,
	"supervise":  func(args []string) int { return entrypoint.Supervise(args, version) },
	"run":        entrypoint.RunCommand, // a command that is no server, under init
	"docker":     entrypoint.Docker,     // the functions of docker-entrypoint.sh
	"relay":      entrypoint.Relay,      // keeps the last words of a postgres that did not start
	"signal":     entrypoint.SignalAs,   // a signal with the uid of its target
}

// initProcess is PID 1 (or a subreaper).
func initProcess(args []string) int { return entrypoint.Init(args) }
