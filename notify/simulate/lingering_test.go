package simulate

import (
	"testing"

	"github.com/pgbaton/pgbaton/notify"
)

// handing is a cluster of two whose primary has shut down for a handover, and
// has processes left for as long as it may.
func handing(t *testing.T) *world {
	t.Helper()
	w := cluster(t, 2)
	w.write(w.boxes[0])
	w.dice = func(_ int, what string) int {
		if what == "processes are left" || what == "the last processes end" {
			return 2
		}
		return 0
	}
	switching(w, w.boxes[0])
	w.until("the primary has shut down", func() bool { return w.boxes[0].pg != nil && w.boxes[0].pg.shut > 0 })
	return w
}

func TestAServerThatHasShutDownIsHandedOverBeforeItIsGone(t *testing.T) {
	t.Parallel()
	w := handing(t)
	old, heir := w.boxes[0], w.boxes[1]
	w.until("the heir is open", heir.isOpen)
	if old.pg == nil || old.record.Released == nil {
		w.fail("the heir opened without a release by a server that was still there")
	}
	w.until("the old primary follows", func() bool { return old.pg.mode == notify.ServerStandby })
	w.whole()
}

func TestAServerThatHasShutDownIsNotHandedOverToAnHeirWithoutItsCheckpoint(t *testing.T) {
	t.Parallel()
	w := handing(t)
	old, heir := w.boxes[0], w.boxes[1]
	breaking(w, heir) // before the checkpoint, and nobody is let in any more
	w.until("the old primary is open again", old.isOpen)
	if old.record.Released != nil || heir.record.Primary {
		w.fail("the right to open was given to an heir that lacks the shutdown checkpoint")
	}
	w.whole()
}

func TestACrashWhileProcessesOfAReleasedServerAreLeftChangesNothing(t *testing.T) {
	t.Parallel()
	for _, how := range []crash{crashSupervisor, crashContainer, crashPower} {
		w := handing(t)
		old, heir := w.boxes[0], w.boxes[1]
		w.until("the right is given away", func() bool { return old.record.Released != nil })
		w.crash(old, how)
		w.until("the heir is open", heir.isOpen)
		w.startContainer(old)
		w.rounds(30)
		if old.pg != nil && old.pg.mode == notify.ServerPrimary {
			w.fail("the old primary opened after its release")
		}
		w.whole()
	}
}
