package pg

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestTheSuperusersNameIsFoundWithoutAServer(t *testing.T) {
	for name, want := range map[string]string{
		"13-plain": "postgres", "13-king": "king",
		"15-plain": "postgres", "15-renamed": `Old "King" @all`, "15-king": "king",
		"17-plain": "postgres", "17-renamed": `Old "King" @all`, "17-king": "king",
		"18-plain": "postgres", "18-renamed": `Old "King" @all`, "18-king": "king",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := BootstrapSuperuser(unpack(t, name))
			if err != nil || got != want {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
		})
	}
}

func TestADamagedCatalogIsAnErrorNotAName(t *testing.T) {
	t.Run("nothing there", func(t *testing.T) {
		if _, err := BootstrapSuperuser(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	})
	t.Run("a map with a wrong checksum", func(t *testing.T) {
		dir := unpack(t, "17-plain")
		path := filepath.Join(dir, "global", "pg_filenode.map")
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		raw[100] ^= 1
		write(t, path, string(raw))
		if _, err := BootstrapSuperuser(dir); !errors.Is(err, errRelMap) {
			t.Error(err)
		}
	})
	t.Run("an empty catalog", func(t *testing.T) {
		dir := unpack(t, "17-plain")
		write(t, filepath.Join(dir, "global", "1260"), "")
		if _, err := BootstrapSuperuser(dir); !errors.Is(err, ErrNoSuperuser) {
			t.Error(err)
		}
	})
	t.Run("a link in place of the catalog", func(t *testing.T) {
		dir := unpack(t, "17-plain")
		path := filepath.Join(dir, "global", "1260")
		if err := errors.Join(os.Rename(path, path+".x"), os.Symlink(path+".x", path)); err != nil {
			t.Fatal(err)
		}
		if name, err := BootstrapSuperuser(dir); err == nil {
			t.Errorf("followed to %q", name)
		}
	})
}

func TestTheVersionThatANewTransactionWouldSeeWins(t *testing.T) {
	ended := fates(func(xid uint32) fate {
		return map[uint32]fate{100: committed, 200: aborted, 4_294_967_290: committed, 300: committed}[xid]
	})
	for name, c := range map[string]struct {
		a, b tuple
		look fates
		want bool // a wins
	}{
		"the one that was not replaced": {
			tuple{xmin: 5, xmax: 100, infomask: heapXminCommitted},
			tuple{xmin: 100, infomask: heapXmaxInvalid},
			ended, false,
		},
		"the old one when the rename was rolled back": {
			tuple{xmin: 5, xmax: 200, infomask: heapXminCommitted},
			tuple{xmin: 200, infomask: heapXmaxInvalid},
			ended, true,
		},
		"the newer one when nothing is known": {
			tuple{xmin: 5, xmax: 900, infomask: heapXminCommitted},
			tuple{xmin: 900, xmax: 0},
			nil, false,
		},
		"the newer one across the wraparound of transaction ids": {
			tuple{xmin: 300, infomask: heapXmaxInvalid},
			tuple{xmin: 4_294_967_290, infomask: heapXmaxInvalid},
			ended, true,
		},
		"any other over a frozen one": {
			tuple{xmin: 1, infomask: heapXmaxInvalid},
			tuple{xmin: 300, infomask: heapXmaxInvalid},
			ended, false,
		},
		"one that is only locked over one that may be replaced": {
			tuple{xmin: 100, xmax: 900, infomask: heapXmaxLockOnly},
			tuple{xmin: 300, xmax: 901},
			ended, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			ra, rb := c.a.rank(c.look), c.b.rank(c.look)
			if got := ra > rb || ra == rb && newer(c.a, c.b); got != c.want {
				t.Errorf("ranks %d and %d: first wins = %v", ra, rb, got)
			}
		})
	}
}

func FuzzSuperuser(f *testing.F) {
	for _, name := range []string{"15-renamed", "18-king"} {
		dir := unpack(f, name)
		m, _ := os.ReadFile(filepath.Join(dir, "global", "pg_filenode.map"))
		file, _ := mappedFile(m, authidOid)
		heap, err := os.ReadFile(filepath.Join(dir, "global", itoa(file)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(m, heap, []byte{0x55, 0xaa})
	}
	f.Fuzz(func(t *testing.T, m, heap, xact []byte) {
		_, _ = mappedFile(m, authidOid)
		look := func(xid uint32) fate { return fateIn(xact, xid%xactsPerFile) }
		if name, ok := superuserIn(heap, look); ok && (name == "" || len(name) >= nameDataLen) {
			t.Errorf("impossible name %q", name)
		}
	})
}
