package pg

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestAProgramKnowsTheOptionsWhoseNamesAreInIt(t *testing.T) {
	dir := t.TempDir()
	text := bytes.Repeat([]byte{'x'}, 3<<20)
	for at, name := range map[int]string{100: "first", 1<<20 - 4: "across", 2<<20 + 500: "later"} {
		copy(text[at:], "\x00"+name+"\x00")
	}
	if err := os.WriteFile(filepath.Join(dir, "postgres"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Binaries{Bin: dir}.Lacks([]string{"across", "acros", "first", "later", "never", "xxx"})
	if want := []string{"acros", "never", "xxx"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("it lacks %v, want %v; %v", got, want, err)
	}
	if got, err := (Binaries{Bin: filepath.Join(dir, "none")}).Lacks(nil); err != nil || got != nil {
		t.Errorf("of no options it lacks %v, %v", got, err)
	}
}
