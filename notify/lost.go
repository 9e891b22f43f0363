package notify

import "fmt"

// lost: a standby that can never stream again, because the primary that it
// follows has removed the WAL that it needs next. Its data is a beginning of the
// primary's, so it is of no value to anybody, and gives way to a copy; it is
// kept aside all the same. Where that would not end (a slot that is lost during
// each copy, a disk without room for two) an operator decides.
func (f *Facts) lost(p Peer) (Verdict, bool) {
	s := f.Self
	l := s.Lost
	if l == nil || l.Primary != p.name() || l.Promotion != p.record().Newest().ID || s.End > l.Needs || !p.isOpen() ||
		s.Streaming || s.Record.Armed != nil || s.Record.Paused || s.Server == ServerStarting || s.Server == ServerPrimary {
		return no()
	}
	why := fmt.Sprintf("%s has removed the WAL from %s on, which this standby needs next, so it can never stream again", p.name(), l.Needs)
	up := s.Server == ServerStandby
	switch {
	case up && l.Kept != "":
		return yes(Hold, p.name(), "%s; the data that gave way to the last copy for that reason is still kept in %s. Remove that, or `pgbaton reclone`", why, l.Kept)
	case up && l.Cramped != "":
		return yes(Hold, p.name(), "%s; %s. `pgbaton reclone` copies it all the same", why, l.Cramped)
	case up:
		return yes(Stop, p.name(), "%s: the server stops for a new copy", why)
	}
	return f.setAside(p, fmt.Sprintf("copying %s anew: %s", p.name(), why))
}
