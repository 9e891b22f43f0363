package clustertest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// TestARestoredBackupIsFinishedFromItsArchiveAndBecomesTheCluster: a backup that
// needs its archive, with a target, is all that is left.
func TestARestoredBackupIsFinishedFromItsArchiveAndBecomesTheCluster(t *testing.T) {
	t.Parallel()
	const volume = "/var/lib/postgresql"
	c := testbed.RunCluster(t, testbed.ClusterSpec{
		Nodes: 2, Major: 17, FS: "ext4",
		Args: []string{"postgres", "-c", "archive_mode=on", "-c", "archive_command=cp %p " + volume + "/archive/%f"},
	})
	p := c.WaitWhole(2 * long)
	sql(t, p, "create table kept as select generate_series(1, 1000)")
	p.MustExec("install", "-d", "-m", "700", "-o", "postgres", "-g", "postgres", volume+"/archive", volume+"/backup")
	p.MustExec("gosu", "postgres", "sh", "-ec", "pg_basebackup -D "+volume+"/backup -X none -c fast; cd "+volume+`/backup; touch recovery.signal;
		echo "restore_command = 'cp `+volume+`/archive/%f %p'" >> postgresql.auto.conf; echo "recovery_target_name = 'wanted'" >> postgresql.auto.conf`)
	sql(t, p, "insert into kept select generate_series(1, 700)")
	sql(t, p, "select pg_create_restore_point('wanted')")
	sql(t, p, "insert into kept values (0)")
	var wal string
	if err := p.DB().QueryRow("select pg_walfile_name(pg_switch_wal())").Scan(&wal); err != nil {
		t.Fatal(err)
	}
	p.Eventually(long, wal+" is archived", func() bool { return p.Exec("test", "-f", volume+"/archive/"+wal).Code == 0 })

	for _, n := range c.Nodes {
		n.Kill9()
	}
	lose(t, c.Others(p)[0])
	pgdata := filepath.Join(p.Disk.Path(), "17", "docker")
	for _, err := range []error{
		os.RemoveAll(filepath.Join(p.Disk.Path(), ".pgbaton")), os.RemoveAll(pgdata), os.Rename(filepath.Join(p.Disk.Path(), "backup"), pgdata),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c.Start(c.Nodes...)
	expect(t, c.WaitWhole(2*long), p, "the restore")
	var n, unwanted int
	if err := p.DB().QueryRow("select count(*), count(*) filter (where generate_series = 0) from kept").Scan(&n, &unwanted); err != nil {
		t.Fatal(err)
	}
	if n != 1700 || unwanted != 0 {
		t.Errorf("%d rows, %d of them after the target; want 1700 and none", n, unwanted)
	}
	if r := record(t, p); r.Newest().Timeline != 2 {
		t.Errorf("the restored cluster is on timeline %d: %+v", r.Newest().Timeline, r)
	}
}
