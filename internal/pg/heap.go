package pg

import (
	"encoding/binary"
	"iter"
)

// Page layout: src/include/storage/bufpage.h, itemid.h.
const (
	pageLower     = 12 // pd_lower: end of the line pointers
	pageSizeVer   = 18 // pd_pagesize_version
	pageHeader    = 24
	linePointer   = 4
	lpNormal      = 1
	pageLayoutVer = 4
	blockSize     = 8192 // of every packaged PostgreSQL
)

// Tuple layout: src/include/access/htup_details.h.
const (
	tupleXmin     = 0
	tupleXmax     = 4
	tupleInfomask = 20
	tupleHoff     = 22
	tupleHeader   = 23

	heapXmaxLockOnly  = 0x0080
	heapXminCommitted = 0x0100
	heapXminInvalid   = 0x0200
	heapXminFrozen    = heapXminCommitted | heapXminInvalid
	heapXmaxCommitted = 0x0400
	heapXmaxInvalid   = 0x0800
	heapXmaxMulti     = 0x1000
)

// tuple is one stored version of a row.
type tuple struct {
	xmin, xmax uint32
	infomask   uint16
	data       []byte // columns; at least one byte
}

// tuples yields every stored row version of a heap file, dead ones too. What
// does not look like a page or a tuple is passed over.
func tuples(heap []byte) iter.Seq[tuple] {
	return func(yield func(tuple) bool) {
		for ; len(heap) >= blockSize; heap = heap[blockSize:] {
			for t := range pageTuples(heap[:blockSize]) {
				if !yield(t) {
					return
				}
			}
		}
	}
}

func pageTuples(page []byte) iter.Seq[tuple] {
	u16 := func(at int) int { return int(binary.NativeEndian.Uint16(page[at:])) }
	return func(yield func(tuple) bool) {
		if u16(pageSizeVer) != blockSize|pageLayoutVer {
			return // a new page is all zero
		}
		end := min(u16(pageLower), blockSize)
		for at := pageHeader; at+linePointer <= end; at += linePointer {
			lp := binary.NativeEndian.Uint32(page[at:])
			// ItemIdData is lp_off:15, lp_flags:2, lp_len:15 from the low bit
			// on, as compilers for little-endian machines lay it out.
			off, flags, length := int(lp&0x7fff), lp>>15&3, int(lp>>17)
			if flags != lpNormal || off+length > blockSize {
				continue
			}
			if t, ok := parseTuple(page[off : off+length]); ok && !yield(t) {
				return
			}
		}
	}
}

func parseTuple(raw []byte) (tuple, bool) {
	if len(raw) < tupleHeader {
		return tuple{}, false
	}
	hoff := int(raw[tupleHoff])
	if hoff < tupleHeader || hoff >= len(raw) {
		return tuple{}, false
	}
	return tuple{
		xmin:     binary.NativeEndian.Uint32(raw[tupleXmin:]),
		xmax:     binary.NativeEndian.Uint32(raw[tupleXmax:]),
		infomask: binary.NativeEndian.Uint16(raw[tupleInfomask:]),
		data:     raw[hoff:],
	}, true
}
