package notify

import (
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

func TestWhoMayHoldTheVIP(t *testing.T) {
	t.Parallel()
	noVIP := func(f *Facts) { f.Self.VIP, f.Self.VRRP = false, "BACKUP" }
	gave := func(f *Facts) { f.Self.Record.Released = &node.Release{Target: "n2", Epoch: 1} }
	ends := func(f *Facts) { f.Self.Ending = true }
	both := func(f *Facts) { f.Policy.OnSilence = SilenceBoth }
	dry := func(f *Facts) { f.Self.Streaming = false }
	deaf := func(d time.Duration) func(*Facts) { return func(f *Facts) { f.Self.Deaf = d } }
	apart := func(f *Facts) { f.Peers[0].Answers, f.Peers[1].Answers = false, false }
	const never = -1
	for _, row := range []struct {
		name     string
		base     func() Facts
		change   func(*Facts)
		yielded  time.Duration
		eligible bool
		pref     int
	}{
		{"an open primary", asPrimary, noVIP, never, true, prefPrimary},
		{"a primary that is beaten and open no more", asPrimary, all(noVIP, beatenBy2), never, false, prefOther},
		{"a closed primary without the VIP", asPrimary, all(noVIP, down), never, false, prefOther},
		{"a closed primary keeps it while its heir answers", asPrimary, down, never, true, prefPrimary},
		{"a closed primary leaves it to a heir that is silent", asPrimary, all(down, silence), never, false, prefOther},
		{"a closed primary that nobody may follow keeps it", asPrimary, all(noHeir, down, silence), never, true, prefPrimary},
		{"after a release it stays until the target is open", asPrimary, all(down, gave), never, true, prefPrimary},
		{"after a release to one that is silent", asPrimary, all(down, gave, silence), never, false, prefOther},
		{"after a release the target is open", asPrimary, all(down, gave, beatenBy2), never, false, prefOther},
		{"after a release the target is open, and processes are left here", asPrimary, all(down, gave, beatenBy2, shut(lateFor-1)), never, true, prefPrimary},
		{"after a release the target is open, and processes are left here for long", asPrimary, all(down, gave, beatenBy2, shut(lateFor)), never, false, prefOther},
		{"a primary that hands over and ends", asPrimary, all(down, ends, gave), never, true, prefPrimary},
		{"a primary that ends", asPrimary, all(down, ends), never, false, prefOther},
		{"an armed heir", asHeir, nil, never, true, prefHeir},
		{"an armed heir that gave it back just now", asHeir, nil, time.Second, false, prefOther},
		{"an armed heir that gave it back a while ago", asHeir, nil, time.Minute, true, prefHeir},
		{"an armed heir with the VIP of which keepalived has said nothing yet", asHeir, func(f *Facts) { f.Self.VRRP, f.Self.Unsaid = "BACKUP", time.Second }, never, true, prefHeir},
		{"an armed heir with the VIP of which keepalived says nothing", asHeir, func(f *Facts) { f.Self.VRRP, f.Self.Unsaid = "BACKUP", 3*time.Second }, never, false, prefOther},
		{"an open primary with the VIP of which keepalived says nothing", asPrimary, func(f *Facts) { f.Self.VRRP, f.Self.Unsaid = "STOP", time.Minute }, never, true, prefPrimary},
		{"an armed heir that is paused", asHeir, func(f *Facts) { f.Self.Record.Paused = true }, never, false, prefOther},
		{"an armed heir whose server is down", asHeir, down, never, false, prefOther},
		{"an armed heir that ends", asHeir, ends, never, false, prefOther},
		{"another standby", asStandby, nil, never, false, prefOther},
		{"another standby under both", asStandby, both, never, true, prefHeir},
		{"one without a stream under both", asStandby, all(both, dry), never, false, prefOther},
		{"one whose primary is silent under both", asStandby, all(both, silence, dry), never, true, prefHeir},
		{"one that never streamed from it under both", asStandby, all(both, silence, dry, func(f *Facts) { f.Self.Record.Reached = false }), never, false, prefOther},
		{"a primary that hears no peer, and its gateway", asPrimary, apart, never, true, prefPrimary},
		{"a primary that nothing has reached for a moment", asPrimary, all(apart, deaf(deafPrimary-1)), never, true, prefPrimary},
		{"a primary that nothing reaches", asPrimary, all(apart, deaf(deafPrimary)), never, false, prefOther},
		{"a primary that a peer reaches by another network", asPrimary, all(func(f *Facts) { f.Peers[0].Answers = false }, deaf(time.Minute)), never, true, prefPrimary},
		{"a primary that the arbiter reaches by another network", asRuledPrimary, all(apart, deaf(time.Minute)), never, true, prefPrimary},
		{"a primary that nothing reaches, nor the arbiter", asRuledPrimary, all(apart, away, deaf(deafPrimary)), never, false, prefOther},
		{"a closed primary that nothing reaches", asPrimary, all(noHeir, down, apart, deaf(deafPrimary)), never, false, prefOther},
		{"an armed heir that nothing has reached for a moment", asHeir, deaf(deafStandby - 1), never, true, prefHeir},
		{"an armed heir that nothing reaches", asHeir, deaf(deafStandby), never, false, prefOther},
		{"an armed heir that nothing reaches, with the VIP", asHeir, all(master, silence, deaf(deafStandby)), never, false, prefOther},
		{"an empty node", asEmpty, nil, never, false, prefOther},
		{"a corrupt record", asPrimary, func(f *Facts) { f.Self.Corrupt = true }, never, false, prefOther},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := row.base()
			if row.change != nil {
				row.change(&f)
			}
			s := Sit(f, row.yielded)
			if s.Eligible != row.eligible || s.Pref != row.pref || s.Why == "" {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestAStandbyYieldsTheVIPToAnOpenPrimary(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		base   func() Facts
		change func(*Facts)
		yields bool
	}{
		{"the primary answers and is open", asHeir, master, true},
		{"the VIP is not here", asHeir, nil, false},
		{"the primary is silent", asHeir, all(master, silence), false},
		{"the primary is closed", asHeir, all(master, func(f *Facts) { f.Peers[0].State.Cluster.Open = false }), false},
		{"this node is the primary", asPrimary, nil, false},
		{"this node has no record", asHeir, all(master, func(f *Facts) { f.Self.Record = nil }), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := row.base()
			if row.change != nil {
				row.change(&f)
			}
			if Yields(f) != row.yields {
				t.Errorf("yields: %v", !row.yields)
			}
		})
	}
}

func TestTargetsOfAHandover(t *testing.T) {
	t.Parallel()
	f := asPrimary()
	if p, found := f.Primary(); found || f.Beaten() {
		t.Errorf("%+v", p)
	}
	for name, fits := range map[string]bool{"": true, "n2": true, "n3": true, "n4": false} {
		if why := f.NoTarget(name); (why == "") != fits {
			t.Errorf("%q: %s", name, why)
		}
	}
	for name, c := range map[string]struct {
		change func(*Facts)
		why    string
	}{
		"n9": {func(*Facts) {}, "no node of this cluster that ever answered here is called n9; there are n1, n2, n3"},
		"n2": {func(f *Facts) { f.Peers[0].State.Cluster.Record.Paused = true }, "n2 cannot take over: it is paused"},
		"n3": {func(f *Facts) { f.Peers[1].Answers = false }, "n3 does not answer"},
	} {
		f := asPrimary()
		c.change(&f)
		if why := f.NoTarget(name); !strings.Contains(why, c.why) {
			t.Errorf("%s: %s", name, why)
		}
	}
	f.Self.Senders = nil
	if why := f.NoTarget("n2"); !strings.Contains(why, "n2 does not stream from here") {
		t.Error(why)
	}
	if f.NoTarget("") == "" {
		t.Error("nobody streams")
	}
	beatenBy2(&f)
	if p, found := f.Primary(); !found || p.name() != "n2" || !f.Beaten() {
		t.Errorf("%+v", p)
	}
}
