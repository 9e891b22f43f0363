//go:build realpg

package pg

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// n2 comes to have a history of its own with the timeline number of n1's.
func TestRealAStandbyThatIsAheadOfItsPrimaryIsNoCopyOfIt(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		n1 := newPrimary(t, b)
		n1.exec(n1.sql(), "create table public.t (n int)")
		n2 := n1.standby("n2", 6002)
		if s, _ := n1.sender("n2"); s.Ahead {
			t.Errorf("a copy is ahead: %+v", s)
		}
		n2.stop("fast")
		if err := os.Remove(n2.data + "/standby.signal"); err != nil {
			t.Fatal(err)
		}
		n2.up()
		n2.exec(n2.sql(), "insert into public.t select generate_series(1, 5000)")
		n2.stop("fast")
		write(t, n2.data+"/standby.signal", "")
		chownAll(t, n2.data+"/standby.signal", int(n2.user.UID))
		n2.up()
		n1.streams("n2") // PostgreSQL has nothing against it
		if s, _ := n1.sender("n2"); !s.Ahead {
			t.Errorf("it is not ahead: %+v", s)
		}
		if _, err := n1.sql().ProveSync(within(t, 30*time.Second), "n2"); !errors.Is(err, ErrAhead) {
			t.Error("commits are proven to wait for it:", err)
		}
		if names := n1.text("show synchronous_standby_names"); !strings.Contains(names, "nobody") {
			t.Errorf("commits wait for %s", names)
		}
		n2.stop("fast")
		from := n1.from("n2")
		from.Passfile = n2.pass
		begun, err := Rewind(t.Context(), RewindSpec{Binaries: b, Data: n2.data, From: from, User: &n1.user})
		if !errors.Is(err, ErrNothingRewound) || !begun {
			t.Errorf("a rewind that does nothing: begun %v, %v", begun, err)
		}
	})
}
