package notify

import (
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

func TestAPrimaryWithoutAnHeir(t *testing.T) {
	t.Parallel()
	base := func() Facts {
		f := asPrimary()
		noHeir(&f)
		return f
	}
	second := func(change func(*node.State)) func(*Facts) {
		return func(f *Facts) {
			f.Peers = f.Peers[:1]
			f.Self.Senders = f.Self.Senders[:1]
			change(f.Peers[0].State)
		}
	}
	cluster := func(change func(*node.Cluster)) func(*Facts) {
		return second(func(s *node.State) { change(s.Cluster) })
	}
	check(t, base, []want{
		{name: "a standby that streams becomes the heir", do: Write, target: "n2", record: chosen("n2")},
		{name: "a paused primary has an heir too", change: func(f *Facts) { f.Self.Record.Paused = true }, do: Write, target: "n2", record: chosen("n2")},
		{name: "commits wait for nobody first", change: func(f *Facts) { f.Self.Named = true }, do: Unname},
		{name: "never under continue", change: func(f *Facts) { f.Policy.OnSilence = SilenceContinue }, do: Wait},
		{name: "never before an end", change: func(f *Facts) { f.Self.Ending = true }, do: Wait},
		{name: "never where commits do not wait", change: func(f *Facts) { f.Self.Lax = "off" }, do: Wait},
		{name: "never on a server that may not wait", change: func(f *Facts) { f.Self.Careless = "an old release" }, do: Wait},
		{name: "not at once after one was given up unproven", change: func(f *Facts) { f.Self.Unproven = doubtAgain - 1 }, do: Wait},
		{name: "again after a while", change: func(f *Facts) { f.Self.Unproven = doubtAgain }, do: Write, target: "n2", record: chosen("n2")},
		{name: "one by whose name two replicate is none", change: all(second(func(*node.State) {}), func(f *Facts) { f.Self.Twins = []string{"n2"} }), do: Wait},
		{name: "nobody streams", change: func(f *Facts) { f.Self.Senders = nil }, do: Wait},
		{name: "the only one will do", change: second(func(*node.State) {}), do: Write, target: "n2", record: chosen("n2")},
		{name: "one that is silent is none", change: all(second(func(*node.State) {}), silence), do: Wait},
		{name: "one that is ahead of this primary is none", change: all(second(func(*node.State) {}), ahead), do: Wait},
		{name: "one that is only catching up is none", change: all(second(func(*node.State) {}), func(f *Facts) { f.Self.Senders[0].State = "catchup" }), do: Wait},
		{name: "one far behind is none", change: all(second(func(*node.State) {}), func(f *Facts) { f.Self.LSN = 1 << 30 }), do: Wait},
		{name: "one that leaves is none", change: cluster(func(c *node.Cluster) { c.Leaving = true }), do: Wait},
		{name: "one whose disk is full is none", change: cluster(func(c *node.Cluster) { c.Cramped = true }), do: Wait},
		{name: "one that is being copied is none", change: cluster(func(c *node.Cluster) { c.Building = true }), do: Wait},
		{name: "one without a token is none", change: cluster(func(c *node.Cluster) { c.Token = "" }), do: Wait},
		{name: "one that follows another is none", change: cluster(func(c *node.Cluster) { c.Following = "n3" }), do: Wait},
		{name: "one without a record is none", change: cluster(func(c *node.Cluster) { c.Record = nil }), do: Wait},
		{name: "one that is paused is none", change: cluster(func(c *node.Cluster) { c.Record.Paused = true }), do: Wait},
		{name: "one of another promotion is none", change: cluster(func(c *node.Cluster) { c.Record.Promotions[0].ID = "p0" }), do: Wait},
		{name: "one that is still armed gives that up first", change: cluster(func(c *node.Cluster) { c.Record = armedRecord("n2", "n1", first()) }), do: AskForDisarm, target: "n2"},
	})
}

// ahead: n2 has WAL that n1, its primary, has not written.
func ahead(f *Facts) { f.Self.Senders[0].Ahead, f.Self.Senders[0].Flush = true, 99 }

func TestAStandbyThatIsAheadIsAnAlarm(t *testing.T) {
	t.Parallel()
	f := asPrimary()
	if w := f.Ahead(); len(w) != 0 {
		t.Errorf("%q", w)
	}
	ahead(&f)
	if w := f.Ahead(); len(w) != 1 || !strings.Contains(w[0], "n2 has WAL up to 0/63, which this primary has not written") || !strings.Contains(w[0], "`pgbaton reclone`") {
		t.Errorf("%q", w)
	}
	if why := f.NoTarget("n2"); why == "" {
		t.Error("it may be handed over to")
	}
	if why := f.NoTarget("n3"); why != "" {
		t.Error(why)
	}
}

func TestAnHeirThatCannotBeArmedYet(t *testing.T) {
	t.Parallel()
	base := func() Facts {
		f := asPrimary()
		disarmed(&f)
		f.Self.Record.Heir.Armed = false
		return f
	}
	unproven := func(f *Facts) { f.Self.Synced = "" }
	unread := func(f *Facts) { f.Self.Senders[0].Replay = 79 }
	forgotten := func(r *node.Record) bool { return r.Primary && r.Heir == nil }
	check(t, base, []want{
		{name: "commits are proven to wait for it", change: unproven, do: Prove, target: "n2"},
		{name: "they wait for somebody else", change: func(f *Facts) { f.Self.Synced = "n3" }, do: Prove, target: "n2"},
		{name: "that cannot be proven: given up", change: func(f *Facts) { f.Self.Synced, f.Self.Doubt = "", doubtFor }, do: Write, target: "n2", record: forgotten},
		{name: "they wait for nobody any more", change: func(f *Facts) { f.Self.Named = false }, do: Prove, target: "n2"},
		{name: "it may come to be armed from now on", do: Write, target: "n2", record: func(r *node.Record) bool { return r.Heir.Armed && r.Heir.Node == "n2" }},
		{name: "but not before it has replayed one of them", change: unread, do: Wait, target: "n2"},
		{name: "of which it may tell itself", change: all(unread, func(f *Facts) { f.Peers[0].State.Cluster.Replayed = 80 }), do: Write, target: "n2", record: func(r *node.Record) bool { return r.Heir.Armed }},
		{name: "it is silent: given up at once", change: all(unproven, silence), do: Write, target: "n2", record: forgotten},
		{name: "it does not stream: given up at once", change: all(unproven, func(f *Facts) { f.Self.Senders = nil }), do: Write, target: "n2", record: forgotten},
		{name: "it is ahead of this primary: given up at once", change: ahead, do: Write, target: "n2", record: forgotten},
		{name: "it leaves: given up at once", change: func(f *Facts) { f.Peers[0].State.Cluster.Leaving = true }, do: Write, target: "n2", record: forgotten},
	})
}

func TestAnHeirThatMayBeArmed(t *testing.T) {
	t.Parallel()
	cluster := func(change func(*node.Cluster)) func(*Facts) {
		return func(f *Facts) { change(f.Peers[0].State.Cluster) }
	}
	cut := func(f *Facts) { f.Self.Senders = f.Self.Senders[1:] }
	forgotten := func(r *node.Record) bool { return r.Primary && r.Heir == nil }
	doubted := func(d time.Duration) func(*Facts) {
		return func(f *Facts) { f.Self.Synced, f.Self.Doubt, f.Self.Doubted = "", d, "why" }
	}
	astray := func(d time.Duration) func(*Facts) {
		return func(f *Facts) { f.Self.Synced, f.Self.Astray = "", d }
	}
	stray := func(f *Facts) { f.Peers[1].State.Cluster.Record = armedRecord("n3", "n1", first()) }
	check(t, asPrimary, []want{
		{name: "it is asked to be armed", change: disarmed, do: AskForArming, target: "n2"},
		{name: "but not before it has replayed one of them", change: all(disarmed, func(f *Facts) { f.Self.Senders[0].Replay = 79 }), do: Wait, target: "n2"},
		{name: "commits wait for it, whoever else is asked", change: silence, do: Wait},
		{name: "a new server proves it anew", change: func(f *Facts) { f.Self.Synced = "" }, do: Prove, target: "n2"},
		{name: "which waits for its stream", change: all(cut, func(f *Facts) { f.Self.Synced = "" }), do: Wait},
		{name: "it lost its stream a moment ago", change: cut, do: Wait},
		{name: "it lost its stream for a while", change: all(cut, func(f *Facts) { f.Self.HeirGone = time.Second }), do: AskForDisarm, target: "n2"},
		{name: "it follows nobody", change: all(cut, cluster(func(c *node.Cluster) { c.Following, c.Streaming = "", false })), do: AskForDisarm, target: "n2"},
		{name: "it restarted", change: all(cut, disarmed), do: AskForDisarm, target: "n2"},
		{name: "it is ahead of this primary", change: ahead, do: AskForDisarm, target: "n2"},
		{name: "and silent: commits come to wait for nobody that is there", change: all(ahead, silence), do: Prove, target: "n2"},
		{name: "it leaves", change: cluster(func(c *node.Cluster) { c.Leaving = true }), do: AskForDisarm, target: "n2"},
		{name: "its disk is full", change: cluster(func(c *node.Cluster) { c.Cramped = true }), do: AskForDisarm, target: "n2"},
		{name: "it is empty", change: cluster(func(c *node.Cluster) { c.Empty = true }), do: AskForDisarm, target: "n2"},
		{name: "it is being copied", change: cluster(func(c *node.Cluster) { c.Building = true }), do: AskForDisarm, target: "n2"},
		{name: "it is paused", change: cluster(func(c *node.Cluster) { c.Record.Paused = true }), do: AskForDisarm, target: "n2"},
		{name: "silence means something else now", change: func(f *Facts) { f.Policy.OnSilence = SilenceContinue }, do: AskForDisarm, target: "n2"},
		{name: "its server may not wait", change: func(f *Facts) { f.Self.Careless = "an old release" }, do: AskForDisarm, target: "n2"},
		{name: "another one replicates by its name", change: func(f *Facts) { f.Self.Twins = []string{"n2"} }, do: AskForDisarm, target: "n2"},
		{name: "another one replicates by another's name", change: func(f *Facts) { f.Self.Twins = []string{"n3"} }, do: Wait},
		{name: "nothing was proven for a moment", change: doubted(doubtFor - 1), do: Prove, target: "n2"},
		{name: "nothing was proven for a while", change: doubted(doubtFor), do: AskForDisarm, target: "n2"},
		{name: "nothing was proven, and it is silent", change: all(doubted(doubtFor), silence), do: Stop, target: "n2"},
		{name: "nothing was proven for a moment, and it is silent", change: all(doubted(doubtFor-1), silence), do: Prove, target: "n2"},
		{name: "its server may not wait, and it is silent", change: all(doubted(astrayFor), silence, func(f *Facts) { f.Self.Careless = "an old release" }), do: Stop, target: "n2"},
		{name: "another one replicates by its name, and it is silent", change: all(doubted(astrayFor), silence, func(f *Facts) { f.Self.Twins = []string{"n2"} }), do: Stop, target: "n2"},
		{name: "somebody unnamed it while it is silent", change: all(cut, silence, astray(1)), do: Name, target: "n2"},
		{name: "which could not be mended", change: all(cut, silence, astray(astrayFor)), do: Stop, target: "n2"},
		{name: "somebody unnamed it, and it streams", change: astray(1), do: Prove, target: "n2"},
		{name: "it gave its right up", change: all(disarmed, func(f *Facts) { f.Self.Disarmed = "n2" }), do: Write, target: "n2", record: forgotten},
		{name: "somebody else's answer says nothing about it", change: func(f *Facts) { f.Self.Disarmed = "n3" }, do: Wait},
		{name: "another one is armed after a force", change: stray, do: AskForDisarm, target: "n3"},
		{name: "and does not answer", change: all(stray, func(f *Facts) { f.Peers[1].Answers = false }), do: Wait},
	})
}
