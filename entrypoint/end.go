package entrypoint

import (
	"fmt"
	"os"
	"time"
)

// endWithin bounds each of the last things that a container does: postgres has
// ended, and Docker kills what takes longer than its grace.
const endWithin = 5 * time.Second

// end closes what is open.
func (s *supervisor) end(code int) int {
	if s.refusal != nil {
		fmt.Fprintln(os.Stderr, s.refusal)
	}
	if s.set.InitOnly && s.volume != nil && s.volume.data == dataCluster && !s.past.Initialized && !s.wish.Ending {
		// The words of the official docker-ensure-initdb.sh.
		fmt.Fprintf(os.Stderr, "note: database already initialized in '%s'!\n", s.volume.place.pgdata)
	}
	for _, e := range s.endings {
		if !e.within(endWithin) {
			s.log.Error("going on with the end of the container without it", "what", e.what)
		}
	}
	return code
}

// ending is what is open, and how it is closed at the end of the container.
type ending struct {
	what  string
	close func()
}

// within closes it and reports whether that was over in time. It goes on where
// it was not.
func (e ending) within(d time.Duration) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.close()
	}()
	select {
	case <-done:
		return true
	case <-time.After(d):
		return false
	}
}
