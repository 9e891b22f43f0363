package node

import (
	"strings"
	"testing"
	"time"
)

func TestRequestsThatCanBeMeant(t *testing.T) {
	for _, r := range []UpgradeRequest{
		{Do: UpgradeNow},
		{Do: UpgradeNow, Target: 17, Mode: ModeLink, Jobs: 4, Analyze: AnalyzeFull, Reindex: ReindexOff, Keep: 72 * time.Hour, NoTrial: true},
		{Do: UpgradeCheck, Target: 99, Mode: ModeAuto, Jobs: 256},
		{Do: UpgradeRehearse, Target: 10, Keep: MaxKeep},
		{Do: UpgradeUndo},
		{Do: UpgradeUndo, Force: true},
		{Do: UpgradeFinish, Force: true},
	} {
		if err := r.Check(); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func TestRequestsThatCannotBeMeantSayWhy(t *testing.T) {
	for _, test := range []struct {
		r   UpgradeRequest
		why string
	}{
		{UpgradeRequest{}, `do is "", not one of now, check, rehearse, undo, finish`},
		{UpgradeRequest{Do: "status"}, `do is "status"`},
		{UpgradeRequest{Do: UpgradeNow, Target: 9}, "target is 9, not a major from 10 to 99"},
		{UpgradeRequest{Do: UpgradeNow, Target: 150004}, "target is 150004"},
		{UpgradeRequest{Do: UpgradeNow, Target: -1}, "target is -1"},
		{UpgradeRequest{Do: UpgradeNow, Mode: "swap"}, `mode is "swap", not one of auto, clone, link, copy`},
		{UpgradeRequest{Do: UpgradeNow, Jobs: 257}, "jobs is 257, not from 0 to 256"},
		{UpgradeRequest{Do: UpgradeNow, Jobs: -1}, "jobs is -1"},
		{UpgradeRequest{Do: UpgradeCheck, Analyze: "on"}, "not one of stages, full, off"},
		{UpgradeRequest{Do: UpgradeRehearse, Reindex: "all"}, "not one of auto, changed, off"},
		{UpgradeRequest{Do: UpgradeNow, Keep: -time.Second}, "keep is -1s"},
		{UpgradeRequest{Do: UpgradeNow, Keep: MaxKeep + 1}, "keep is 87600h0m0.000000001s"},
		{UpgradeRequest{Do: UpgradeNow, Force: true}, "force belongs to undo and finish, not to now"},
		{UpgradeRequest{Do: UpgradeUndo, Target: 15}, "undo takes no target"},
		{UpgradeRequest{Do: UpgradeFinish, Keep: time.Hour}, "finish takes no target"},
	} {
		if err := test.r.Check(); err == nil || !strings.Contains(err.Error(), test.why) {
			t.Errorf("%+v: %v", test.r, err)
		}
	}
}
