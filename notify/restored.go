package notify

// restored: recovery.signal says that a backup was restored here, whose WAL may
// lie in an archive only. Without the file PostgreSQL would start with what is
// in the backup and write over the rest; as a standby it would replay beyond
// where the restore was to end. So the restore is finished first where this data
// is known to be the cluster's, and else an operator decides.
func restored(f *Facts) (Verdict, bool) {
	s := f.Self
	if !s.Restore || s.Server != ServerDown {
		return no()
	}
	if s.Ending {
		return yes(Leave, "", "the server is down")
	}
	r := s.Record
	if r.Primary && r.Newest().Timeline == 0 && r.Newest().Node == f.Policy.Node && !f.isBeaten() {
		return yes(Finish, "", "a backup was restored here: its WAL is replayed as its configuration says, closed, before anybody is served")
	}
	if v, fits := f.decided(); fits {
		return v, true
	}
	return yes(Hold, "", "recovery.signal lies in the data directory, so a backup was restored here, and this node's role record is about the data before. Nothing was touched. "+
		"`pgbaton alone --force` finishes the restore and makes its result the cluster's data; `pgbaton reclone` keeps it aside and copies the present primary; "+
		"to let it follow the present primary, put standby.signal in the place of recovery.signal")
}
