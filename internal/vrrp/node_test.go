package vrrp

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// TestMain makes this program a node for the tests that need several: they run
// it in containers and talk to it.
func TestMain(m *testing.M) {
	if os.Getenv("VRRP_NODE") != "" {
		os.Exit(serveNode())
	}
	code := m.Run()
	for _, f := range AtEnd {
		f()
	}
	os.Exit(code)
}

// AtEnd runs when all tests have ended.
var AtEnd []func()

const (
	controlPort = "9000" // HTTP
	echoPort    = "9001" // UDP: answers with the node's name
)

// testNode is a supervisor without a server: a Daemon that is told over HTTP
// what to do.
type testNode struct {
	d      *Daemon
	err    error // of Start
	cancel func()
	mu     sync.Mutex
	events []node.VRRPEvent
}

func serveNode() int {
	n := &testNode{}
	dir, err := Directory(os.Getenv("VRRP_CONTROL"))
	if forced := os.Getenv("VRRP_DIR"); forced != "" {
		dir, err = forced, os.MkdirAll(forced, 0o700)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	down, _ := strconv.Atoi(os.Getenv("VRRP_DOWN"))
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	n.d, n.err = Start(ctx, Config{
		Dir: dir, Node: os.Getenv("VRRP_NODE"), VIP: netip.MustParsePrefix(os.Getenv("VRRP_VIP")), VRID: 51,
		Advert: 100 * time.Millisecond, DownAdverts: down, Peers: addrs(os.Getenv("VRRP_PEERS")), Pref: 34,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}, n.note)
	go echo(os.Getenv("VRRP_NODE"))
	http.HandleFunc("/", n.serve)
	fmt.Fprintln(os.Stderr, http.ListenAndServe(":"+controlPort, nil))
	return 1
}

func (n *testNode) note(e node.VRRPEvent) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, e)
}

func (n *testNode) serve(w http.ResponseWriter, r *http.Request) {
	if n.err != nil {
		http.Error(w, n.err.Error(), http.StatusServiceUnavailable)
		return
	}
	began := time.Now()
	arg := r.URL.Query().Get("to")
	var err error
	switch r.URL.Path {
	case "/status":
		_ = json.NewEncoder(w).Encode(n.d.Status())
		return
	case "/events":
		n.mu.Lock()
		_ = json.NewEncoder(w).Encode(n.events)
		n.mu.Unlock()
		return
	case "/eligible":
		err = n.d.SetEligible(arg == "1")
	case "/pref":
		pref, _ := strconv.Atoi(arg)
		err = n.d.SetPref(pref)
	case "/peers":
		n.d.SetPeers(addrs(arg))
	case "/add":
		err = n.d.AddVIP()
	case "/announce":
		err = n.d.Announce()
	case "/remove":
		err = n.d.RemoveVIP()
	case "/stop":
		n.d.Stop()
	case "/unwatch":
		n.cancel()
	case "/crash":
		os.Exit(3)
	default:
		http.NotFound(w, r)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	_ = json.NewEncoder(w).Encode(took{began, time.Since(began)})
}

// took is when an order was carried out and how long that took.
type took struct {
	At   time.Time
	Took time.Duration
}

func addrs(list string) []netip.Addr {
	var out []netip.Addr
	for a := range strings.SplitSeq(list, ",") {
		if a != "" {
			out = append(out, netip.MustParseAddr(a))
		}
	}
	return out
}

// echo answers every datagram with the node's name, from the address that it
// was sent to.
func echo(name string) {
	for ; ; time.Sleep(time.Millisecond) {
		held, err := net.ListenPacket("udp4", ":"+echoPort)
		if err != nil {
			continue
		}
		conn := held.(*net.UDPConn)
		_ = enablePacketInfo(conn)
		buf, oob := make([]byte, 64), make([]byte, 128)
		for {
			_, on, _, from, err := conn.ReadMsgUDP(buf, oob)
			if err != nil {
				break
			}
			_, _, _ = conn.WriteMsgUDP([]byte(name), replyFrom(oob[:on]), from)
		}
		_ = conn.Close()
	}
}
