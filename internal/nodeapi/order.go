package nodeapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// maxName is the length of a node's name, in bytes.
const maxName = 63

// maxTimeout bounds Order.Timeout: longer waits are typing errors.
const maxTimeout = 24 * time.Hour

// done is the body of an order's answer.
type done struct {
	Done node.Verb  `json:"done"`
	Node node.State `json:"node"` // right after it
}

func (a *api) order(w http.ResponseWriter, r *http.Request) {
	if a.side == local && !a.admitPeer(w, r) {
		return
	}
	o, err := decodeOrder(r.Body)
	if err != nil {
		writeError(w, badRequest(err), err.Error(), "")
		return
	}
	if self := a.cfg.Source.State().Node; a.side == remote && o.Node != "" && o.Node != self {
		writeError(w, http.StatusConflict, fmt.Sprintf("the order is for %s, and this is %s; nothing was done", o.Node, self), "")
		return
	}
	// An order lasts as long as it lasts: the deadlines of the connection
	// would end it (a read deadline ends the request's context). Only the
	// answer itself has one again.
	conn := http.NewResponseController(w)
	if err := errors.Join(conn.SetReadDeadline(time.Time{}), conn.SetWriteDeadline(time.Time{})); err != nil {
		a.log.Debug("cannot lift the deadlines of an order's connection", "error", err)
	}
	err = a.cfg.Steerer.Do(r.Context(), o)
	_ = conn.SetWriteDeadline(time.Now().Add(requestTime))
	a.answerOrder(w, o, err)
}

func (a *api) answerOrder(w http.ResponseWriter, o node.Order, err error) {
	switch {
	case err == nil:
		writeJSON(w, http.StatusOK, done{Done: o.Do, Node: a.cfg.Source.State()})
	case a.ctx.Err() != nil:
		writeError(w, http.StatusServiceUnavailable, "the supervisor is ending; the order may not have been carried out", "")
	default:
		what, hint, _ := strings.Cut(err.Error(), "\nhint: ")
		writeError(w, http.StatusConflict, what, hint)
	}
}

// admitPeer refuses a process on the socket that may only look.
func (a *api) admitPeer(w http.ResponseWriter, r *http.Request) bool {
	uid, ok := peer(r.Context())
	if ok && a.mayOrder(uid) {
		return true
	}
	who := "a process of unknown user"
	if ok {
		who = fmt.Sprintf("uid %d", uid)
	}
	writeError(w, http.StatusForbidden, who+" may look but not give orders; nothing was done",
		"give orders as root or as the server's user (postgres)")
	return false
}

// badRequest is the status code for an order that cannot be read.
func badRequest(err error) int {
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &big):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout
	default:
		return http.StatusBadRequest
	}
}

// decodeOrder reads exactly one order. Unknown fields and anything behind the
// order are errors: a mistyped "mod" must not become a fast stop.
func decodeOrder(r io.Reader) (node.Order, error) {
	var o node.Order
	if err := decodeOne(r, "order", &o); err != nil {
		return node.Order{}, err
	}
	if err := checkOrder(o); err != nil {
		return node.Order{}, err
	}
	return o, nil
}

// decodeOne reads exactly one JSON value, which errors call what.
func decodeOne(r io.Reader, what string, into any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("read %s: %w", what, plain(err))
	}
	switch _, err := d.Token(); {
	case err == nil:
		return fmt.Errorf("read %s: something follows the %s; nothing was done", what, what)
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("read %s: %w", what, plain(err))
	}
	return nil
}

// checkOrder says what is wrong with an order.
func checkOrder(o node.Order) error {
	stops := o.Do == node.Stop || o.Do == node.Restart
	switch {
	case !o.Do.Valid():
		return fmt.Errorf("read order: do is %q, not one of %s; nothing was done", clip(string(o.Do)), verbList(node.Verbs()))
	case o.Mode != "" && !o.Mode.Valid():
		return fmt.Errorf("read order: mode is %q, not one of smart, fast, immediate; nothing was done", clip(string(o.Mode)))
	case (o.Mode != "" || o.Timeout != 0) && !stops:
		return fmt.Errorf("read order: mode and timeout belong to stop and restart, not to %s; nothing was done", o.Do)
	case o.Timeout < 0 || o.Timeout > maxTimeout:
		return fmt.Errorf("read order: timeout is %s, not between 0 and %s; nothing was done", o.Timeout, maxTimeout)
	case o.Force && !o.Do.MayForce():
		return fmt.Errorf("read order: force belongs to start, promote, alone, reclone and forget, not to %s; nothing was done", o.Do)
	case o.To != "" && o.Do != node.Switchover && o.Do != node.Forget:
		return fmt.Errorf("read order: to belongs to switchover and forget, not to %s; nothing was done", o.Do)
	case o.To == "" && o.Do == node.Forget:
		return errors.New("read order: forget names no node (to); nothing was done")
	case o.Node != "" && o.Do != node.Restart && o.Do != node.Switchover:
		return fmt.Errorf("read order: node belongs to restart and switchover, not to %s; nothing was done", o.Do)
	case len(o.Node) > maxName:
		return fmt.Errorf("read order: node is %d characters long, more than a node's name has; nothing was done", len(o.Node))
	case len(o.To) > maxName:
		return fmt.Errorf("read order: to is %d characters long, more than a node's name has; nothing was done", len(o.To))
	}
	return checkUpgrade(o)
}

func verbList(verbs []node.Verb) string {
	names := make([]string, len(verbs))
	for i, v := range verbs {
		names[i] = string(v)
	}
	return strings.Join(names, ", ")
}

// checkUpgrade says what is wrong with an order's part about an upgrade.
func checkUpgrade(o node.Order) error {
	switch {
	case o.Do != node.DoUpgrade && o.Upgrade != nil:
		return fmt.Errorf("read order: upgrade belongs to the order upgrade, not to %s; nothing was done", o.Do)
	case o.Do != node.DoUpgrade:
		return nil
	case o.Upgrade == nil:
		return errors.New("read order: the order upgrade has no upgrade, which says what to do; nothing was done")
	}
	if err := o.Upgrade.Check(); err != nil {
		return fmt.Errorf("read order: upgrade: %w; nothing was done", err)
	}
	return nil
}

// plain turns encoding/json's errors into words for whoever sent the order.
// The original stays inside.
func plain(err error) error {
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind) && kind.Field != "":
		return words{fmt.Sprintf("%s cannot be a %s; nothing was done", kind.Field, kind.Value), err}
	case errors.Is(err, io.EOF):
		return words{"the body is empty; nothing was done", err}
	default:
		return words{strings.TrimPrefix(err.Error(), "json: ") + "; nothing was done", err}
	}
}

// words is an error in other words.
type words struct {
	text  string
	cause error
}

func (w words) Error() string { return w.text }
func (w words) Unwrap() error { return w.cause }
