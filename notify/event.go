package notify

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Instance is the name of the VRRP instance in a configuration that Render
// makes; an event of any other instance is nothing to us.
const Instance = "pg"

// What keepalived says events of (vrrp_notify.c).
const (
	TypeInstance = "INSTANCE"
	TypeGroup    = "GROUP"
)

// The states of a VRRP instance in keepalived's words.
const (
	VRRPMaster  = "MASTER"
	VRRPBackup  = "BACKUP"
	VRRPFault   = "FAULT"
	VRRPStop    = "STOP"    // keepalived ends, or has ended
	VRRPDeleted = "DELETED" // a reload no longer has the instance
)

// What keepalived reports beside states.
const (
	LowerPriority  = "MASTER_RX_LOWER_PRI" // a MASTER heard another one, of lower priority
	MasterPriority = "MASTER_PRIORITY"     // the priority of a MASTER changed
	BackupPriority = "BACKUP_PRIORITY"     // the priority of a BACKUP changed
)

// vrrpWords is all that may stand where a state stands.
var vrrpWords = []string{
	VRRPMaster, VRRPBackup, VRRPFault, VRRPStop, VRRPDeleted,
	LowerPriority, MasterPriority, BackupPriority,
}

// Event is one line of keepalived's notify FIFO or one call of a notify script.
type Event struct {
	Type     string // TypeInstance or TypeGroup
	Name     string // of the instance or group
	State    string // one of keepalived's words above
	Priority int    // effective, 0 to 255; 0 for a group
}

// IsState reports whether the event says in which state the instance now is,
// and not only that something else about it changed.
func (e Event) IsState() bool {
	return e.State != LowerPriority && e.State != MasterPriority && e.State != BackupPriority
}

// Own reports whether the event is about the instance that Render makes.
func (e Event) Own() bool { return e.Type == TypeInstance && e.Name == Instance }

// String is the line that keepalived would write.
func (e Event) String() string {
	return fmt.Sprintf("%s %q %s %d", e.Type, e.Name, e.State, e.Priority)
}

// ParseEvent reads a line of the notify FIFO, without or with its newline:
//
//	INSTANCE "pg" MASTER 241
//
// A line that was cut off, or that is anything else, is an error and no state.
func ParseEvent(line string) (Event, error) {
	line = strings.TrimSuffix(line, "\n")
	kind, rest, ok := strings.Cut(line, ` "`)
	if !ok {
		return Event{}, unreadable(line, "it has no name in quotes")
	}
	name, rest, ok := strings.Cut(rest, `" `)
	if !ok {
		return Event{}, unreadable(line, "its name does not end")
	}
	state, priority, ok := strings.Cut(rest, " ")
	if !ok {
		return Event{}, unreadable(line, "it has no priority")
	}
	e, err := parseEvent(kind, name, state, priority)
	if err != nil {
		return Event{}, unreadable(line, err.Error())
	}
	return e, nil
}

// ParseHook reads the arguments that keepalived appends to those of a notify
// script: TYPE NAME STATE PRIORITY.
func ParseHook(args []string) (Event, error) {
	if len(args) != 4 {
		return Event{}, fmt.Errorf("keepalived gives a notify script TYPE NAME STATE PRIORITY, and here are %d arguments", len(args))
	}
	e, err := parseEvent(args[0], args[1], args[2], args[3])
	if err != nil {
		return Event{}, fmt.Errorf("keepalived's arguments are not understood: %w", err)
	}
	return e, nil
}

func parseEvent(kind, name, state, priority string) (Event, error) {
	if kind != TypeInstance && kind != TypeGroup {
		return Event{}, fmt.Errorf("%.40q is neither %s nor %s", kind, TypeInstance, TypeGroup)
	}
	if name == "" || len(name) > 255 || strings.ContainsAny(name, "\"\n\x00") {
		return Event{}, fmt.Errorf("%.40q is no name of an instance", name)
	}
	if !slices.Contains(vrrpWords, state) {
		return Event{}, fmt.Errorf("%.40q is no state of keepalived", state)
	}
	n, err := strconv.Atoi(priority)
	if err != nil || n < 0 || n > 255 || strconv.Itoa(n) != priority {
		return Event{}, fmt.Errorf("%.40q is no priority from 0 to 255", priority)
	}
	return Event{Type: kind, Name: name, State: state, Priority: n}, nil
}

func unreadable(line, why string) error {
	return fmt.Errorf("keepalived's line %.80q is not understood: %s; it is ignored", line, why)
}
