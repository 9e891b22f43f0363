package pg

import (
	"context"
	"errors"
	"os"
	"syscall"
)

// Mute reports whether an error of a question to a server means that it gave
// no answer in time. Whatever it answers is an answer: a refusal, that a lock is
// held (lock_timeout), a connection that it closes. Neither is a login
// that waits for a lock of a user's (ErrLoginWaits) a sign of a server that hangs.
func Mute(err error) bool {
	if errors.Is(err, ErrLoginWaits) {
		return false
	}
	return errors.Is(err, errNoAnswer) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.EAGAIN)
}
