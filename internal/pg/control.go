package pg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// ErrControl is wrapped where pg_control was read but says nothing that can be
// believed: torn, of another byte order, or of an unknown version.
var ErrControl = errors.New("pg_control is damaged or not of PostgreSQL 13 to 18")

// Offsets in ControlFileData (src/include/catalog/pg_control.h) with 8-byte
// alignment. They are the same from 13 to 18; 18 put default_char_signedness
// before the nonce, which moves the checksum.
const (
	controlSystemID   = 0
	controlVersion    = 8
	controlState      = 16
	controlCheckpoint = 32
	controlRedo       = 40  // checkPointCopy.redo
	controlTimeline   = 48  // checkPointCopy.ThisTimeLineID
	controlPrevious   = 52  // checkPointCopy.PrevTimeLineID
	controlMinLSN     = 136 // minRecoveryPoint
	controlMinTLI     = 144 // minRecoveryPointTLI
	controlLogHints   = 176 // wal_log_hints
	controlConns      = 180 // MaxConnections; the four that follow are in node.Needs' order
	controlMaxAlign   = 204 // proves the 8-byte alignment
	controlBlockSize  = 216
	controlSegment    = 228 // xlog_seg_size
	controlChecksums  = 252 // data_checksum_version
	controlCRC13      = 288
	controlCRC18      = 292
)

// PG_CONTROL_VERSION of 13 to 16, of 17 and of 18.
const (
	controlVersion13 = 1300
	controlVersion17 = 1700
	controlVersion18 = 1800
)

// ShutDown is the state of a primary's data after its shutdown checkpoint.
const ShutDown = "shut down"

// dbStates are the words of pg_controldata.c for enum DBState.
var dbStates = []string{
	"starting up",
	ShutDown,
	"shut down in recovery",
	"shutting down",
	"in crash recovery",
	"in archive recovery",
	"in production",
}

// A server writes all 8 kB in one call, but a reader beside it can still see
// half of it (get_controlfile in src/common/controldata_utils.c retries too).
const (
	controlTries = 10
	controlPause = 10 * time.Millisecond
)

// ReadControl reads global/pg_control, with or without a running server. The
// error is fs.ErrNotExist, ErrControl or the system's; a damaged file costs
// 100 ms of retries.
func ReadControl(dir string) (node.Control, error) {
	c, _, err := readControl(dir)
	return c, err
}

// segmentSize is the size of a cluster's WAL files in bytes.
func segmentSize(dir string) (node.LSN, error) {
	_, raw, err := readControl(dir)
	if err != nil {
		return 0, err
	}
	size := binary.NativeEndian.Uint32(raw[controlSegment:])
	if size < 1<<20 || size > 1<<30 || size&(size-1) != 0 {
		return 0, fmt.Errorf("%w: WAL files of %d bytes", ErrControl, size)
	}
	return node.LSN(size), nil
}

func readControl(dir string) (c node.Control, raw []byte, err error) {
	path := filepath.Join(dir, "global", "pg_control")
	for try := range controlTries {
		if try > 0 {
			time.Sleep(controlPause)
		}
		if raw, err = readRegular(path, 64<<10); err != nil {
			return node.Control{}, nil, fmt.Errorf("read control data: %w", err)
		}
		if c, err = parseControl(raw); err == nil {
			return c, raw, nil
		}
	}
	return node.Control{}, nil, fmt.Errorf("read %s: %w", path, err)
}

// CleanShutdown reports whether the server that wrote c was stopped so that
// nothing has to be replayed.
func CleanShutdown(c node.Control) bool { return c.State == ShutDown || c.State == dbStates[2] }

// Recovering reports whether the server that wrote c is or was a standby, or one
// that is being promoted: it has not been a primary since.
func Recovering(c node.Control) bool { return c.State == dbStates[2] || c.State == dbStates[5] }

func parseControl(raw []byte) (node.Control, error) {
	if len(raw) < controlCRC18+4 {
		return node.Control{}, fmt.Errorf("%w: %d bytes only", ErrControl, len(raw))
	}
	u32 := func(at int) uint32 { return binary.NativeEndian.Uint32(raw[at:]) }
	u64 := func(at int) uint64 { return binary.NativeEndian.Uint64(raw[at:]) }
	crcAt, err := controlCRCOffset(u32(controlVersion))
	if err != nil {
		return node.Control{}, err
	}
	if crc32.Checksum(raw[:crcAt], castagnoli) != u32(crcAt) {
		return node.Control{}, fmt.Errorf("%w: wrong checksum", ErrControl)
	}
	if u32(controlMaxAlign) != 8 {
		return node.Control{}, fmt.Errorf("%w: made on a machine with another alignment", ErrControl)
	}
	return node.Control{
		SystemIdentifier:    u64(controlSystemID),
		State:               stateName(u32(controlState)),
		Timeline:            u32(controlTimeline),
		CheckpointLSN:       node.LSN(u64(controlCheckpoint)).String(),
		Checksums:           u32(controlChecksums) != 0,
		RedoLSN:             node.LSN(u64(controlRedo)),
		PrevTimeline:        u32(controlPrevious),
		MinRecoveryLSN:      node.LSN(u64(controlMinLSN)),
		MinRecoveryTimeline: u32(controlMinTLI),
		WALLogHints:         raw[controlLogHints] != 0,
		Needs: node.Needs{
			Connections: int64(u32(controlConns)), Workers: int64(u32(controlConns + 4)), Senders: int64(u32(controlConns + 8)),
			Prepared: int64(u32(controlConns + 12)), Locks: int64(u32(controlConns + 16)),
		},
	}, nil
}

func controlCRCOffset(version uint32) (int, error) {
	switch version {
	case controlVersion13, controlVersion17:
		return controlCRC13, nil
	case controlVersion18:
		return controlCRC18, nil
	}
	// Small numbers in the upper half: the other byte order, as pg_controldata says.
	if version%65536 == 0 && version != 0 {
		return 0, fmt.Errorf("%w: made on a machine with another byte order", ErrControl)
	}
	return 0, fmt.Errorf("%w: it has format %d", ErrControl, version)
}

func stateName(state uint32) string {
	if int64(state) < int64(len(dbStates)) {
		return dbStates[state]
	}
	return "unrecognized status code"
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
