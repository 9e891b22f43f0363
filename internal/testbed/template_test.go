package testbed

import (
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestInitializedVolumesAreTheirOwn(t *testing.T) {
	t.Parallel()
	began := time.Now()
	a := runPlain(t)
	first := time.Since(began)
	began = time.Now()
	b := runPlain(t)
	t.Logf("the first took %v, the second %v", first, time.Since(began))
	if _, err := a.DB().Exec("create table only_here (n int)"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.DB().Exec("create table only_here (n int)"); err != nil {
		t.Errorf("a table of another volume is there: %v", err)
	}
}
