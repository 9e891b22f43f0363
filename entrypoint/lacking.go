package entrypoint

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/pgbaton/pgbaton/internal/pg"
)

// lackEvery is how often a server is asked which options its tables have: each
// database is asked, and a release sets them for every table that is made.
const lackEvery = 10 * time.Minute

// lacking knows which newer majors cannot take what the cluster holds, whatever
// else there is: their release does not know an option that this one sets.
type lacking struct {
	asked      time.Time
	major      int
	identities map[int]string
	unknown    map[int][]string
}

// look asks anew where the majors have changed, and now and then. It is for one
// goroutine beside the loop.
func (l *lacking) look(ctx context.Context, now serving, found []pg.Binaries, identities map[int]string, log *slog.Logger) map[int][]string {
	newer := slices.DeleteFunc(slices.Clone(found), func(b pg.Binaries) bool { return b.Major <= now.major })
	if now.login == nil || len(newer) == 0 {
		return l.unknown
	}
	if time.Since(l.asked) < lackEvery && l.major == now.major && maps.Equal(l.identities, identities) {
		return l.unknown
	}
	l.asked, l.major, l.identities, l.unknown = time.Now(), now.major, identities, map[int][]string{}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	options, err := pg.OptionsInUse(ctx, now.login)
	for _, b := range newer {
		if err == nil {
			l.unknown[b.Major], err = b.Lacks(options)
		}
	}
	if err != nil { // then a check tells
		log.Debug("see which majors know the options that tables have", "error", err)
	}
	return l.unknown
}
