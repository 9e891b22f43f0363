package pg

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// Stop ends the server and returns when every process of it is gone and its
// socket directory is removed: fast, and immediate when ctx ends or half a
// minute has passed, both of which are an error only where the data directory
// is meant to be used (Fsync). It works with a ctx that has ended.
func (h *Helper) Stop(ctx context.Context) error {
	err := h.stop(ctx)
	if err != nil {
		err = fmt.Errorf("stop the private server of PostgreSQL %d on %s: %w", h.spec.Binaries.Major, h.spec.Data, h.withLog(err))
	}
	return errors.Join(err, h.dir.remove())
}

func (h *Helper) stop(ctx context.Context) error {
	select {
	case <-h.ended:
		if h.err != nil {
			return fmt.Errorf("it had ended by itself: %w", h.err)
		}
		return nil
	default:
	}
	if ctx.Err() == nil {
		if err := h.post.Signal(Fast); err != nil {
			return err
		}
		t := time.NewTimer(helperFast)
		defer t.Stop()
		select {
		case <-h.ended:
			return h.err
		case <-ctx.Done():
		case <-t.C:
		}
	}
	if !h.kill(Immediate) {
		return errors.New("it did not end, not even by SIGKILL: a process of it hangs in the kernel")
	}
	if h.spec.Fsync {
		return errors.New("it was stopped without a checkpoint; it recovers at its next start")
	}
	return nil
}

// kill ends the server with sig, and with SIGKILL where that does not help. It
// reports whether all of it is gone.
func (h *Helper) kill(sig syscall.Signal) bool {
	if h.post == nil {
		return true
	}
	defer h.post.Release()
	_ = h.post.Signal(sig)
	if h.gone(helperImmediate) {
		return true
	}
	// Its children end by themselves when they notice, which a busy one does late.
	children := h.children()
	_ = h.post.Signal(syscall.SIGKILL)
	for _, c := range children {
		_ = c.Signal(syscall.SIGKILL)
	}
	end := time.Now().Add(helperKill)
	all := h.gone(helperKill)
	for _, c := range children {
		select {
		case <-c.Done():
		case <-time.After(time.Until(end)):
			all = false
		}
		c.Release()
	}
	return all
}

func (h *Helper) gone(within time.Duration) bool {
	select {
	case <-h.ended:
		return true
	case <-time.After(within):
		return false
	}
}

func (h *Helper) children() []*proc.Process {
	list, err := proc.List()
	if err != nil {
		return nil
	}
	var res []*proc.Process
	for _, i := range list {
		if i.PPID != h.post.PID {
			continue
		}
		if p, err := proc.Adopt(i.PID, i.Start); err == nil {
			res = append(res, p)
		}
	}
	return res
}
