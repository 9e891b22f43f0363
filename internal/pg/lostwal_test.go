package pg

import (
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
)

func TestWALCountsAsRemovedOnlyWhereItWasWrittenAndNoFileOfItIsLeft(t *testing.T) {
	const size = 16 << 20
	at := func(segment, offset uint64) node.LSN { return node.LSN(segment*size + offset) }
	for _, c := range []struct {
		name    string
		names   []string
		at, end node.LSN
		size    uint64
		want    bool
	}{
		{"only later files are there", []string{"000000010000000000000007", "000000010000000000000008"}, at(5, 100), at(7, 9), size, true},
		{"its own file is there", []string{"000000010000000000000005", "000000010000000000000007"}, at(5, 100), at(7, 9), size, false},
		{"on a newer timeline", []string{"000000020000000000000005", "000000020000000000000007"}, at(5, 100), at(7, 9), size, false},
		{"as what was left of an older one", []string{"000000010000000000000005.partial", "000000020000000000000007"}, at(5, 100), at(7, 9), size, false},
		{"at the beginning of a segment that one is needed", []string{"000000010000000000000005", "000000010000000000000007"}, at(6, 0), at(7, 9), size, true},
		{"it is not written yet", []string{"000000010000000000000004", "000000010000000000000009"}, at(5, 100), at(5, 50), size, false},
		{"it is being written", []string{"000000010000000000000009"}, at(5, 100), at(5, 200), size, false},
		{"no file was seen at all", nil, at(5, 100), at(7, 9), size, false},
		{"only what is no WAL", []string{"archive_status", "summaries", "00000002.history", "xlogtemp.1"}, at(5, 100), at(7, 9), size, false},
		{"only older files", []string{"000000010000000000000004"}, at(5, 100), at(7, 9), size, false},
		{"beyond the first four gigabytes", []string{"000000010000000200000001"}, at(0x200, 1), at(0x201, 9), size, true},
		{"and the file is there", []string{"000000010000000200000000", "000000010000000200000001"}, at(0x200, 1), at(0x201, 9), size, false},
		{"another size of segments", []string{"0000000100000000000000FF"}, 1 << 20, 255 << 20, 1 << 20, true},
		{"and the file is there too", []string{"000000010000000000000001", "0000000100000000000000FF"}, 1 << 20, 255 << 20, 1 << 20, false},
		{"no size", []string{"000000010000000000000007"}, at(5, 100), at(7, 9), 0, false},
	} {
		if got := isRemoved(c.names, c.at, c.end, c.size); got != c.want {
			t.Errorf("%s: removed %v", c.name, got)
		}
	}
}
