package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/upgrade"
)

const (
	markerFile = "upgrade"                     // dropped by the user, relative to the volume
	claimFile  = stateDir + "/upgrade.claimed" // where it goes before anything is done
	// markerSettle is how long a marker must not have changed before it is
	// taken: an empty file is a request too, and so is the half of a longer one.
	markerSettle = time.Second
)

var (
	errMarkerKnown     = errors.New("the marker is the one that was refused before")
	errMarkerUnsettled = errors.New("the marker is still being written")
	errClaimPending    = errors.New("a marker was claimed before and is not done with")
)

// claimed is what a marker said.
type claimed struct {
	Content []byte
	At      time.Time // when it was claimed, by the clock of the volume's file system
}

// doneWith reports whether an upgrade, as its journal or result has it, was
// begun or refused for this marker: a crash came before dropClaim.
func (m claimed) doneWith(u node.Upgrade) bool {
	return u.Trigger == node.ByMarker && !u.Started.Before(m.At)
}

// markerRefused is something of the marker's name that cannot be taken. It
// stays where it is; ID is what the caller remembers to say so only once.
type markerRefused struct {
	ID  fileID
	Why string
}

func (e *markerRefused) Error() string {
	return e.Why + "; it was left alone and nothing was upgraded"
}

func refuseMarker(info fs.FileInfo, format string, args ...any) error {
	return &markerRefused{idOf(info), "the upgrade marker " + fmt.Sprintf(format, args...)}
}

// claimMarker takes the marker away from where the user put it and returns
// what it says. It takes a good second (markerSettle) and is for one goroutine
// at a time, beside the loop. The error is
//   - fs.ErrNotExist: there is no marker
//   - errMarkerKnown: it is the one named by known, which was refused before
//   - errMarkerUnsettled: it is still being written; the watch hints again
//   - errClaimPending: another one is not done with; this one stays for later
//   - *markerRefused: it cannot be a marker or cannot be taken
//   - anything else, such as a full disk: worth another try at the next hint
func claimMarker(ctx context.Context, root *os.Root, u proc.User, known fileID) (claimed, error) {
	if _, err := root.Lstat(claimFile); err == nil {
		return claimed{}, errClaimPending
	}
	info, err := root.Lstat(markerFile)
	if err != nil {
		return claimed{}, err
	}
	if idOf(info) == known {
		return claimed{}, errMarkerKnown
	}
	f, err := openMarker(root, markerFile, info)
	if err != nil {
		return claimed{}, err
	}
	defer func() { _ = f.Close() }() // only read
	if err := settled(ctx, root, f, info); err != nil {
		return claimed{}, err
	}
	// What a power failure makes of a file that was not synced is an empty one.
	if err := f.Sync(); err != nil {
		return claimed{}, fmt.Errorf("sync the upgrade marker: %w", err)
	}
	if err := moveMarker(root, u, info); err != nil {
		return claimed{}, err
	}
	m, err := readClaim(root, info)
	if errors.Is(err, errMarkerUnsettled) {
		// Replaced in the last moment: looked at anew from the beginning.
		return claimed{}, errors.Join(err, durable.Rename(root, claimFile, markerFile))
	}
	return m, err
}

// pendingClaim returns what was claimed and is not done with: a crash came
// before the journal or the result knew of it. An error that is not about the
// disk (*markerRefused) is for the user, and then for dropClaim.
func pendingClaim(root *os.Root) (m claimed, ok bool, err error) {
	m, err = readClaim(root, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return claimed{}, false, nil
	}
	return m, err == nil, err
}

// dropClaim forgets the claimed marker, once the journal or the result has it.
func dropClaim(root *os.Root) error { return durable.Remove(root, claimFile) }

// settled waits a moment and reports whether nothing about the marker changed
// in it, and nobody has it open for writing.
func settled(ctx context.Context, root *os.Root, f *os.File, before fs.FileInfo) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(markerSettle):
	}
	now, err := root.Lstat(markerFile)
	if err != nil || idOf(now) != idOf(before) || written(f) {
		return errMarkerUnsettled
	}
	return nil
}

// moveMarker renames the marker to where no user looks for it.
func moveMarker(root *os.Root, u proc.User, info fs.FileInfo) error {
	err := durable.MkdirAll(root, stateDir, owner(u), int(u.GID))
	if err == nil {
		err = durable.Rename(root, markerFile, claimFile)
	}
	switch {
	case errors.Is(err, syscall.EBUSY), errors.Is(err, syscall.EXDEV):
		return refuseMarker(info, "is a mount of its own and cannot be taken away: mount the directory, and put the file into it")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return refuseMarker(info, "cannot be taken away (%v): let uid %d write to the volume, then drop it again", err, os.Geteuid())
	case err != nil:
		return fmt.Errorf("claim the upgrade marker: %w", err)
	}
	return nil
}

// readClaim reads what was claimed. Where it is not the file that was looked
// at before, which may be nil, the error is errMarkerUnsettled.
func readClaim(root *os.Root, before fs.FileInfo) (claimed, error) {
	info, err := root.Lstat(claimFile)
	if err != nil {
		return claimed{}, err
	}
	if before != nil && !sameContent(info, before) {
		return claimed{}, errMarkerUnsettled
	}
	f, err := openMarker(root, claimFile, info)
	if err != nil {
		return claimed{}, err
	}
	defer func() { _ = f.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(f, upgrade.MarkerLimit+1))
	if err != nil {
		return claimed{}, fmt.Errorf("read the upgrade marker: %w", err)
	}
	if len(data) > upgrade.MarkerLimit {
		return claimed{}, refuseMarker(info, "has more than %d bytes", upgrade.MarkerLimit)
	}
	return claimed{data, time.Unix(0, idOf(info).Ctime).UTC()}, nil
}
