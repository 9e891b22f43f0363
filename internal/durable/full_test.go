package durable_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pgbaton/pgbaton/internal/durable"
)

func TestATestFillsTheDiskForTheFilesThatItNames(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	says := filepath.Join(t.TempDir(), "full")
	t.Setenv(durable.FullEnv, says)
	for _, c := range []struct {
		says string
		full bool
	}{{"", false}, {"a.json\n", true}, {"*.json\nround 7\n", true}, {"b.json\n", false}, {"\n", false}} {
		if err := os.WriteFile(says, []byte(c.says), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := durable.WriteFile(root, "a.json", []byte("x"), -1, -1); errors.Is(err, syscall.ENOSPC) != c.full || !c.full && err != nil {
			t.Errorf("%q: %v", c.says, err)
		}
	}
	if text, err := root.ReadFile("a.json"); err != nil || string(text) != "x" {
		t.Errorf("what was there before is %q, %v", text, err)
	}
}
