package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
)

func TestTheQuestionBeforeAnUpgradeTellsTheWayBackAndTheOutage(t *testing.T) {
	st := node.State{Major: 15, Available: []int{15, 17, 18}, AutoMode: node.ModeLink}
	rehearsed := st
	rehearsed.Upgrade = &node.Upgrade{Outcome: node.Rehearsed, From: 15, To: 18, Forecast: 4200 * time.Millisecond}
	unknown := st
	unknown.AutoMode = ""
	for name, c := range map[string]struct {
		r    node.UpgradeRequest
		st   node.State
		want []string
	}{
		"links":            {node.UpgradeRequest{}, st, []string{"upgrades PostgreSQL 15 to 18", "Mode link; way back: none but a restore", "--mode copy", "`pgbaton upgrade rehearse` tells"}},
		"a copy":           {node.UpgradeRequest{Target: 17, Mode: node.ModeCopy}, st, []string{"15 to 17", "Mode copy; way back: `pgbaton upgrade undo`"}},
		"it was rehearsed": {node.UpgradeRequest{}, rehearsed, []string{"expects 4.2s without service"}},
		"for another one":  {node.UpgradeRequest{Target: 17}, rehearsed, []string{"`pgbaton upgrade rehearse` tells"}},
		"nobody knows":     {node.UpgradeRequest{}, unknown, []string{"which leaves a way back, else it links, which leaves none"}},
	} {
		got := begins(c.r, c.st)
		for _, w := range c.want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: %q does not say %q", name, got, w)
			}
		}
	}
}

func TestFinishTellsTheTruthAboutTheWayBack(t *testing.T) {
	link := node.Kept{Major: 15, Mode: node.ModeLink, Path: "/v/link"}
	whole := node.Kept{Major: 13, Mode: node.ModeCopy, Path: "/v/copy"}
	for name, c := range map[string]struct {
		kept       []node.Kept
		want, none string
	}{
		"links":         {[]node.Kept{link}, "PostgreSQL 15 in /v/link. It is no way back any more: it shares its files", "only way back"},
		"a copy":        {[]node.Kept{whole}, "PostgreSQL 13 in /v/copy. It is the only way back except a restore", "no way back"},
		"both":          {[]node.Kept{whole, link}, "in /v/copy. It is the only way back except a restore. This removes the old cluster of PostgreSQL 15 in /v/link. It is no way back", "them"},
		"none is known": {nil, "every old cluster", "restore"},
	} {
		if got := cost(node.UpgradeFinish, node.Upgrade{}, c.kept); !strings.Contains(got, c.want) || strings.Contains(got, c.none) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestWatchWaitsForWhatBecomesOfAMarker: it is taken some time after it was dropped,
// and told of some time after that.
func TestWatchWaitsForWhatBecomesOfAMarker(t *testing.T) {
	socket := filepath.Join(t.TempDir(), nodeapi.SocketName)
	f := &fake{}
	st := node.State{Phase: node.Running, Ready: true, Major: 15, Volume: t.TempDir()}
	f.store(st)
	stop := serveFake(t, f, socket)
	defer stop()
	marker := filepath.Join(st.Volume, "upgrade")
	if err := os.WriteFile(marker, []byte("17\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		f.seen()
		if err := os.Remove(marker); err != nil {
			t.Error(err)
		}
		begun := running()
		begun.Volume = st.Volume
		f.store(begun)
	}()
	got, err := awaitMarker(t.Context(), nodeapi.NewClient(socket), f.State())
	if err != nil || got.Upgrade == nil || got.Upgrade.Outcome != node.UpgradeRunning {
		t.Errorf("%+v, %v", got, err)
	}
	f.store(st)
	if got, err := awaitMarker(t.Context(), nodeapi.NewClient(socket), f.State()); err != nil || got.Upgrade != nil {
		t.Errorf("without a marker: %+v, %v", got, err)
	}
}
