package nodeapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// The bounds of streams of events.
const (
	maxStreams = 16
	lookTime   = 100 * time.Millisecond // between two looks at the state, which is a pointer's load
	beatTime   = 15 * time.Second       // between two comments: a listener that got neither lost its connection
	eventTime  = 5 * time.Second        // for a listener to take what is written
)

// events streams the node's state as server-sent events: one now, and one
// whenever something changed that somebody would want to know.
// https://html.spec.whatwg.org/multipage/server-sent-events.html
func (a *api) events(w http.ResponseWriter, r *http.Request) {
	if a.streams.Add(1) > maxStreams {
		a.streams.Add(-1)
		writeError(w, http.StatusServiceUnavailable, fmt.Sprintf("%d listen to events already, and no more can", maxStreams), "GET /v1/node tells the state of this moment")
		return
	}
	defer a.streams.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	s := stream{w: w, conn: http.NewResponseController(w)}
	_ = s.conn.SetReadDeadline(time.Time{}) // it would end the request's context
	look, beat := time.NewTicker(lookTime), time.NewTicker(beatTime)
	defer look.Stop()
	defer beat.Stop()
	last := ""
	for {
		st := a.cfg.Source.State()
		if key := keyOf(st, peersOf(a.cfg.Source)); key != last {
			last = key
			if s.send(st) != nil {
				return // the listener is gone: nobody is left to tell
			}
		}
		select {
		case <-r.Context().Done():
			return
		case <-a.ending:
			return
		case <-beat.C:
			if s.write(": still here\n\n") != nil {
				return
			}
		case <-look.C:
		}
	}
}

// stream is one listener.
type stream struct {
	w    http.ResponseWriter
	conn *http.ResponseController
	sent int
}

func (s *stream) send(st node.State) error {
	data, err := json.Marshal(st)
	if err != nil {
		return err
	}
	s.sent++
	return s.write(fmt.Sprintf("event: state\nid: %d\ndata: %s\n\n", s.sent, data))
}

func (s *stream) write(text string) error {
	_ = s.conn.SetWriteDeadline(time.Now().Add(eventTime)) // where there is none, the connection's own holds
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.conn.Flush()
}

// keyOf is equal for two looks between which nothing changed that is an event:
// positions, ages, counters and times move all the time.
func keyOf(st node.State, peers []node.State) string {
	var b strings.Builder
	writeKey(&b, st)
	if st.Cluster != nil {
		for _, p := range st.Cluster.Peers {
			fmt.Fprintf(&b, "|%s %s %v", p.Address, p.Node, p.Error == "")
		}
	}
	for _, p := range peers {
		writeKey(&b, p)
	}
	return b.String()
}

func writeKey(b *strings.Builder, st node.State) {
	fmt.Fprintf(b, "|%s %s %q %v %s %s", st.Node, st.Phase, st.Why, st.Ready, st.Role, st.Verdict.Code)
	c := st.Cluster
	if c == nil {
		return
	}
	fmt.Fprintf(b, " %v %s %v %v %s %v %s %v %q", c.VIP, c.VRRP, c.Eligible, c.Open, c.Following, c.Streaming, c.Synced, c.Leaving, c.Loses)
	r := c.Record
	if r == nil {
		return
	}
	fmt.Fprintf(b, " %d %v %v %v %v", r.Epoch, r.Primary, r.Released != nil, r.Armed != nil, r.Paused)
	if r.Heir != nil {
		fmt.Fprintf(b, " %s %v", r.Heir.Node, r.Heir.Armed)
	}
}
