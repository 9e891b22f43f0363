package notify

import (
	"reflect"
	"testing"
	"time"
)

// jumps are how far a wall clock may be set.
var jumps = []time.Duration{-50 * 365 * 24 * time.Hour, -time.Hour, time.Hour, 50 * 365 * 24 * time.Hour}

// jumped sets every time that came from another process (in a peer's answer, in
// a record on disk) as a clock that was set would have written it. Now and the
// deadline of a handover are of this process, which compares them by the
// monotonic clock.
func jumped(f Facts, by time.Duration) Facts {
	own, deadline := f.Now, time.Time{}
	if f.Handover != nil {
		deadline = f.Handover.Deadline
	}
	setTimes(reflect.ValueOf(&f).Elem(), f.Now.Add(by))
	f.Now = own
	if f.Handover != nil {
		f.Handover.Deadline = deadline
	}
	return f
}

func setTimes(v reflect.Value, to time.Time) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			setTimes(v.Elem(), to)
		}
	case reflect.Slice:
		for i := range v.Len() {
			setTimes(v.Index(i), to)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(to))
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				setTimes(v.Field(i), to)
			}
		}
	}
}

// TestATimeThatAnotherProcessWroteDecidesNothing is about the steady states; the
// tables of all decisions ask the same of each of their rows.
func TestATimeThatAnotherProcessWroteDecidesNothing(t *testing.T) {
	t.Parallel()
	counted := 0
	for name, base := range map[string]func() Facts{"primary": asPrimary, "heir": asHeir, "standby": asStandby, "empty": asEmpty} {
		for what, change := range map[string]func(*Facts){"steady": func(*Facts) {}, "silence": silence, "down": down, "beaten": beatenBy2} {
			for _, by := range jumps {
				f := base()
				change(&f)
				want, seat := Decide(f), Sit(f, time.Second)
				g := base()
				change(&g)
				g = jumped(g, by)
				if len(g.Peers) > 0 && g.Peers[0].State != nil && g.Peers[0].State.Time.Sub(g.Now) == by {
					counted++
				}
				if got := Decide(g); got.Do != want.Do || got.Target != want.Target || got.Why != want.Why {
					t.Errorf("%s, %s: with a clock set by %v it is %q %s, without %q %s", name, what, by, got.Do, got.Why, want.Do, want.Why)
				}
				if got := Sit(g, time.Second); got != seat {
					t.Errorf("%s, %s: with a clock set by %v the seat is %+v, without %+v", name, what, by, got, seat)
				}
			}
		}
	}
	if counted == 0 {
		t.Error("no time was set: this test shows nothing")
	}
}
