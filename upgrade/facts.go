package upgrade

import (
	"math"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
)

// Facts are what preflight saw, beside the running old server.
type Facts struct {
	From, To   int
	Asked      node.UpgradeMode // as the user asked; empty is auto
	Rehearse   bool             // on a copy: needs room for all of it
	Trial      bool             // the schema is restored into a throw-away cluster
	NewVersion string           // of the new programs: 17.2
	Broken     []pg.Program     // programs of either major that do not work

	NoSocket bool     // the running server has no Unix socket
	NoLogin  string   // why the server does not let us in; empty where it does
	Signals  []string // standby.signal, recovery.signal
	Server   pg.Inventory

	// NewFiles tells why the new major's extensions cannot be looked for; empty
	// where they were.
	NewFiles     string
	NewICU       bool
	NoExtensions []Missing // installed ones without a control file for the new major
	NoLibraries  []Missing // of functions in C that belong to no extension
	NoPreloads   []pg.Preload
	Superuser    string // as the cluster's files have it
	Tablespaces  []Tablespace
	Unwritable   []string // directories in which the server's user cannot make files
	Mounts       []string // in the way of the switch, see MountsInTheWay
	CloneTrouble string   // why files cannot be cloned; empty where they can
	LinkTrouble  string   // why files cannot be linked; empty where they can
	Places       []Place
	GroupAccess  bool // the group may read the data directory
}

// Missing is a file that the new major lacks, and the databases that need it.
type Missing struct {
	Name      string
	Databases []string
}

// Tablespace is what the file system says about a tablespace.
type Tablespace struct {
	Name     string
	OID      uint32
	Location string   // as pg_tablespace_location gives it
	InPlace  bool     // a directory in pg_tblspc (allow_in_place_tablespaces)
	Inside   bool     // below the data directory
	Trouble  string   // why it cannot be looked at; empty where it can
	Leftover []string // PG_<new>_* directories there
}

// Use is what a place holds.
type Use string

// The uses.
const (
	UseData       Use = "the data directory"
	UseWAL        Use = "the write-ahead log"
	UseTablespace Use = "a tablespace"
)

// NoLimit is how many inodes a file system has that makes them as it needs them.
const NoLimit = math.MaxInt64

// Place is a directory that the new cluster will use, and what its file system
// has left for a user that is not root.
type Place struct {
	Use        Use
	Path       string
	Tablespace uint32 // oid; of pg_default for the data directory
	Device     uint64 // st_dev
	Free       int64  // bytes
	Inodes     int64  // NoLimit where there is none
}

// Template0 is the database whose locale a new cluster takes.
func (f *Facts) Template0() pg.Database {
	return f.database("template0")
}

func (f *Facts) database(name string) pg.Database {
	for _, d := range f.Server.Databases {
		if d.Name == name {
			return d
		}
	}
	return pg.Database{}
}

// LogicalSlots counts the logical slots that pg_upgrade carries over: from 17 on.
func (f *Facts) LogicalSlots() int {
	if f.From < 17 {
		return 0
	}
	n := 0
	for _, s := range f.Server.Slots {
		if s.Logical {
			n++
		}
	}
	return n
}

// Relations is the number of users' relations of the largest database, and of
// all databases.
func (f *Facts) Relations() (largest, all int64) {
	for _, d := range f.Server.Databases {
		largest, all = max(largest, d.Relations), all+d.Relations
	}
	return largest, all
}

// AddPlace takes the result of looking at a place.
func (f *Facts) AddPlace(p Place, err error) error {
	if err == nil {
		f.Places = append(f.Places, p)
	}
	return err
}
