package pg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

var errRelMap = errors.New("pg_filenode.map is damaged")

// RelMapFile (src/backend/utils/cache/relmapper.c): magic, count, pairs of
// (oid, file), checksum. 16 made room for 64 pairs instead of 62 and dropped
// the padding; the magic stayed.
const (
	relMapMagic  = 0x592717
	relMapPairs  = 8 // offset of the first pair
	relMapSize15 = 512
	relMapCRC15  = relMapPairs + 62*8
	relMapCRC16  = relMapPairs + 64*8
	relMapSize16 = relMapCRC16 + 4
)

// mappedFile finds the file that holds the mapped catalog oid. Catalogs that
// every database shares have no row to look that up in, and VACUUM FULL gives
// them a new file.
func mappedFile(raw []byte, oid uint32) (uint32, error) {
	crcAt := map[int]int{relMapSize15: relMapCRC15, relMapSize16: relMapCRC16}[len(raw)]
	if crcAt == 0 {
		return 0, fmt.Errorf("%w: %d bytes", errRelMap, len(raw))
	}
	u32 := func(at int) uint32 { return binary.NativeEndian.Uint32(raw[at:]) }
	if u32(0) != relMapMagic || crc32.Checksum(raw[:crcAt], castagnoli) != u32(crcAt) {
		return 0, fmt.Errorf("%w: wrong magic or checksum", errRelMap)
	}
	end := min(relMapPairs+int(u32(4))*8, crcAt)
	for at := relMapPairs; at < end; at += 8 {
		if u32(at) == oid {
			return u32(at + 4), nil
		}
	}
	return 0, fmt.Errorf("%w: no file for catalog %d", errRelMap, oid)
}
