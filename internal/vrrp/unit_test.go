package vrrp

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/notify"
)

func read(t *testing.T, dir, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestTrackFilesAreWrittenWhereTheyDifferAndOnlyThere(t *testing.T) {
	dir := t.TempDir()
	f := OpenFiles(dir)
	if f.Eligible() {
		t.Error("a missing file counts as eligible")
	}
	if err := f.SetPref(34); err != nil {
		t.Fatal(err)
	}
	if read(t, dir, "pref") != "34\n" || read(t, dir, "eligible") != "0\n" {
		t.Error("both files are not there after the first write")
	}
	if err := f.SetEligible(true); err != nil || read(t, dir, "eligible") != "1\n" {
		t.Errorf("eligible is %q, %v", read(t, dir, "eligible"), err)
	}
	if again := OpenFiles(dir); !again.Eligible() || again.Pref() != 34 {
		t.Error("the next supervisor does not find what is there")
	}
	before, _ := os.Stat(filepath.Join(dir, "eligible"))
	if err := f.SetEligible(true); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Stat(filepath.Join(dir, "eligible")); !os.SameFile(before, after) {
		t.Error("a value that has not changed was written again")
	}
	if err := os.WriteFile(filepath.Join(dir, "eligible"), []byte("yes"), 0o600); err != nil {
		t.Fatal(err)
	}
	if OpenFiles(dir).Eligible() {
		t.Error("what is no number counts as eligible")
	}
}

func TestAWriteThatFailsIsAnErrorAndIsDoneAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	f := OpenFiles(dir)
	if err := f.SetEligible(true); err == nil || !strings.Contains(err.Error(), "old value") {
		t.Errorf("no word that the write failed: %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.SetEligible(true); err != nil || read(t, dir, "eligible") != "1\n" {
		t.Errorf("the same value is not written after a failure: %v", err)
	}
}

func TestWhatSomebodyElseLeftUnderTheNameIsTakenAway(t *testing.T) {
	base := t.TempDir()
	file, loose, link := filepath.Join(base, "file"), filepath.Join(base, "loose"), filepath.Join(base, "link")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(loose, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(loose, "eligible"), []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(loose, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(base, link); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, loose, link, filepath.Join(base, "new")} {
		if err := claim(dir); err != nil {
			t.Error(err)
		}
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
			t.Errorf("%s is %v, %v", dir, info, err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s holds %v", dir, left)
		}
	}
	if err := os.WriteFile(filepath.Join(loose, "eligible"), []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := claim(loose); err != nil || read(t, loose, "eligible") != "1" {
		t.Errorf("what is ours was thrown away, %v", err)
	}
}

func TestMissingCapabilitiesAreNamed(t *testing.T) {
	for status, want := range map[string][]string{
		"CapEff:\t00000000a80435fb\n": nil,
		"CapEff:\t00000000a80425fb\n": {"NET_ADMIN"},
		"CapEff:\t0000000000001000\n": {"NET_RAW"},
		"CapEff:\t0000000000000000\n": {"NET_ADMIN", "NET_RAW"},
		"Name:\tx\n":                  {"NET_ADMIN", "NET_RAW"},
	} {
		if got := missingCapabilities(status); !slices.Equal(got, want) {
			t.Errorf("%q lacks %v, want %v", status, got, want)
		}
	}
}

func TestLinesOfTheFIFOAreWholeInWhateverPiecesTheyCome(t *testing.T) {
	text := "INSTANCE \"pg\" MASTER 241\nINSTANCE \"pg\" BACKUP 100\n" + strings.Repeat("x", 5000) + "\nINSTANCE \"pg\" FAULT 1\nhalf"
	for size := 1; size < 100; size += 7 {
		f, got := &fifo{}, []string{}
		for piece := range slices.Chunk([]byte(text), size) {
			f.split(piece, func(l string) { got = append(got, l) })
		}
		if len(got) != 4 || got[0] != `INSTANCE "pg" MASTER 241` || got[3] != `INSTANCE "pg" FAULT 1` || string(f.line) != "half" {
			t.Fatalf("in pieces of %d: %.80q", size, got)
		}
		if _, err := notify.ParseEvent(got[2]); err == nil || len(got[2]) > 2*maxLine+size {
			t.Errorf("a line that is too long has %d bytes and is %v", len(got[2]), err)
		}
	}
}

func TestGratuitousARPHasTheAddressOnBothSides(t *testing.T) {
	got := arpPacket(2, "\x02\x42\x0a\x00\x00\x01", netip.MustParseAddr("10.0.0.9"))
	want := []byte{0, 1, 8, 0, 6, 4, 0, 2, 2, 0x42, 10, 0, 0, 1, 10, 0, 0, 9, 0, 0, 0, 0, 0, 0, 10, 0, 0, 9}
	if !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
}

func TestKeepalivedsStateIsReadFromWhatItWrites(t *testing.T) {
	whole := `[{"data":{"iname":"web","state":1,"effective_priority":7}},{"data":{"iname":"pg","state":3,"effective_priority":154,"vipset":false}}]`
	e, err := parseState([]byte(whole))
	if want := own(notify.VRRPFault, 154); err != nil || e != want {
		t.Errorf("%+v, %v", e, err)
	}
	for _, bad := range []string{"", whole[:50], "{}", "[]", `[{"data":{"iname":"web","state":2}}]`, `[{"data":{"iname":"pg","state":"2"}}]`} {
		if e, err := parseState([]byte(bad)); err == nil || e != (notify.Event{}) {
			t.Errorf("%q was read as %+v", bad, e)
		}
	}
}

func TestPeersAreTheOthersOfTheAddressesFamilyEachOnce(t *testing.T) {
	own, vip := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.9")
	got := others(addrs("10.0.0.3,10.0.0.1,10.0.0.9,2001:db8::2,10.0.0.2,::ffff:10.0.0.3"), own, vip)
	if want := addrs("10.0.0.2,10.0.0.3"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
