package notify

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"strings"
	"sync"
	"text/template"
	"time"
)

// Placement is where keepalived runs.
type Placement string

// The placements.
const (
	InContainer Placement = "container" // beside postgres, a child of the supervisor
	OnHost      Placement = "host"      // a service of the host
	AsSidecar   Placement = "sidecar"   // a container of its own that shares the control directory
)

// TracksDir is the directory of the track files within the control directory.
const TracksDir = "vrrp"

// Names of files in Conf.Dir.
const (
	FIFOFile = "vrrp.fifo"
	ConfFile = "keepalived.conf"
)

// Conf is what a keepalived.conf needs to know. All nodes of a cluster have
// the same VRID, Advert, DownAdverts and VIP.
type Conf struct {
	Placement   Placement
	Node        string        // name of this node
	Name        string        // of the VRRP instance; default: Instance. Several nodes of one host need several
	Bare        bool          // without global_defs, to be included in a file that has them already
	Interface   string        // that gets the VIP
	VRID        int           // 1 to 255, one of its own in each network
	Priority    int           // before pref is added; 0: BasePriority
	Advert      time.Duration // 10 ms to 40.95 s, in steps of 10 ms (VRRPv3)
	DownAdverts int           // advertisements that may be missing, 3 to 255
	Source      netip.Addr    // this node's own address on Interface
	Peers       []netip.Addr  // of the other nodes; none: keepalived hears nobody, and never falls back to multicast
	VIP         netip.Prefix  // with its network's length
	Dir         string        // of the track files and the FIFO, as keepalived sees it; not on an overlay file system
	Socket      string        // control socket, as the hook sees it; for OnHost and AsSidecar
	Program     string        // pgbaton, as keepalived sees it; for OnHost and AsSidecar
}

// Render writes a complete keepalived.conf with comments. It is accepted by
// keepalived 2.2.7 and later. The error names the field that is wrong.
func Render(c Conf) (string, error) {
	if c.Name == "" {
		c.Name = Instance
	}
	if c.Priority == 0 {
		c.Priority = BasePriority
	}
	if err := c.check(); err != nil {
		return "", fmt.Errorf("write keepalived.conf: %w", err)
	}
	var b strings.Builder
	if err := confTemplate().Execute(&b, c); err != nil {
		return "", fmt.Errorf("write keepalived.conf: %w", err)
	}
	return b.String(), nil
}

// What may stand in a keepalived.conf without quotes: its parser knows #, !,
// @, quotes, braces, $ and ~ as its own.
var (
	plainName = plain{64, regexp.MustCompile(`^[A-Za-z0-9._-]+$`)}
	plainLink = plain{15, regexp.MustCompile(`^[A-Za-z0-9._:-]+$`)}
	plainPath = plain{201, regexp.MustCompile(`^/[A-Za-z0-9._/+=,-]*$`)}
)

// plain is a pattern with a greatest length in bytes: a count in the pattern
// itself is unrolled when it is compiled, for every process of this binary.
type plain struct {
	max     int
	pattern *regexp.Regexp
}

func (p plain) MatchString(text string) bool {
	return len(text) <= p.max && p.pattern.MatchString(text)
}

func (c Conf) check() error {
	var errs []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	addr := c.VIP.Addr()
	want(c.Placement == InContainer || c.Placement == OnHost || c.Placement == AsSidecar,
		"the placement %.40q is none of container, host, sidecar", c.Placement)
	want(plainName.MatchString(c.Node), "the node's name %.80q has other characters than letters, digits, dot, dash and underscore", c.Node)
	want(plainName.MatchString(c.Name), "the instance's name %.80q has other characters than letters, digits, dot, dash and underscore", c.Name)
	want(plainLink.MatchString(c.Interface), "%.40q is no name of a network interface", c.Interface)
	want(c.VRID >= 1 && c.VRID <= 255, "the virtual router id is %d, not 1 to 255", c.VRID)
	want(c.Priority >= 1 && c.Priority <= 254, "the priority is %d, not 1 to 254", c.Priority)
	want(c.Advert >= 10*time.Millisecond && c.Advert <= 40950*time.Millisecond && c.Advert%(10*time.Millisecond) == 0,
		"the advertisement interval is %s, not 10ms to 40.95s in steps of 10ms", c.Advert)
	want(c.DownAdverts >= 3 && c.DownAdverts <= 255, "the number of missing advertisements is %d, not 3 to 255", c.DownAdverts)
	want(c.VIP.IsValid() && addr.Zone() == "", "the virtual address is missing")
	want(c.Source.IsValid() && c.Source.Is4() == addr.Is4() && c.Source != addr && c.Source.Zone() == "",
		"the node's own address is %s, and the virtual one %s", c.Source, addr)
	for _, p := range c.Peers {
		want(p.IsValid() && p.Is4() == addr.Is4() && p != c.Source && p != addr && p.Zone() == "",
			"%s cannot be a peer of %s with the virtual address %s", p, c.Source, addr)
	}
	want(plainPath.MatchString(c.Dir), "the directory %.200q is no plain absolute path", c.Dir)
	want(c.Placement == InContainer || plainPath.MatchString(c.Socket), "the control socket %.200q is no plain absolute path", c.Socket)
	want(c.Placement == InContainer || plainPath.MatchString(c.Program), "the program %.200q is no plain absolute path", c.Program)
	return errors.Join(errs...)
}

// Scripts reports whether keepalived runs pgbaton: inside the container the
// supervisor is its parent and reads the FIFO, so nothing is run.
func (c Conf) Scripts() bool { return c.Placement != InContainer }

// File is the path of one of the files in Dir.
func (c Conf) File(name string) string { return path.Join(c.Dir, name) }

// Interval is Advert in keepalived's form, in seconds.
func (c Conf) Interval() string {
	return fmt.Sprintf("%d.%02d", c.Advert/time.Second, c.Advert%time.Second/(10*time.Millisecond))
}

// Detection is how long a dead node goes unnoticed at most, without VRRP's
// skew of up to one more advertisement.
func (c Conf) Detection() time.Duration { return c.Advert * time.Duration(c.DownAdverts) }

// UnicastPeers are the peers, or where none is known an address at which
// nobody listens: without any, keepalived falls back to multicast, and going
// from there to unicast costs a MASTER its address for a whole detection time.
func (c Conf) UnicastPeers() []netip.Addr {
	switch {
	case len(c.Peers) > 0:
		return c.Peers
	case c.Source.Is4():
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	// The subnet-router anycast address (RFC 4291): keepalived cannot send to ::1.
	return []netip.Addr{c.VIP.Masked().Addr()}
}

// confTemplate is parsed when it is needed: the notify script, which is started
// for every event, has no need of it.
var confTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New(ConfFile).Parse(confText))
})
