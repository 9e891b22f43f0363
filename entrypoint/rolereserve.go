package entrypoint

import (
	"bytes"
	"errors"
	"syscall"

	"github.com/pgbaton/pgbaton/internal/durable"
)

const (
	// reserveFile is room on a full disk for what a change of roles writes: a
	// primary whose server died of a full disk could not even give its right
	// away, and nobody could take over.
	reserveFile = stateDir + "/reserve"
	// reserveSize is several times what is written, in whole blocks; bytes.
	reserveSize = 256 << 10
)

// keepReserve makes the reserve where it is missing. That there is no room for
// it is no error: it is tried again with the next look at the server.
func (s *supervisor) keepReserve() {
	if s.hasReserve() {
		return
	}
	// Not zeros: a file system could keep those without any block.
	filler := bytes.Repeat([]byte("pgbaton's reserve\n"), reserveSize/18+1)[:reserveSize]
	if err := durable.WriteFile(s.volume.root, reserveFile, filler, owner(s.user), int(s.user.GID)); err != nil {
		s.log.Debug("role: keep a reserve of disk space", "error", err)
	}
}

// hasReserve reports whether a change of this node's right can be written down
// however full the disk comes to be.
func (s *supervisor) hasReserve() bool {
	info, err := s.volume.root.Lstat(reserveFile)
	return err == nil && info.Mode().IsRegular() && info.Size() == reserveSize
}

// withReserve writes, and where the disk is full writes again without the
// reserve.
func (s *supervisor) withReserve(write func() error) error {
	err := write()
	if !isFull(err) {
		return err
	}
	if e := durable.Remove(s.volume.root, reserveFile); e != nil {
		return errors.Join(err, e)
	}
	s.log.Warn("role: the disk is full; the reserve was given up", "error", err)
	return write()
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
