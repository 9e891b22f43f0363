package nodeapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// Roles answers what peers ask about roles. The bodies are JSON and belong to
// package notify; this one only carries them.
type Roles interface {
	// Role judges one request and returns the reply, once what it rests on is
	// durable. The end of ctx ends the waiting, not the request.
	Role(ctx context.Context, body []byte) (reply []byte, err error)
}

// roleTime bounds the answer to a peer: nobody in a change of roles waits longer.
const roleTime = time.Second

// maxAsked bounds the requests that Roles has not ended: a supervisor that
// hangs must not collect them.
const maxAsked = 64

// errPanicked stands for a mistake of ours, which is in the log.
var errPanicked = errors.New("the supervisor made a mistake; its log has the details")

// role carries a peer's request to Roles.
func (a *api) role(w http.ResponseWriter, r *http.Request) {
	if a.side == local && !a.admitPeer(w, r) {
		return
	}
	if a.cfg.Roles == nil {
		writeError(w, http.StatusNotFound, "this node has no peers, so nobody can ask for a role; nothing was done", "set PGBATON_PEERS on all nodes of a cluster")
		return
	}
	body, err := io.ReadAll(r.Body)
	switch {
	case err != nil:
		writeError(w, badRequest(err), fmt.Sprintf("read request: %v; nothing was done", err), "")
		return
	case !json.Valid(body):
		writeError(w, http.StatusBadRequest, "read request: the body is no JSON; nothing was done", "")
		return
	}
	a.answerRole(w, r, body)
}

// answerRole answers within roleTime, whatever Roles does.
func (a *api) answerRole(w http.ResponseWriter, r *http.Request, body []byte) {
	if a.asked.Add(1) > maxAsked {
		a.asked.Add(-1)
		writeError(w, http.StatusServiceUnavailable, fmt.Sprintf("%d requests wait already; nothing was done", maxAsked), "")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), roleTime)
	defer cancel()
	type result struct {
		reply []byte
		err   error
	}
	ended := make(chan result, 1)
	go func() {
		var res result
		defer func() {
			if p := recover(); p != nil {
				a.log.Error("a peer's request made the supervisor panic; postgres is not affected", "panic", p, "stack", string(debug.Stack()))
				res = result{err: errPanicked}
			}
			a.asked.Add(-1)
			ended <- res
		}()
		res.reply, res.err = a.cfg.Roles.Role(ctx, body)
	}()
	select {
	case res := <-ended:
		writeReply(w, res.reply, res.err)
	case <-ctx.Done():
		writeError(w, http.StatusServiceUnavailable, "the supervisor did not answer within "+roleTime.String()+"; the request may still be carried out", "")
	}
}

func writeReply(w http.ResponseWriter, reply []byte, err error) {
	switch {
	case errors.Is(err, errPanicked):
		writeError(w, http.StatusInternalServerError, err.Error(), "")
	case errors.Is(err, context.DeadlineExceeded):
		writeError(w, http.StatusServiceUnavailable, err.Error(), "")
	case err != nil:
		what, hint, _ := strings.Cut(err.Error(), "\nhint: ")
		writeError(w, http.StatusConflict, what, hint)
	default:
		writeJSON(w, http.StatusOK, json.RawMessage(reply))
	}
}
