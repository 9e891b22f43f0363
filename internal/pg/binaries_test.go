package pg

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestMajorsAreThoseWithAllTheirPrograms(t *testing.T) {
	image, mounted := t.TempDir(), t.TempDir()
	install := func(root, major string, progs ...string) {
		for _, p := range progs {
			path := filepath.Join(root, major, "bin", p)
			write(t, path, "")
			if err := os.Chmod(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	install(image, "17", required...)
	install(image, "15", required...)
	install(image, "16", "psql", "pg_dump", "pg_ctl") // a client package
	install(image, "9.6", required...)
	install(mounted, "17", required...)
	install(mounted, "18", required...)
	install(mounted, "19", required...)
	if err := os.Chmod(filepath.Join(mounted, "19", "bin", "initdb"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := Find([]string{mounted, image, filepath.Join(image, "nowhere")})
	want := []Binaries{
		{15, filepath.Join(image, "15", "bin")},
		{17, filepath.Join(mounted, "17", "bin")}, // the earlier root wins
		{18, filepath.Join(mounted, "18", "bin")},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if !reflect.DeepEqual(Majors(got), []int{15, 17, 18}) {
		t.Error(Majors(got))
	}
	if b, ok := Pick(got, 18); !ok || b.Path("psql") != filepath.Join(mounted, "18", "bin", "psql") {
		t.Error(b, ok)
	}
	if _, ok := Pick(got, 16); ok {
		t.Error("picked a client package")
	}
}
