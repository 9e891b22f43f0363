//go:build realpg

package pg

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
)

// TestRealWhatWaitsForARestartAndWhatIsWrongInTheFilesIsKnownWithoutAReload: what waits for a restart is known without a reload, and so
// is what is wrong in the files.
func TestRealWhatWaitsForARestartAndWhatIsWrongInTheFilesIsKnownWithoutAReload(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		s := newServer(t, b, "admin")
		s.start("-c", "max_worker_processes=9")
		conf := filepath.Join(s.data, "postgresql.conf")
		ask := func() node.Server {
			t.Helper()
			st, _, err := s.login("admin", int(s.user.UID)).Facts(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return st
		}
		add := func(line string) {
			t.Helper()
			f, err := os.OpenFile(conf, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteString(line + "\n"); err != nil {
				t.Fatal(err)
			}
		}
		if st := ask(); len(st.Pending)+len(st.Faults) > 0 || len(st.Limits) != len(limitNames) || st.Asked.IsZero() {
			t.Fatalf("%+v", st)
		}
		add("Max_Connections = 0x96\nwork_mem = 8MB\nmax_worker_processes = 3")
		s.exec(s.login("admin", int(s.user.UID)), "alter system set shared_buffers = '64MB'")
		st := ask()
		names := []string{}
		for _, p := range st.Pending {
			names = append(names, p.Name+" "+p.Next)
		}
		// What the command line says wins over the files, at the next start too.
		if got := strings.Join(names, ", "); got != "max_connections 0x96, shared_buffers 64MB" || len(st.Faults) > 0 {
			t.Errorf("%s; %v", got, st.Faults)
		}
		for _, l := range st.Limits {
			switch {
			case l.Name == "max_connections" && (l.Now != 100 || l.Next != 150), l.Name == "max_worker_processes" && (l.Now != 9 || l.Next != 9):
				t.Errorf("%+v", l)
			}
		}
		add("max_locks_per_transaction = many")
		if st := ask(); len(st.Pending) != 2 || len(st.Faults) != 1 || !strings.Contains(st.Faults[0], "postgresql.conf, line ") || !strings.Contains(st.Faults[0], "max_locks_per_transaction") {
			t.Errorf("%+v %v", st.Pending, st.Faults)
		}
		add("a line that means nothing")
		if st := ask(); len(st.Faults) != 1 || !strings.Contains(st.Faults[0], "syntax error") {
			t.Errorf("%v", st.Faults)
		}
	})
}
