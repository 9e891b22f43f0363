package upgrade

import (
	"path"
	"slices"
	"strconv"

	"github.com/pgbaton/pgbaton/internal/node"
)

// versionFile makes a directory a data directory.
const versionFile = "PG_VERSION"

// Layout is what the renames of a switch are made from. All paths are relative
// to the volume.
type Layout struct {
	Old, Build, New, Kept string
	OldNames, BuildNames  []string // entries of the old data directory and of the new one
	Own                   []string // entries of the old one that are the user's and go with the new one
	Ours                  []string // entries of the old one that are pgbaton's and stay
}

// MakeMoves lists the renames that put the new cluster in the old one's place.
// Where both have one directory (the mount is PGDATA, or the user named it)
// the entries are moved, PG_VERSION out first and in last, so that nobody
// takes a mixture for a cluster.
func MakeMoves(l Layout) []Move {
	if l.Old != l.New {
		moves := []Move{{From: l.Old, To: l.Kept, Sync: true}}
		for _, name := range l.Own {
			moves = append(moves, Move{From: path.Join(l.Kept, name), To: path.Join(l.Build, name)})
		}
		moves[len(moves)-1].Sync = true // the user's files are in the new cluster before it has its name
		return append(moves, Move{From: l.Build, To: l.New, Sync: true})
	}
	moves := []Move{{From: path.Join(l.Old, versionFile), To: path.Join(l.Kept, versionFile), Sync: true}}
	for _, name := range l.OldNames {
		if name != versionFile && !slices.Contains(l.Own, name) && !slices.Contains(l.Ours, name) {
			moves = append(moves, Move{From: path.Join(l.Old, name), To: path.Join(l.Kept, name)})
		}
	}
	// A loss of power never mixes the two halves.
	moves[len(moves)-1].Sync = true
	half := len(moves)
	for _, name := range l.BuildNames {
		if name != versionFile {
			moves = append(moves, Move{From: path.Join(l.Build, name), To: path.Join(l.New, name), Sync: len(moves) == half})
		}
	}
	moves[len(moves)-1].Sync = true
	return append(moves, Move{From: path.Join(l.Build, versionFile), To: path.Join(l.New, versionFile), Sync: true})
}

// NewPGData is where the new cluster will lie. A directory of the image's
// layout (…/15/docker) gives way to that of the new major, unless the user
// named it: the next start looks where the user says.
func NewPGData(old string, from, to int, named bool) string {
	parent := path.Dir(old)
	if named || path.Base(old) != "docker" || path.Base(parent) != strconv.Itoa(from) {
		return old
	}
	return path.Join(path.Dir(parent), strconv.Itoa(to), "docker")
}

// NewWAL is where the new cluster's WAL lies when the old one's lies outside
// PGDATA: beside it, on the same file system. It is empty where pg_wal is no link.
func NewWAL(old string, from, to int) string {
	switch {
	case old == "":
		return ""
	case path.Base(old) == strconv.Itoa(from):
		return path.Join(path.Dir(old), strconv.Itoa(to))
	default:
		return path.Join(old, strconv.Itoa(to))
	}
}

// WayBackText says which way back an upgrade in a mode would leave.
func WayBackText(mode node.UpgradeMode) string {
	switch mode {
	case node.ModeLink:
		return "none but a restore, once the new server has started: in mode link both clusters share their files. " +
			"`--mode copy` keeps the old one whole, for the room and the time of a copy"
	case node.ModeClone, node.ModeCopy:
		return "`pgbaton upgrade undo`, until the old cluster is removed: it stays whole in mode " + string(mode)
	}
	return ""
}

// LossText says which way back the removal of old clusters takes, for the end of
// a sentence; empty where they are none any more.
func LossText(kept []node.Kept) string {
	if slices.ContainsFunc(kept, func(k node.Kept) bool { return k.Mode != node.ModeLink }) {
		return ", and with it the way back"
	}
	return ""
}

// UndoText says whether there is a way back, and what it loses.
func UndoText(j Journal) string {
	switch {
	case j.Outcome == node.UpgradeFinished:
		return "no way back: the old cluster was removed"
	case j.Linked():
		return "no way back without a restore: the old cluster shares its files with the new one (mode link), which has changed them"
	default:
		return "`pgbaton upgrade undo` serves the old cluster again; every write since the upgrade stays behind, in a directory of its own"
	}
}

// Reminders are what a new cluster changes for others.
func Reminders(j Journal) []string {
	return []string{
		"take a new base backup: the old ones, and their WAL, belong to the old cluster only",
		"the system identifier is new and the timeline begins at 1 again: give the WAL archive of the new cluster a place of its own",
		"standbys of the old cluster cannot follow the new one: make them again",
	}
}
