package proc

import (
	"slices"
	"testing"
)

func TestParseMountsReadsBlanksInPaths(t *testing.T) {
	const info = "36 35 98:0 /mnt1 / rw,noatime master:1 - ext3 /dev/root rw\n" +
		"37 36 98:0 /x /var/lib/post\\040gresql rw - ext4 /dev/sda rw\n" +
		"38 36 98:0 /x /a\\134b rw - ext4 /dev/sda rw\nshort\n"
	want := []string{"/", "/var/lib/post gresql", `/a\b`}
	if got := parseMounts(info); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzParseMounts(f *testing.F) {
	f.Add("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw\n")
	f.Fuzz(func(_ *testing.T, text string) { parseMounts(text) })
}
