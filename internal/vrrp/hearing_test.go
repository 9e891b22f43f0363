package vrrp

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestOnlyANodeWhoseGatewayFellSilentIsDeaf: one letter is one tick. a: the
// gateway answered, h: something else came, .: nothing did.
func TestOnlyANodeWhoseGatewayFellSilentIsDeaf(t *testing.T) {
	t.Parallel()
	dots := func(n int) string { return strings.Repeat(".", n) }
	hears := func(n int) string { return strings.Repeat("h", n) }
	for _, row := range []struct {
		name, ticks string
		deaf        int // ticks
	}{
		{"nobody was ever there", dots(100), 0},
		{"peers that died, and no gateway that ever answered", "hhhh" + dots(100), 0},
		{"peers that died, and the gateway answers", "hahh" + strings.Repeat("a", 100), 0},
		{"every second packet is lost", "a" + strings.Repeat(".h.a", 50), 0},
		{"everything stopped", "ah" + dots(7), 7},
		{"a moment's silence is over at once", "ah...h", 0},
		{"a long one is not over with one word", "ah" + dots(20) + "hhhh", 20},
		{"nor with some words now and then", "ah" + dots(20) + "hhhh.hhh.", 22},
		{"it is over when it hears steadily", "ah" + dots(20) + "hhhhh", 0},
		{"and can come again", "ah" + dots(20) + "hhhhh" + dots(9), 9},
		{"a gateway that went before the others proves nothing", "a" + hears(proofTicks+1) + dots(50), 0},
		{"one that answered now and then does", "a" + hears(proofTicks-1) + dots(50), 50},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var h hearing
			now := time.Unix(1000, 0)
			for _, c := range row.ticks {
				h.tick(now, c != '.', c == 'a')
				now = now.Add(earEvery / 10) // not that the clock alone would say it
			}
			if got := h.deaf(now); got != time.Duration(row.deaf)*earEvery {
				t.Errorf("deaf for %v, want %d ticks", got, row.deaf)
			}
		})
	}
}

func TestAGatewayIsAskedWhereNothingComesAndNowAndThen(t *testing.T) {
	t.Parallel()
	var h hearing
	if !h.wantsProbe() {
		t.Error("a gateway that never answered is not asked")
	}
	now := time.Unix(1000, 0)
	h.tick(now, false, true)
	asked := 0
	for range 5 * askTicks {
		h.tick(now, true, h.wantsProbe())
		if h.wantsProbe() {
			asked++
		}
	}
	if asked < 4 || asked > 6 {
		t.Errorf("asked %d times while others were heard", asked)
	}
	if h.tick(now, false, false); !h.wantsProbe() {
		t.Error("not asked in a tick in which nothing came")
	}
}

// TestOnABusyMachineTheClockCountsOnceTheGatewayWasAskedOftenEnough: a node that
// stood still is not deaf for that, and one whose ticks are late is, in time.
func TestOnABusyMachineTheClockCountsOnceTheGatewayWasAskedOftenEnough(t *testing.T) {
	t.Parallel()
	var h hearing
	now := time.Unix(1000, 0)
	h.tick(now, true, true)
	now = now.Add(time.Hour)
	if h.tick(now, false, false); h.deaf(now) != earEvery {
		t.Errorf("after a standstill: %v", h.deaf(now))
	}
	h.tick(now, true, true)
	for range proofProbes {
		now = now.Add(3 * earEvery)
		h.tick(now, false, false)
	}
	if got := h.deaf(now); got != 3*proofProbes*earEvery {
		t.Errorf("with late ticks: %v", got)
	}
}

func TestAnAnswerOfTheGatewaysIsKnown(t *testing.T) {
	t.Parallel()
	own, gateway := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.1")
	p := place{own: own, mac: "\x02\x00\x00\x00\x00\x07"}
	question := arpQuestion(p, gateway)
	if from, mac := arpAnswer(question); from.IsValid() || mac != "" {
		t.Errorf("a question counts as an answer: %v", from)
	}
	reply := arpPacket(2, "\x02\x00\x00\x00\x00\x01", gateway)
	if from, mac := arpAnswer(reply); from != gateway || mac != "\x02\x00\x00\x00\x00\x01" {
		t.Errorf("%v %x", from, mac)
	}
	six := netip.MustParseAddr("fd00::1")
	ip := six.As16()
	said := append([]byte{136, 0, 0, 0, 0x60, 0, 0, 0}, ip[:]...)
	if from, mac := ndAnswer(said); from != six || mac == "" {
		t.Errorf("%v %x", from, mac)
	}
	for n := range said {
		arpAnswer(reply[:n])
		if _, mac := ndAnswer(said[:n]); mac != "" {
			t.Errorf("%d bytes are an answer", n)
		}
	}
}
