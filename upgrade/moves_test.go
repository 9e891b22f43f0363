package upgrade

import (
	"path"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// tree is a directory tree as a set of paths.
type tree map[string]bool

// apply makes the rename as rename(2) does; false: there is nothing to rename,
// or something in the way.
func (tr tree) apply(m Move) bool {
	if !tr[m.From] || tr[m.To] {
		return false
	}
	for p := range tr {
		if rest, ok := strings.CutPrefix(p, m.From); ok && (rest == "" || rest[0] == '/') {
			delete(tr, p)
			tr[m.To+rest] = true
		}
	}
	return true
}

func cluster(dir string, names ...string) tree {
	tr := tree{dir: true}
	for _, n := range append(names, "PG_VERSION", "base", "global", "postgresql.conf") {
		tr[path.Join(dir, n)] = true
	}
	return tr
}

func layout(same bool) (Layout, tree) {
	l := Layout{Old: "15/docker", Build: ".pgbaton/upgrade/new", New: "17/docker", Kept: ".pgbaton/retired/x-15", Own: []string{"server.crt"}}
	if same {
		l.Old, l.New, l.Ours = "data", "data", []string{".pgbaton", "upgrade"}
	}
	tr := cluster(l.Old, "server.crt")
	for p := range cluster(l.Build) {
		tr[p] = true
	}
	if same {
		tr["data/.pgbaton"], tr[l.Kept] = true, true
	}
	for p := range tr {
		if dir, name := path.Split(p); path.Clean(dir) == l.Old {
			l.OldNames = append(l.OldNames, name)
		} else if path.Clean(dir) == l.Build {
			l.BuildNames = append(l.BuildNames, name)
		}
	}
	slices.Sort(l.OldNames)
	slices.Sort(l.BuildNames)
	return l, tr
}

func TestTheSwitchPutsTheNewClusterInTheOldOnesPlace(t *testing.T) {
	for _, same := range []bool{false, true} {
		l, tr := layout(same)
		for _, m := range MakeMoves(l) {
			if !tr.apply(m) {
				t.Fatalf("same directory %v: %+v cannot be made", same, m)
			}
		}
		for _, want := range []string{l.New + "/PG_VERSION", l.New + "/base", l.New + "/server.crt", l.Kept + "/PG_VERSION", l.Kept + "/base"} {
			if !tr[want] {
				t.Errorf("same directory %v: %s is missing", same, want)
			}
		}
		if same && !tr["data/.pgbaton"] {
			t.Error("what is ours was moved")
		}
	}
}

func TestAtNoMomentOfTheSwitchIsAMixtureAClusterAndEveryMomentLeadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		same := rapid.Bool().Draw(t, "same")
		l, tr := layout(same)
		before := len(tr)
		moves := MakeMoves(l)
		n := rapid.IntRange(0, len(moves)).Draw(t, "made before the crash")
		for _, m := range moves[:n] {
			tr.apply(m)
		}
		for _, dir := range []string{l.Old, l.New} {
			if tr[dir+"/PG_VERSION"] && (!tr[dir+"/base"] || !tr[dir+"/global"] || !tr[dir+"/postgresql.conf"]) {
				t.Fatalf("after %d renames %s looks like a cluster and is none", n, dir)
			}
		}
		for i := n - 1; i >= 0; i-- {
			if !tr.apply(Move{From: moves[i].To, To: moves[i].From}) {
				t.Fatalf("%+v does not go back", moves[i])
			}
		}
		if len(tr) != before || !tr[l.Old+"/PG_VERSION"] || !tr[l.Old+"/server.crt"] || !tr[l.Build+"/PG_VERSION"] {
			t.Fatal("the way back does not end where it began")
		}
	})
}

func TestWhereTheNewClusterGoes(t *testing.T) {
	tests := []struct {
		old   string
		named bool
		want  string
	}{
		{"/var/lib/postgresql/15/docker", false, "/var/lib/postgresql/17/docker"},
		{"/var/lib/postgresql/15/docker", true, "/var/lib/postgresql/15/docker"},
		{"/var/lib/postgresql/data", false, "/var/lib/postgresql/data"},
		{"/var/lib/postgresql/data/15/docker", false, "/var/lib/postgresql/data/17/docker"},
		{"/pg/docker", false, "/pg/docker"},
	}
	for _, tt := range tests {
		if got := NewPGData(tt.old, 15, 17, tt.named); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.old, got, tt.want)
		}
	}
	for old, want := range map[string]string{"": "", "/wal": "/wal/17", "/wal/15": "/wal/17"} {
		if got := NewWAL(old, 15, 17); got != want {
			t.Errorf("WAL %q: %q, want %q", old, got, want)
		}
	}
}
