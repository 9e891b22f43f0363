package pg

import (
	"errors"

	"github.com/lib/pq"
)

// Mute reports whether an error of a question to a server means that no answer
// came, and not that the server refused, or takes no connections just now.
func Mute(err error) bool {
	return err != nil && !errors.Is(err, ErrNotYet) && pq.As(err) == nil
}
