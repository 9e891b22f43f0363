package main

import (
	"fmt"
	"os"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

const (
	// home is where the volume is mounted.
	home = "/var/lib/postgresql"
	// grace is what `docker stop` allows.
	grace = time.Minute
	// long bounds every wait; the machine may be a slow one.
	long = 10 * time.Minute
)

// story is the demo of one node and its upgrade, under way.
type story struct {
	teller
	c      *testbed.Container
	volume *testbed.Volume
	target int

	before   testbed.Contents // of all tables but the load's
	forecast node.Upgrade     // the rehearsal
	upgrade  node.Upgrade     // what became of the marker
	seen     testbed.Stats    // what clients saw of the upgrade
}

// showUpgrade tells the whole story, one chapter after the other.
func showUpgrade(tb testbed.TB, image string, target int) {
	s := &story{teller: teller{tb: tb}, target: target}
	s.start(image)
	s.fill()
	s.quiet()
	s.killSupervisor()
	s.stopAndStart()
	s.rehearse()
	s.dropMarker()
	s.end()
}

func (s *story) end() {
	s.chapter("stop the load, compare every row and every acknowledged commit")
	s.load.Stop()
	after := testbed.SnapshotRows(s.c, testbed.Access{})
	rep, err := s.load.Audit(s.tb.Context(), s.c.DB())
	s.must(err, "audit")
	s.table(rep, after)
	s.keep()
	if err := rep.Err(); err != nil {
		s.tb.Fatalf("%v", err)
	}
	if diff := testbed.Compare(s.before, after); diff != "" {
		s.tb.Fatalf("the contents differ:\n%s", diff)
	}
	s.kept()
}

// keep says how to look around in what KEEP=1 leaves.
func (s *story) keep() {
	if os.Getenv("KEEP") != "1" {
		return
	}
	fmt.Printf(`
KEEP=1: the container stays.
  look:    docker exec %[1]s pgbaton upgrade status
  enter:   docker exec -it %[1]s psql -U postgres
  finish:  docker exec %[1]s pgbaton upgrade finish --yes
  remove:  docker rm -fv %[1]s && docker volume rm %[2]s   (or: make clean)
`, s.c.Name, s.volume.Name)
}
