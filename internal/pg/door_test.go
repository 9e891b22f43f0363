package pg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

// A server that greets nobody, as one does whose database is locked.
func TestOfLoginsThatNobodyAnswersOneWaitsInEachDatabase(t *testing.T) {
	var logins atomic.Int32
	l := listen(t, func(c *net.UnixConn) {
		logins.Add(1)
		raw, err := c.File() // the connection outlives this function
		if err == nil {
			t.Cleanup(func() { _ = raw.Close() })
		}
	})
	d := NewDoor(time.Second)
	defer d.Close()
	l = d.Use(l)
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, _, err := l.Facts(ctx)
		cancel()
		if err == nil || Mute(err) {
			t.Errorf("a login that waits counts as %v", err)
		}
	}
	if n := int(logins.Load()); n > len(homes) {
		t.Errorf("%d logins wait in %d databases", n, len(homes))
	}
}

func TestADoorTriesAnotherDatabaseWhereOneIsShut(t *testing.T) {
	var logins atomic.Int32
	l := listen(t, func(c *net.UnixConn) {
		_, _ = c.Read(make([]byte, 1000))
		logins.Add(1)
		_, _ = c.Write(errorResponse("55000"))
	})
	d := NewDoor(time.Second)
	defer d.Close()
	l = d.Use(l)
	if _, _, err := l.Facts(t.Context()); !isShut(err) {
		t.Error(err)
	}
	if n := logins.Load(); n != 2 {
		t.Errorf("%d databases were tried", n)
	}
	d.shun("template1", time.Time{})
	if first := l.databases()[0]; first != "template1" {
		t.Errorf("%s is tried first although it was shut a moment ago", first)
	}
}

func TestWhatCountsAsAnAnswer(t *testing.T) {
	for _, c := range []struct {
		err  error
		mute bool
	}{
		{nil, false},
		{&pq.Error{Code: pqerror.LockNotAvailable}, false},
		{&pq.Error{Code: pqerror.TooManyConnections}, false},
		{&pq.Error{Code: pqerror.CannotConnectNow}, false},
		{syscall.ECONNREFUSED, false},
		{syscall.ECONNRESET, false},
		{syscall.ENOENT, false},
		{syscall.EMFILE, false},
		{fmt.Errorf("%w: %w", errNoAnswer, ErrLoginWaits), false},
		{errNoAnswer, true},
		{context.DeadlineExceeded, true},
		{os.ErrDeadlineExceeded, true},
		{syscall.EAGAIN, true}, // the postmaster accepts nothing and its queue is full
		{errors.New("something else"), false},
	} {
		if Mute(c.err) != c.mute {
			t.Errorf("%v: mute is %v", c.err, !c.mute)
		}
	}
}
