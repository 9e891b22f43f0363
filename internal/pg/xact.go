package pg

import (
	"fmt"
	"path/filepath"
)

// fate is how a transaction ended, as far as the files tell.
type fate int

const (
	unknown   fate = iota // running, or lost in a crash, or not looked up
	committed             //
	aborted
)

// fates looks transactions up; a nil func knows none.
type fates func(xid uint32) fate

// pg_xact has two bits a transaction, 32 pages a file (src/backend/access/transam/clog.c, slru.c).
const (
	xactsPerByte = 4
	xactsPerFile = 32 * blockSize * xactsPerByte
)

// readFates reads pg_xact of a data directory. The files lag behind a running
// server, and after a crash they lack what only the WAL has.
func readFates(dir string) fates {
	files := map[uint32][]byte{}
	return func(xid uint32) fate {
		n := xid / xactsPerFile
		raw, ok := files[n]
		if !ok {
			path := filepath.Join(dir, "pg_xact", fmt.Sprintf("%04X", n))
			raw, _ = readRegular(path, xactsPerFile/xactsPerByte) // missing: unknown
			files[n] = raw
		}
		return fateIn(raw, xid%xactsPerFile)
	}
}

// fateIn reads the two bits: 0 in progress, 1 committed, 2 aborted, 3
// committed with a parent whose own bits decide.
func fateIn(raw []byte, n uint32) fate {
	at := int(n / xactsPerByte)
	if at >= len(raw) {
		return unknown
	}
	switch raw[at] >> (n % xactsPerByte * 2) & 3 {
	case 1:
		return committed
	case 2:
		return aborted
	}
	return unknown
}

// inserted tells whether the transaction that made t is known to have
// committed: from the hint bits, else from its fate.
func (t tuple) inserted(look fates) fate {
	switch {
	case t.infomask&heapXminFrozen == heapXminFrozen, t.xmin == 2: // FrozenTransactionId
		return committed
	case t.infomask&heapXminCommitted != 0, t.xmin == 1: // BootstrapTransactionId
		return committed
	case t.infomask&heapXminInvalid != 0:
		return aborted
	case look == nil:
		return unknown
	}
	return look(t.xmin)
}

// deleted tells the same of the transaction that deleted or replaced t.
func (t tuple) deleted(look fates) fate {
	switch {
	case t.infomask&(heapXmaxInvalid|heapXmaxLockOnly) != 0, t.xmax == 0:
		return aborted // nobody did
	case t.infomask&heapXmaxMulti != 0:
		return unknown // several lockers, perhaps one updater: pg_multixact would tell
	case t.infomask&heapXmaxCommitted != 0:
		return committed
	case look == nil:
		return unknown
	}
	return look(t.xmax)
}
