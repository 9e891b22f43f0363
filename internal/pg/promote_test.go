package pg

import (
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/proc"
)

func TestAServerThatDiesWhileItIsPromotedIsNoticedAtOnce(t *testing.T) {
	t.Parallel()
	p, err := proc.Start(proc.Spec{Args: []string{"true"}}, proc.Launch{})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	err = awaitPromotion(t.Context(), t.TempDir(), nil, p) // which has no time limit
	if err == nil || !strings.Contains(err.Error(), "died while it was promoted") {
		t.Error(err)
	}
}
