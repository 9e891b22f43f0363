package nodeapi

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// How much of another node's reason is passed on: by an order, whose reason an
// operator needs, and otherwise, where it stands in every status.
const (
	maxOrderReason = 1000
	maxReason      = 100
)

// brokeOff reports whether err means that an answer did not come to its end.
func brokeOff(err error) bool {
	var lost *net.OpError
	return errors.As(err, &lost) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// refusal is what a status code other than 200 means.
func (p *Peer) refusal(path string, status int, data []byte) error {
	most := maxReason
	if path == "/v1/order" {
		most = maxOrderReason
	}
	r := &Refusal{Status: status}
	switch status {
	case http.StatusUnauthorized:
		r.Why, r.Hint = p.address+" has another token", "PGBATON_TOKEN must be the same on all nodes"
		return r
	case http.StatusForbidden:
		r.Why, r.Hint = p.address+" has no token", "set PGBATON_TOKEN_FILE on all nodes"
		return r
	}
	var f failure
	if err := json.Unmarshal(data, &f); err != nil || f.Error == "" {
		r.Why = fmt.Sprintf("%s answered %d %s", p.address, status, http.StatusText(status))
		return r
	}
	r.Why, r.Hint = clipTo(p.address+": "+f.Error, most), clipTo(f.Hint, most)
	return r
}

// silent says what no answer means, in few words.
func (p *Peer) silent(ctx context.Context, err error) error {
	why := "the connection broke off"
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		why = "no longer waiting"
	case errors.Is(err, context.DeadlineExceeded):
		why = "not in time"
	case errors.As(err, &dns):
		why = "the name cannot be resolved"
	case errors.As(err, &op) && op.Op == "dial":
		why = reason(op.Err)
	}
	return &silence{fmt.Sprintf("%v from %s: %s", ErrSilent, p.address, why), err}
}

// silence is ErrSilent with its text and its cause.
type silence struct {
	text  string
	cause error
}

func (e *silence) Error() string   { return e.text }
func (e *silence) Unwrap() []error { return []error{ErrSilent, e.cause} }

// reasonTLS is what is wrong with TLS, without call and address.
func reasonTLS(err error) string {
	var bad *tls.CertificateVerificationError
	if errors.As(err, &bad) {
		return bad.Err.Error()
	}
	if text, alerted := alertOf(err); alerted {
		return text
	}
	return "it does not speak TLS"
}
