package notify

import "github.com/pgbaton/pgbaton/internal/node"

// Fork is where two histories part: WAL up to there is common to both. It is
// not known where none parts, or where a promotion that parts them is not
// complete.
func Fork(mine, theirs []node.Promotion) (at node.LSN, known bool) {
	return forkOf(mine, theirs, common(mine, theirs))
}
