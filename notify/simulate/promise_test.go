package simulate

import "testing"

// A new supervisor can prove nothing, because no connection is free: the heir gives
// its right up by its own word, and commits wait for nobody.
func TestWhereNothingCanBeProvenTheHeirIsGivenUpAndCommitsReturn(t *testing.T) {
	t.Parallel()
	w := cluster(t, 2)
	n1 := w.box("n1")
	w.crash(n1, crashSupervisor)
	n1.pg.full = true
	w.startSupervisor(n1)
	w.rounds(doubtTicks + 50)
	if n1.record.Heir != nil || !w.serves(n1) {
		w.fail("the heir is %+v, and no commit returns", n1.record.Heir)
	}
	n1.pg.full, n1.sup.gaveUp = false, 0
	w.whole()
}

// Somebody empties synchronous_standby_names while the armed heir is silent.
func TestAnHeirThatSomebodyUnnamedIsNamedAgainBeforeItCanPromote(t *testing.T) {
	t.Parallel()
	w := cluster(t, 2)
	n1, n2 := w.box("n1"), w.box("n2")
	isolating(w, n2)
	w.until("the stream ends", func() bool { return n1.pg.out["n2"] == nil })
	n1.data.names, n1.pg.names = "", ""
	w.until("it is named again", func() bool { return n1.pg.names == "n2" })
	if w.serves(n1) {
		w.fail("a commit returned without the armed heir")
	}
	mending(w, n2)
	w.whole()
}
