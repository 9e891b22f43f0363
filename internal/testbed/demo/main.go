// Command demo shows the main jobs on real containers, under load, and ends
// with a table and an audit of every acknowledged commit.
//
// Without flags it shows a cluster of two with a virtual IP address: a planned
// switchover, the primary's postmaster killed, its container killed, the old
// primary back. With -upgrade it shows one node: PostgreSQL 15 while its
// supervisor is killed and while postgres is stopped and started in the living
// container; then the upgrade to 17, rehearsed first and asked for by a file on
// the volume. `make demo` and `make demo-upgrade` run it; KEEP=1 leaves the
// containers.
package main

import (
	"flag"
	"os"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

func main() {
	upgrade := flag.Bool("upgrade", false, "show one node and its in-place upgrade")
	image := flag.String("image", "", "image to show (default pgbaton:17; with -upgrade pgbaton:15)")
	target := flag.Int("target", 17, "with -upgrade: major to upgrade to")
	flag.Parse()
	show, usual := showCluster, "pgbaton:17"
	if *upgrade {
		show, usual = func(tb testbed.TB, image string) { showUpgrade(tb, image, *target) }, "pgbaton:15"
	}
	if *image == "" {
		*image = usual
	}
	os.Exit(testbed.Program("demo", func(tb testbed.TB) { show(tb, *image) }))
}
