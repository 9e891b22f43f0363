package entrypoint

import (
	"strings"
	"testing"
)

func TestWordsOfInitdbNameTheDirectoryThatStays(t *testing.T) {
	const said = "creating subdirectories in /v/.pgbaton/initdb ... ok\n    pg_ctl -D /v/.pgbaton/initdb -l logfile start\n/v/.pgbaton/init.json and /v"
	want := strings.ReplaceAll(said, "/v/.pgbaton/initdb", "/v/18/docker")
	for size := 1; size <= len(said); size++ { // however it comes in pieces
		var b strings.Builder
		r := &renamer{w: &b, from: "/v/.pgbaton/initdb", to: "/v/18/docker"}
		for rest := said; rest != ""; {
			n := min(size, len(rest))
			if wrote, err := r.Write([]byte(rest[:n])); wrote != n || err != nil {
				t.Fatal(wrote, err)
			}
			rest = rest[n:]
		}
		r.flush()
		if b.String() != want {
			t.Fatalf("in pieces of %d: %s", size, b.String())
		}
	}
}
