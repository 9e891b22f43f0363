package notify

import (
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
)

func ask(a Ask) Request {
	return Request{Ask: a, Cluster: "main", From: "n1", Epoch: 1, Promotion: "p1", LSN: 80, Token: "t-n2"}
}

func TestAnswersToPeers(t *testing.T) {
	t.Parallel()
	armed := func(r *node.Record) bool {
		return r.Armed != nil && *r.Armed == node.Armed{Primary: "n1", Epoch: 1, Promotion: "p1"}
	}
	unarmedNow := func(r *node.Record) bool { return r.Armed == nil }
	self := func(change func(*Self)) func(*Facts, *Request) {
		return func(f *Facts, _ *Request) { change(&f.Self) }
	}
	asked := func(change func(*Request)) func(*Facts, *Request) {
		return func(_ *Facts, q *Request) { change(q) }
	}
	for _, row := range []struct {
		name   string
		ask    Ask
		change func(*Facts, *Request)
		done   bool
		record func(*node.Record) bool
	}{
		{name: "a standby that streams is armed", ask: AskArm, done: true, record: armed},
		{name: "another cluster's request", ask: AskArm, change: asked(func(q *Request) { q.Cluster = "other" })},
		{name: "another epoch's request", ask: AskArm, change: asked(func(q *Request) { q.Epoch = 2 })},
		{name: "another promotion's request", ask: AskArm, change: asked(func(q *Request) { q.Promotion = "p2" })},
		{name: "no record", ask: AskDisarm, change: self(func(s *Self) { s.Record = nil })},
		{name: "it promoted", ask: AskDisarm, change: self(func(s *Self) { s.Record.Primary = true })},
		{name: "it lacks the proven commit", ask: AskArm, change: asked(func(q *Request) { q.LSN = 91 })},
		{name: "an arm that is late", ask: AskArm, change: asked(func(q *Request) { q.Token = "older" })},
		{name: "an arm without a token", ask: AskArm, change: func(f *Facts, q *Request) { f.Self.Token, q.Token = "", "" }},
		{name: "it does not stream", ask: AskArm, change: self(func(s *Self) { s.Streaming = false })},
		{name: "it streams from another", ask: AskArm, change: self(func(s *Self) { s.Following = "n3" })},
		{name: "its server is down", ask: AskArm, change: self(func(s *Self) { s.Server = ServerDown })},
		{name: "it is about to end", ask: AskArm, change: self(func(s *Self) { s.Ending = true })},
		{name: "it is paused", ask: AskArm, change: self(func(s *Self) { s.Record.Paused = true })},
		{name: "it could not give the right up again", ask: AskArm, change: self(func(s *Self) { s.Cramped = true })},
		{name: "its replay is paused", ask: AskArm, change: self(func(s *Self) { s.Replay.Paused = true })},
		{name: "silence means something else here", ask: AskArm, change: func(f *Facts, _ *Request) { f.Policy.OnSilence = SilenceBoth }},
		{name: "it gives its right up", ask: AskDisarm, done: true, record: unarmedNow},
		{name: "it gives it up whatever it does", ask: AskDisarm, change: self(func(s *Self) { s.Server = ServerDown }), done: true, record: unarmedNow},
		{name: "it has no right, and writes nothing, which a full disk might not take", ask: AskDisarm, change: self(func(s *Self) { s.Record.Armed = nil }), done: true},
		{name: "it never had a right in a newer epoch", ask: AskDisarm, change: asked(func(q *Request) { q.Epoch, q.Promotion = 2, "p2" }), done: true},
		{name: "an older epoch's disarming", ask: AskDisarm, change: self(func(s *Self) { s.Record.Epoch = 2 })},
		{name: "it is ready to take over", ask: AskPrepare, done: true},
		{name: "it is not ready to take over", ask: AskPrepare, change: self(func(s *Self) { s.Ending = true })},
		{name: "its replay is paused, and it could not take over", ask: AskPrepare, change: self(func(s *Self) { s.Replay.Paused = true })},
		{name: "it has much to replay, and could not open at once", ask: AskPrepare, change: self(func(s *Self) { s.End, s.Replayed = 1<<30, 1 })},
		{name: "a release to it", ask: AskTake, change: asked(func(q *Request) { q.Release = &node.Release{Target: "n2", Epoch: 1} }), done: true},
		{name: "a release to another", ask: AskTake, change: asked(func(q *Request) { q.Release = &node.Release{Target: "n3", Epoch: 1} })},
		{name: "a release of another epoch", ask: AskTake, change: asked(func(q *Request) { q.Release = &node.Release{Target: "n2", Epoch: 2} })},
		{name: "no release", ask: AskTake},
		{name: "a standby that leaves", ask: AskLeaving, done: true},
		{name: "nonsense", ask: "nonsense"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f, q := asHeir(), ask(row.ask)
			if row.change != nil {
				row.change(&f, &q)
			}
			before := f.Self.Record
			reply, next := Answer(f, q)
			if reply.Done != row.done || reply.Why == "" {
				t.Errorf("done %v: %s", reply.Done, reply.Why)
			}
			same(t, "the new record", next, row.record)
			if next != nil && reply.Record != next || next == nil && reply.Record != before {
				t.Errorf("the reply's record is %+v", reply.Record)
			}
		})
	}
}
