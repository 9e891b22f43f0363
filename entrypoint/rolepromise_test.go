package entrypoint

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
)

func TestArgumentsThatWouldWinOverTheHeirAreRefusedWithPeers(t *testing.T) {
	for _, c := range []struct {
		args   string
		peers  bool
		refuse bool
	}{
		{"-c synchronous_standby_names=", true, true},
		{"-csynchronous_standby_names=*", true, true},
		{"-p 5433 --synchronous-standby-names=x", true, true},
		{"-c Synchronous_Standby_Names=x", true, true},
		{"-c synchronous_standby_names=", false, false},
		{"-c primary_conninfo=host=elsewhere", true, true},
		{"--primary-slot-name=x", true, true},
		{"-c synchronous_commit=remote_apply", true, false},
		{"-c application_name=synchronous_standby_names", true, false},
	} {
		s := &supervisor{args: strings.Fields(c.args)}
		if c.peers {
			s.set.Peers = []string{"db1", "db2"}
		}
		err := s.checkArgs()
		if (err != nil) != c.refuse {
			t.Errorf("%q: %v", c.args, err)
		}
		if err != nil && !strings.Contains(err.Error(), "leave it out; nothing was touched") {
			t.Error(err)
		}
	}
}

func TestNamesByWhichTwoReplicateAreFound(t *testing.T) {
	w := func(name, state string) node.Sender { return node.Sender{Node: name, State: state} }
	senders := []node.Sender{w("n2", "streaming"), w("n3", "streaming"), w("N2", "streaming"), w("n3", "startup"), w("n4", "backup")}
	if got := twins(senders); !slices.Equal(got, []string{"N2"}) || !isTwin("n2", senders) || isTwin("n3", senders) {
		t.Error(got)
	}
}

func TestWhatLastsIsCountedFromItsBeginning(t *testing.T) {
	var since time.Time
	begin := time.Now()
	for _, c := range []struct {
		so   bool
		at   time.Duration
		want time.Duration
	}{{false, 0, 0}, {true, 1, 1}, {true, 11, 10}, {false, 12, 0}, {true, 20, 1}} {
		if got := lasting(&since, c.so, begin.Add(c.at)); got != c.want {
			t.Errorf("after %d: %d, want %d", c.at, got, c.want)
		}
	}
}

func TestMinorReleasesThatSkipTheWaitAreKnown(t *testing.T) {
	for version, skips := range map[int]bool{0: false, 130020: true, 130021: false, 150012: true, 150013: false, 170004: true, 170005: false, 180000: false} {
		if why := pg.SkipsWait(version); (why != "") != skips {
			t.Errorf("%d: %q", version, why)
		}
	}
}
