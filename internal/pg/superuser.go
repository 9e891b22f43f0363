package pg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
)

// ErrNoSuperuser is returned where the catalog could be read and has no
// bootstrap superuser.
var ErrNoSuperuser = errors.New("no role with oid 10 in pg_authid")

const (
	authidOid      = 1260    // pg_authid
	bootstrapOid   = 10      // BOOTSTRAP_SUPERUSERID, pg_authid.dat
	nameDataLen    = 64      // rolname's length
	maxMappedBytes = 4 << 10 // pg_filenode.map
	maxAuthid      = 64 << 20
)

// BootstrapSuperuser reads the name of the role that initdb made, which no
// later command can drop but anybody may rename, from the files of a data
// directory. No server is needed, and nobody has to tell us the name in an
// adopted volume.
//
// After a clean shutdown the answer is exact. Beside a running server or after
// a crash the files may be behind by a rename; then it is the newest version
// that is not known to be rolled back.
func BootstrapSuperuser(dir string) (string, error) {
	global := filepath.Join(dir, "global")
	raw, err := readRegular(filepath.Join(global, "pg_filenode.map"), maxMappedBytes)
	if err != nil {
		return "", fmt.Errorf("find the superuser's name: %w", err)
	}
	file, err := mappedFile(raw, authidOid)
	if err != nil {
		return "", fmt.Errorf("find the superuser's name: %w", err)
	}
	heap, err := readRegular(filepath.Join(global, itoa(file)), maxAuthid)
	if err != nil {
		return "", fmt.Errorf("find the superuser's name: %w", err)
	}
	name, ok := superuserIn(heap, readFates(dir))
	if !ok {
		return "", fmt.Errorf("find the superuser's name in %s: %w", global, ErrNoSuperuser)
	}
	return name, nil
}

// superuserIn picks the version of the row that a new transaction would see.
func superuserIn(heap []byte, look fates) (string, bool) {
	var best tuple
	var name string
	bestRank := 0
	for t := range tuples(heap) {
		n, ok := t.superuserName()
		if !ok {
			continue
		}
		rank := t.rank(look)
		if rank > bestRank || rank == bestRank && rank > 0 && newer(t, best) {
			best, bestRank, name = t, rank, n
		}
	}
	return name, bestRank > 0
}

// rank orders versions: surely seen, perhaps seen, surely replaced (which is
// better than nothing), never valid (0).
func (t tuple) rank(look fates) int {
	in, del := t.inserted(look), t.deleted(look)
	switch {
	case in == aborted:
		return 0
	case del == committed:
		return 1
	case in == committed && del == aborted:
		return 3
	}
	return 2
}

// newer compares by the inserting transaction, modulo 2^32 as
// TransactionIdPrecedes does; frozen versions are older than any other.
func newer(a, b tuple) bool {
	frozenA, frozenB := a.frozen(), b.frozen()
	if frozenA || frozenB {
		return frozenB && !frozenA
	}
	return int32(a.xmin-b.xmin) > 0
}

func (t tuple) frozen() bool {
	return t.infomask&heapXminFrozen == heapXminFrozen || t.xmin < 3 // FirstNormalTransactionId
}

// superuserName returns rolname of the bootstrap superuser's row; oid and
// rolname are pg_authid's first columns, neither can be null.
func (t tuple) superuserName() (string, bool) {
	if len(t.data) < 4+nameDataLen || binary.NativeEndian.Uint32(t.data) != bootstrapOid {
		return "", false
	}
	name, _, ok := bytes.Cut(t.data[4:4+nameDataLen], []byte{0})
	return string(name), ok && len(name) > 0
}

func itoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
