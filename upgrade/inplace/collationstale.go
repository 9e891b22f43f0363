package inplace

import (
	"context"
	"errors"
	"io/fs"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
)

// StaleFile lists, relative to the volume, the indexes that were in the order of
// another collation version when the new server started first. One is stale as
// long as it is the same file: whatever rebuilds it gives it another. So nothing
// has to be written when an index is done, and a crash forgets nothing.
const StaleFile = journalDir + "/stale-indexes.json"

// staleList is the content of StaleFile.
type staleList struct {
	System  string                `json:"system"`  // of the new cluster: the list of another says nothing
	Tried   bool                  `json:"tried"`   // what had to be rebuilt before opening was tried
	Indexes map[string][]pg.Index `json:"indexes"` // by database
}

// readStale returns the list of this cluster; ok is false where there is none.
// One that cannot be understood counts as none: all affected indexes are stale
// then.
func (s *Site) readStale(system string) (l staleList, ok bool, err error) {
	err = durable.ReadJSON(s.Root, StaleFile, &l)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, durable.ErrCorrupt) {
		return staleList{}, false, nil
	}
	return l, err == nil && l.System == system, err
}

func (s *Site) writeStale(l staleList) error {
	uid, gid := s.owner()
	if err := durable.MkdirAll(s.Root, journalDir, uid, gid); err != nil {
		return err
	}
	return durable.WriteJSON(s.Root, StaleFile, l, uid, gid)
}

// removeStale forgets the list, once nothing in it is stale.
func (s *Site) removeStale() error {
	if _, err := s.Root.Lstat(StaleFile); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return durable.Remove(s.Root, StaleFile)
}

// listStale finds the indexes in the wrong order and writes them down, unless
// that was done for this cluster already. Those that an earlier upgrade left are
// kept in the list: pg_upgrade keeps their files' names.
func (s *Site) listStale(
	ctx context.Context, dbs []pg.DatabaseCollations, login func(db string) pg.Login,
) (l staleList, err error) {
	changed := upgrade.ChangedNow(dbs)
	if _, err := s.Root.Lstat(StaleFile); len(changed) == 0 && errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	system, err := login("template1").SystemIdentifier(ctx)
	if err != nil {
		return l, err
	}
	earlier, ok, err := s.readStale(system)
	if ok || err != nil {
		return earlier, err
	}
	l = staleList{System: system, Indexes: map[string][]pg.Index{}}
	for _, c := range changed {
		found, err := login(c.Database).AffectedIndexes(ctx, c.OIDs())
		if err != nil {
			return l, err
		}
		if len(found) > 0 {
			l.Indexes[c.Database] = found
		}
	}
	if err := addEarlier(ctx, &l, earlier, dbs, login); err != nil {
		return l, err
	}
	if len(l.Indexes) == 0 && earlier.System == "" {
		return l, nil
	}
	return l, s.writeStale(l)
}

func addEarlier(
	ctx context.Context, l *staleList, earlier staleList, dbs []pg.DatabaseCollations, login func(db string) pg.Login,
) error {
	for _, d := range dbs {
		if !d.Connect || len(earlier.Indexes[d.Database]) == 0 {
			continue
		}
		left, err := login(d.Database).Unrebuilt(ctx, earlier.Indexes[d.Database])
		if err != nil {
			return err
		}
		known := map[uint32]bool{}
		for _, i := range l.Indexes[d.Database] {
			known[i.OID] = true
		}
		for _, i := range left {
			if !known[i.OID] {
				l.Indexes[d.Database] = append(l.Indexes[d.Database], i)
			}
		}
	}
	return nil
}

// left returns the indexes of the list that are stale still, by database.
// Databases that are no more are left out.
func (l staleList) left(ctx context.Context, login func(db string) pg.Login) (map[string][]pg.Index, error) {
	if len(l.Indexes) == 0 {
		return nil, nil
	}
	dbs, err := pg.Databases(ctx, login("template1"))
	if err != nil {
		return nil, err
	}
	res := map[string][]pg.Index{}
	for _, db := range dbs {
		if len(l.Indexes[db]) == 0 {
			continue
		}
		left, err := login(db).Unrebuilt(ctx, l.Indexes[db])
		if err != nil {
			return res, err
		}
		if len(left) > 0 {
			res[db] = left
		}
	}
	return res, nil
}
