package notify

import (
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// one row of a table: what is different from a steady cluster, and what is
// decided then.
type want struct {
	name   string
	change func(*Facts)
	do     Action
	target string
	record func(*node.Record) bool // of the verdict; nil: it has none
	after  func(*node.Record) bool
}

func check(t *testing.T, base func() Facts, rows []want) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := base()
			if row.change != nil {
				row.change(&f)
			}
			v := Decide(f)
			if v.Do != row.do || v.Target != row.target || v.Why == "" {
				t.Fatalf("got %q %q: %s; want %q %q", v.Do, v.Target, v.Why, row.do, row.target)
			}
			same(t, "record", v.Record, row.record)
			same(t, "record afterwards", v.After, row.after)
			for _, by := range jumps {
				g := base()
				if row.change != nil {
					row.change(&g)
				}
				if w := Decide(jumped(g, by)); w.Do != v.Do || w.Target != v.Target || w.Why != v.Why {
					t.Errorf("with a clock set by %v it is %q %q: %s", by, w.Do, w.Target, w.Why)
				}
			}
		})
	}
}

func same(t *testing.T, what string, got *node.Record, want func(*node.Record) bool) {
	t.Helper()
	if (got == nil) != (want == nil) || (got != nil && !want(got)) {
		t.Errorf("%s is %+v", what, got)
	}
}

var now = time.Unix(1_000_000, 0)

// first and second are promotions; the second one is n2's.
func first() node.Promotion {
	return node.Promotion{ID: "p1", Epoch: 1, Node: "n1", Timeline: 1, At: 1}
}

func second() node.Promotion {
	return node.Promotion{ID: "p2", Epoch: 2, Node: "n2", Timeline: 2, At: 100}
}

// record of a node in the given promotions.
func record(name string, promotions ...node.Promotion) *node.Record {
	return &node.Record{
		Node: name, Cluster: "main", SystemIdentifier: 7, Reached: name != promotions[len(promotions)-1].Node,
		Epoch: promotions[len(promotions)-1].Epoch, Promotions: promotions,
	}
}

func primaryRecord(name string, promotions ...node.Promotion) *node.Record {
	r := record(name, promotions...)
	r.Primary = true
	return r
}

func armedRecord(name, primary string, promotions ...node.Promotion) *node.Record {
	r := record(name, promotions...)
	last := r.Newest()
	r.Armed = &node.Armed{Primary: primary, Epoch: last.Epoch, Promotion: last.ID}
	return r
}

// standbyPeer is a standby of n1 that answers.
func standbyPeer(name string, r *node.Record) Peer {
	return Peer{Address: name + ":8008", Answers: true, Asked: true, State: &node.State{
		Node: name, Role: node.Standby,
		Cluster: &node.Cluster{Name: "main", Record: r, Token: "t-" + name, Following: r.Newest().Node, Streaming: true, Received: 90},
	}}
}

// primaryPeer is an open primary that answers.
func primaryPeer(name string, r *node.Record) Peer {
	p := standbyPeer(name, r)
	p.State.Role, p.State.Cluster.Open, p.State.Cluster.Following, p.State.Cluster.Streaming = node.Primary, true, "", false
	return p
}

// emptyPeer has no data.
func emptyPeer(name string) Peer {
	return Peer{Address: name + ":8008", Answers: true, Asked: true, State: &node.State{
		Node: name, Cluster: &node.Cluster{Name: "main", Empty: true},
	}}
}

// stranger never answered.
func stranger(name string) Peer {
	return Peer{Address: name + ":8008", Asked: true, Silent: time.Minute}
}

// asPrimary is n1, the primary, with n2 as its armed heir and n3 beside it.
func asPrimary() Facts {
	r := primaryRecord("n1", first())
	r.Heir = &node.Heir{Node: "n2", Armed: true}
	return Facts{
		Now: now, Fresh: "fresh",
		Policy: Policy{Node: "n1", Cluster: "main", OnSilence: SilencePromote, Bootstrap: "n1"},
		Peers:  []Peer{standbyPeer("n2", armedRecord("n2", "n1", first())), standbyPeer("n3", record("n3", first()))},
		Self: Self{
			Record: r, Data: DataCluster, SystemIdentifier: 7, Server: ServerPrimary, Timeline: 1, End: 90, LSN: 90,
			Named: true, Synced: "n2", SyncedLSN: 80, VIP: true, VRRP: "MASTER", Token: "t-n1",
			Senders: []node.Sender{{Node: "n2", State: "streaming", Flush: 90, Replay: 90}, {Node: "n3", State: "streaming", Flush: 90, Replay: 90}},
		},
	}
}

// asHeir is n2, the armed heir of n1.
func asHeir() Facts {
	r := primaryRecord("n1", first())
	r.Heir = &node.Heir{Node: "n2", Armed: true}
	return Facts{
		Now: now, Fresh: "fresh",
		Policy: Policy{Node: "n2", Cluster: "main", OnSilence: SilencePromote, Bootstrap: "n1"},
		Peers:  []Peer{primaryPeer("n1", r), standbyPeer("n3", record("n3", first()))},
		Self: Self{
			Record: armedRecord("n2", "n1", first()), Data: DataCluster, SystemIdentifier: 7, SignalFile: true, Recovering: true,
			Server: ServerStandby, Timeline: 1, End: 90, Following: "n1", Streaming: true, VRRP: "BACKUP", Token: "t-n2",
		},
	}
}

// asEmpty is n1 without data, nobody else having any.
func asEmpty() Facts {
	f := asPrimary()
	f.Self = Self{Data: DataEmpty}
	f.Peers = []Peer{emptyPeer("n2"), emptyPeer("n3")}
	return f
}

func down(f *Facts) {
	f.Self.Server, f.Self.Senders, f.Self.Named, f.Self.Synced = ServerDown, nil, false, ""
}

// shut is a server that wrote its shutdown checkpoint a while ago and is not gone.
func shut(d time.Duration) func(*Facts) {
	return func(f *Facts) { f.Self.Server, f.Self.Shut = ServerStarting, d }
}

func silence(f *Facts)  { f.Peers[0].Answers = false }
func unheard(f *Facts)  { f.Peers[0].Answers, f.Peers[0].State = false, nil }
func noHeir(f *Facts)   { f.Self.Record.Heir, f.Self.Named, f.Self.Synced = nil, false, ""; disarmed(f) }
func disarmed(f *Facts) { f.Peers[0].State.Cluster.Record.Armed = nil }

// all makes several changes.
func all(changes ...func(*Facts)) func(*Facts) {
	return func(f *Facts) {
		for _, c := range changes {
			c(f)
		}
	}
}

// beatenBy2 makes n2 an open primary of epoch 2 in n1's eyes.
func beatenBy2(f *Facts) { f.Peers[0] = primaryPeer("n2", primaryRecord("n2", first(), second())) }
