package entrypoint

import (
	"testing"
	"time"
)

func TestWhatKeepsFailingIsTriedLessOftenAndSaidNowAndThen(t *testing.T) {
	var f failing
	now, said, tries := time.Now(), 0, 0
	for end := now.Add(time.Hour); now.Before(end); {
		pause, say := f.again("too many clients", now)
		if say {
			said++
		}
		if pause > taskPauseMax || pause < taskPause || tries == 0 && pause != taskPause {
			t.Fatalf("after %d tries it waits %v", tries, pause)
		}
		tries++
		now = now.Add(pause)
	}
	if said < 50 || said > 60 {
		t.Errorf("it was said %d times in an hour", said)
	}
	if _, say := f.again("another reason", now.Add(2*taskReason)); !say {
		t.Error("another reason was not said")
	}
}
