package notify

import (
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
)

func TestRejoin(t *testing.T) {
	t.Parallel()
	p := func(id string, timeline uint32, at node.LSN) node.Promotion {
		return node.Promotion{ID: id, Timeline: timeline, At: at}
	}
	one, two, other, three := p("1", 1, 1), p("2", 2, 100), p("o", 3, 80), p("3", 3, 200)
	for _, row := range []struct {
		name   string
		mine   Past
		theirs []node.Promotion
		way    Way
	}{
		{"the same history", Past{Promotions: []node.Promotion{one}, End: 500}, []node.Promotion{one}, WayFollow},
		{"it ends before the branch", Past{Promotions: []node.Promotion{one}, End: 99}, []node.Promotion{one, two}, WayFollow},
		{"it ends with the branch", Past{Promotions: []node.Promotion{one}, End: 100}, []node.Promotion{one, two}, WayFollow},
		{"it goes on after the branch", Past{Promotions: []node.Promotion{one}, End: 101}, []node.Promotion{one, two}, WayRewind},
		{"what is there was acknowledged", Past{Promotions: []node.Promotion{one}, End: 101, Acknowledged: true}, []node.Promotion{one, two}, WayHold},
		{"what was acknowledged lies before the branch", Past{Promotions: []node.Promotion{one}, End: 100, Acknowledged: true}, []node.Promotion{one, two}, WayFollow},
		{"the first of several branches counts", Past{Promotions: []node.Promotion{one}, End: 150}, []node.Promotion{one, two, three}, WayRewind},
		{"this node's is newer", Past{Promotions: []node.Promotion{one, two}, End: 150}, []node.Promotion{one}, WayHold},
		{"nothing in common", Past{Promotions: []node.Promotion{one}, End: 50}, []node.Promotion{two}, WayHold},
		{"nothing is known of this node's", Past{End: 50}, []node.Promotion{two}, WayFollow},
		{"the primary's promotion is not complete", Past{Promotions: []node.Promotion{one}, End: 50}, []node.Promotion{one, p("2", 0, 0)}, WayHold},
		{"this node's promotion is not complete", Past{Promotions: []node.Promotion{one, p("2", 0, 0)}, End: 50}, []node.Promotion{one, other}, WayHold},
		{"two promoted, this one's branch is the earlier", Past{Promotions: []node.Promotion{one, other}, End: 90}, []node.Promotion{one, two}, WayRewind},
		{"two promoted, the other's branch is the earlier", Past{Promotions: []node.Promotion{one, two}, End: 110}, []node.Promotion{one, other}, WayRewind},
		{"two promoted to the same timeline", Past{Promotions: []node.Promotion{one, two}, End: 110}, []node.Promotion{one, p("x", 2, 90)}, WayReclone},
		{"one of them later", Past{Promotions: []node.Promotion{one, two, three}, End: 210}, []node.Promotion{one, other}, WayReclone},
		{"the same timeline, and nothing after the branch", Past{Promotions: []node.Promotion{one, two}, End: 90}, []node.Promotion{one, p("x", 2, 90)}, WayReclone},
		{"the primary went on in the common timeline", Past{Promotions: []node.Promotion{one}, End: 101}, []node.Promotion{one, p("x", 1, 100)}, WayReclone},
		{"and began another one later", Past{Promotions: []node.Promotion{one}, End: 151}, []node.Promotion{one, p("x", 1, 100), p("y", 2, 150)}, WayReclone},
		{"nobody knows since where", Past{Promotions: []node.Promotion{one}, End: 5000}, []node.Promotion{one, p("x", 1, 1)}, WayReclone},
		{"it may have acknowledged something there", Past{Promotions: []node.Promotion{one}, End: 5000, Acknowledged: true}, []node.Promotion{one, p("x", 1, 1)}, WayHold},
		{"it ends before that", Past{Promotions: []node.Promotion{one}, End: 100}, []node.Promotion{one, p("x", 1, 100)}, WayFollow},
		{"this node went on in the common timeline", Past{Promotions: []node.Promotion{one, p("x", 1, 100)}, End: 170}, []node.Promotion{one, p("y", 2, 150)}, WayReclone},
		{"after the primary had left it", Past{Promotions: []node.Promotion{one, p("x", 1, 150)}, End: 170}, []node.Promotion{one, two}, WayRewind},
		{"the same timeline, and acknowledged", Past{Promotions: []node.Promotion{one, two}, End: 110, Acknowledged: true}, []node.Promotion{one, p("x", 2, 90)}, WayHold},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if way, why := Rejoin(row.mine, row.theirs); way != row.way || why == "" {
				t.Errorf("got %v: %s; want %v", way, why, row.way)
			}
		})
	}
	if at, known := Fork([]node.Promotion{one, other}, []node.Promotion{one, two}); at != 80 || !known {
		t.Errorf("the fork is at %s, %v", at, known)
	}
}
