package nodeapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
)

// vrrpSteerer is a Steerer that also hears of keepalived's events.
type vrrpSteerer interface {
	// VRRP takes one event and says in a sentence what it means here.
	VRRP(ctx context.Context, e node.VRRPEvent) (verdict string, err error)
}

// verdict is the body of the answer to an event.
type verdict struct {
	Verdict string `json:"verdict"`
}

// maxWord bounds the words of an event, in bytes.
const maxWord = 128

// vrrp takes an event of keepalived's from the hook. It is on the socket alone:
// the hook runs where the supervisor does.
func (a *api) vrrp(w http.ResponseWriter, r *http.Request) {
	if !a.admitPeer(w, r) {
		return
	}
	steerer, ok := a.cfg.Steerer.(vrrpSteerer)
	if !ok {
		writeError(w, http.StatusNotFound, "this node takes no events of keepalived; nothing was done", "set PGBATON_PEERS on all nodes of a cluster")
		return
	}
	e, err := decodeEvent(r.Body)
	if err != nil {
		writeError(w, badRequest(err), err.Error(), "")
		return
	}
	text, err := steerer.VRRP(r.Context(), e)
	if err != nil {
		what, hint, _ := strings.Cut(err.Error(), "\nhint: ")
		writeError(w, http.StatusConflict, what, hint)
		return
	}
	writeJSON(w, http.StatusOK, verdict{text})
}

// decodeEvent reads exactly one event. What its words mean is not judged here.
func decodeEvent(r io.Reader) (node.VRRPEvent, error) {
	var e node.VRRPEvent
	if err := decodeOne(r, "event", &e); err != nil {
		return node.VRRPEvent{}, err
	}
	words := map[string]string{"source": e.Source, "type": e.Type, "name": e.Name, "state": e.State}
	for _, name := range []string{"source", "type", "name", "state"} {
		if len(words[name]) > maxWord {
			return node.VRRPEvent{}, fmt.Errorf("read event: %s is %d bytes long; nothing was done", name, len(words[name]))
		}
	}
	switch {
	case e.Type == "" || e.State == "" && e.Source != node.SourceCheck:
		return node.VRRPEvent{}, errors.New("read event: type or state is missing; nothing was done")
	case e.Priority < 0 || e.Priority > 255:
		return node.VRRPEvent{}, fmt.Errorf("read event: priority is %d, not from 0 to 255; nothing was done", e.Priority)
	}
	return e, nil
}

// VRRP hands an event of keepalived's to the supervisor and returns what it
// means there, a sentence. It lasts as long as ctx permits.
func (c *Client) VRRP(ctx context.Context, e node.VRRPEvent) (string, error) {
	var v verdict
	err := c.post(ctx, "/v1/vrrp", e, &v)
	return v.Verdict, err
}
