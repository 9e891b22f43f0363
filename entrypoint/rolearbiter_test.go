package entrypoint

import (
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/notify"
)

func TestWhatCanBeLostIsSaidWithTheArbiterThereAndAway(t *testing.T) {
	t.Parallel()
	primary := &node.Record{Primary: true, Heir: &node.Heir{Node: "n2", Armed: true}}
	for _, row := range []struct {
		name    string
		arbiter *notify.Arbiter
		record  *node.Record
		want    string
	}{
		{"no arbiter", nil, primary, "wait on when it is silent"},
		{"it answers", &notify.Arbiter{Answers: true}, primary, "the primary goes on alone"},
		{"it is away", &notify.Arbiter{}, primary, "the arbiter (etcd) does not answer"},
		{"no primary, an armed heir", nil, &node.Record{Armed: &node.Armed{}}, "no primary answers, so nothing is acknowledged and nothing more is lost by waiting; this node is the armed heir"},
		{"no primary and no heir", &notify.Arbiter{Answers: true}, &node.Record{}, "`pgbaton promote --force` makes it the primary, and loses"},
		{"nobody is armed", &notify.Arbiter{Answers: true}, &node.Record{Primary: true}, "no heir is armed"},
	} {
		f := notify.Facts{Policy: notify.Policy{OnSilence: notify.SilencePromote}, Self: notify.Self{Record: row.record}, Arbiter: row.arbiter}
		if said := loses(&f); !strings.Contains(said, row.want) {
			t.Errorf("%s: %q does not say %q", row.name, said, row.want)
		}
	}
}
