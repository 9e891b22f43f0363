package inplace

import "testing"

func TestWhatWaitsToBeWrittenIsReadFromMeminfo(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want int64
	}{
		"a kernel's own":    {"MemFree: 1 kB\nDirty:             1436 kB\nWriteback:            64 kB\nWritebackTmp:          0 kB\n", 1500 << 10},
		"a line is missing": {"Dirty:             1436 kB\n", 1 << 62},
		"no number":         {"Dirty: much\nWriteback: 0 kB\n", 1 << 62},
		"nothing":           {"", 1 << 62},
	} {
		if got := readDirty([]byte(c.text)); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if dirtyBytes() >= 1<<62 {
		t.Error("this kernel's /proc/meminfo was not understood")
	}
}
