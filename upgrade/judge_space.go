package upgrade

import (
	"slices"

	"github.com/pgbaton/pgbaton/internal/node"
)

// What a new cluster takes besides the catalogs of its databases, in bytes and
// inodes. Measured with 15, 17 and 18: base of an empty cluster has 22 to 23 MB,
// the whole 967 to 971 files, a database 298 to 300 of them and 7.5 MB of
// catalogs. Not measured but assumed: that a restored catalog takes half as much
// again, a dump half of it, and its WAL twice as much.
const (
	baseBytes    = 16 << 20 // shared catalogs, transaction state, logs of pg_upgrade
	baseInodes   = 300
	dbInodes     = 320
	walSegments  = 4        // made by initdb, and by pg_resetwal
	reserveBytes = 64 << 20 // is left to the old server, which goes on writing meanwhile
	dbBytes      = 8 << 20  // catalogs of a database that cannot be looked into
)

// need is what a place must have.
type need struct{ bytes, inodes int64 }

func (n *need) add(bytes, inodes int64) { n.bytes, n.inodes = n.bytes+bytes, n.inodes+inodes }

// judgeSpace compares, per file system, what the new cluster and its making
// need with what is left.
func judgeSpace(f Facts) []node.Finding {
	var res []node.Finding
	var seen []uint64
	for _, p := range f.Places {
		if slices.Contains(seen, p.Device) {
			continue
		}
		seen = append(seen, p.Device)
		var sum need
		for _, q := range f.Places {
			if q.Device == p.Device {
				n := f.needs(q)
				sum.add(n.bytes, n.inodes)
			}
		}
		sum.bytes += reserveBytes + sum.bytes/50
		if sum.bytes > p.Free {
			res = append(res, refuse("disk-space", "free some space or make the volume larger"+f.cheaper(),
				"the file system of %s (%s) has %s left for the server, and the upgrade needs about %s", p.Use, p.Path, size(p.Free), size(sum.bytes)))
		}
		if sum.inodes > p.Inodes {
			res = append(res, refuse("inodes", "remove small files from that file system, or use one with more inodes"+f.cheaper(),
				"the file system of %s (%s) has %d inodes left, and the upgrade needs about %d", p.Use, p.Path, p.Inodes, sum.inodes))
		}
	}
	return res
}

// needs is what the upgrade makes in one place.
func (f *Facts) needs(p Place) need {
	var n need
	mode, _ := ChooseMode(f.Asked, *f)
	whole := mode == node.ModeCopy
	switch p.Use {
	case UseWAL:
		n.add(f.wal(), 2*walSegments)
		return n
	case UseData:
		n.add(baseBytes, baseInodes)
		n.add(f.catalogs()/2, 10) // dumps
		if f.Trial {
			n.add(baseBytes+f.wal()+3*f.catalogs()/2, baseInodes+int64(len(f.Server.Databases))*dbInodes)
		}
		if f.Rehearse {
			n.add(f.data()+f.wal(), f.files())
		}
	}
	// A restored catalog is larger than one that has grown and was vacuumed.
	for _, d := range f.Server.Databases {
		if d.Tablespace == p.Tablespace {
			n.add(3*catalogOf(d.CatalogBytes)/2, dbInodes)
			if mode != node.ModeLink && p.Use == UseData {
				n.add(0, d.Files)
			}
		}
	}
	for _, t := range f.Server.Tablespaces {
		if whole && t.OID == p.Tablespace {
			n.add(t.Bytes, 0)
		}
	}
	return n
}

// wal is how much WAL the restore of the schemas leaves: up to max_wal_size,
// which is in megabytes.
func (f *Facts) wal() int64 {
	segment := max(f.Server.Int("wal_segment_size"), 1<<20)
	most := f.Server.Int("max_wal_size") << 20
	if most == 0 {
		most = 1 << 30
	}
	return walSegments*segment + min(2*f.catalogs(), most)
}

// catalogs is the size of the catalogs of all databases.
func (f *Facts) catalogs() int64 {
	var sum int64
	for _, d := range f.Server.Databases {
		sum += catalogOf(d.CatalogBytes)
	}
	return sum
}

func catalogOf(bytes int64) int64 { return max(bytes, dbBytes) }

func (f *Facts) data() int64 {
	var sum int64
	for _, t := range f.Server.Tablespaces {
		sum += t.Bytes
	}
	return sum
}

func (f *Facts) files() int64 {
	var sum int64
	for _, d := range f.Server.Databases {
		sum += d.Files + dbInodes
	}
	return sum
}

// cheaper names what would need less.
func (f *Facts) cheaper() string {
	switch {
	case f.Rehearse:
		return "; an upgrade without rehearsal needs less"
	case f.Asked == node.ModeCopy && f.CloneTrouble == "":
		return "; mode clone needs less"
	case f.Asked == node.ModeCopy && f.LinkTrouble == "":
		return "; mode link needs less"
	case f.Trial:
		return "; without the trial of the schema (trial: off) it needs less"
	}
	return ""
}
