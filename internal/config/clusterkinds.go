package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxPeers bounds a cluster: every node asks every other one several times per
// second.
const maxPeers = 64

// separators separate peers. Colons belong to ports and addresses.
const separators = ", \t\r\n"

// peersKind accepts hosts with or without a port. The port is added where the
// listening address is known, by withPorts.
func peersKind() Kind {
	return Kind{
		Name: "peers", Accepts: fmt.Sprintf("at most %d of host, host:port, [IPv6] or [IPv6]:port, separated by commas or spaces, such as db1,db2:8009", maxPeers),
		list: separators, zero: []string(nil),
		parse: func(text string) (any, error) {
			var peers []string
			for _, item := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
				peer, err := parsePeer(item)
				if err != nil {
					return nil, fmt.Errorf("holds an item that %w", err)
				}
				if !slices.Contains(peers, peer) {
					peers = append(peers, peer)
				}
			}
			switch {
			case len(peers) == 0:
				return nil, errors.New("holds no peer")
			case len(peers) > maxPeers:
				return nil, fmt.Errorf("holds %d peers", len(peers))
			}
			return peers, nil
		},
		format: func(value any) string { return strings.Join(value.([]string), ",") },
	}
}

// namesKind accepts names of nodes.
func namesKind() Kind {
	one := nameKind()
	return Kind{
		Name: "names", Accepts: fmt.Sprintf("at most %d names of nodes, separated by commas or spaces, such as db1,db2,db3", maxPeers),
		list: separators, zero: []string(nil),
		parse: func(text string) (any, error) {
			var names []string
			for _, item := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
				if _, err := one.parse(item); err != nil {
					return nil, fmt.Errorf("holds an item that %w", err)
				}
				if !slices.Contains(names, item) {
					names = append(names, item)
				}
			}
			switch {
			case len(names) == 0:
				return nil, errors.New("holds no name")
			case len(names) > maxPeers:
				return nil, fmt.Errorf("holds %d names", len(names))
			}
			return names, nil
		},
		format: func(value any) string { return strings.Join(value.([]string), ",") },
	}
}

// parsePeer reads one peer and writes it in one spelling, with the port only
// where one is given.
func parsePeer(item string) (string, error) {
	host, port, err := net.SplitHostPort(item)
	if err != nil { // no port, or too many colons
		host, port = item, ""
		if inner, found := strings.CutPrefix(item, "["); found && strings.HasSuffix(inner, "]") {
			host = strings.TrimSuffix(inner, "]")
		}
	}
	bracketed := strings.HasPrefix(item, "[")
	host, err = parseHost(host, bracketed)
	if err != nil {
		return "", err
	}
	switch {
	case port == "" && strings.HasSuffix(item, ":"):
		return "", errors.New("has a colon and no port")
	case port == "" && bracketed:
		return "[" + host + "]", nil
	case port == "":
		return host, nil
	}
	number, err := parsePort(port)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(host, strconv.Itoa(number)), nil
}

// hostLabel is one part of a host name. Underscores are in the names of
// Compose and Swarm services.
var hostLabel = word{63, regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?$`)}

// parseHost reads a host name, an IPv4 address or, in brackets, an IPv6 address.
func parseHost(host string, bracketed bool) (string, error) {
	addr, err := netip.ParseAddr(host)
	switch {
	case err == nil && addr.Is6() != bracketed:
		return "", errors.New("is an IPv6 address without brackets, or something else in them")
	case err == nil && addr.Zone() != "" && !nodeName.MatchString(addr.Zone()):
		return "", errors.New("has an interface that is none")
	case err == nil && (addr.IsUnspecified() || addr.IsMulticast()):
		return "", errors.New("is no node's address")
	case err == nil:
		return addr.String(), nil
	case bracketed || strings.Contains(host, ":"):
		return "", errors.New("is no IPv6 address in brackets and no host:port")
	}
	name := strings.TrimSuffix(host, ".")
	labels := strings.Split(name, ".")
	bad := func(label string) bool { return !hostLabel.MatchString(label) }
	if len(name) > 253 || slices.ContainsFunc(labels, bad) {
		return "", errors.New("is no host name")
	}
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return "", errors.New("looks like an IPv4 address and is none")
	}
	return host, nil
}

// vipKind accepts an address that a node can have, with its network's length.
func vipKind() Kind {
	return Kind{
		Name: "prefix", Accepts: "an address with the length of its network, such as 10.0.0.9/24", zero: netip.Prefix{},
		parse: func(text string) (any, error) {
			vip, err := netip.ParsePrefix(text)
			if err != nil {
				return nil, errors.New("is no address with a prefix length")
			}
			addr := vip.Addr()
			switch {
			case vip.Bits() == 0 || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback() || addr.Is4In6():
				return nil, errors.New("is no address that moves between nodes")
			case addr.BitLen()-vip.Bits() > 1 && (addr == vip.Masked().Addr() || addr.Is4() && addr == broadcast(vip)):
				return nil, errors.New("is the address of the network itself or of all of its hosts")
			}
			return vip, nil
		},
		format: func(value any) string { return value.(netip.Prefix).String() },
	}
}

// broadcast is the last address of an IPv4 network.
func broadcast(network netip.Prefix) netip.Addr {
	octets := network.Addr().As4()
	for bit := network.Bits(); bit < 32; bit++ {
		octets[bit/8] |= 1 << (7 - bit%8)
	}
	return netip.AddrFrom4(octets)
}

// numberKind accepts a whole number from low to high.
func numberKind(low, high int) Kind {
	return Kind{
		Name: "number", Accepts: fmt.Sprintf("a whole number from %d to %d", low, high), zero: 0,
		parse: func(text string) (any, error) {
			number, err := strconv.Atoi(text)
			switch {
			case err != nil:
				return nil, errors.New("is not a whole number")
			case number < low || number > high:
				return nil, errors.New("is out of range")
			}
			return number, nil
		},
		format: func(value any) string { return strconv.Itoa(value.(int)) },
	}
}

// advertStep is the unit of VRRP's interval on the wire (RFC 5798: centiseconds).
const advertStep = 10 * time.Millisecond

// stepsKind accepts a duration from low to high in VRRP's steps.
func stepsKind(low, high time.Duration) Kind {
	kind := durationKind(low, high)
	parse := kind.parse
	kind.Accepts = fmt.Sprintf("a duration from %s to %s in steps of %s, such as 100ms", formatDuration(low), formatDuration(high), advertStep)
	kind.parse = func(text string) (any, error) {
		value, err := parse(text)
		if err == nil && value.(time.Duration)%advertStep != 0 {
			return nil, fmt.Errorf("is no multiple of %s", advertStep)
		}
		return value, err
	}
	return kind
}

// roleName is a role's name that needs no quotes in SQL, in pg_hba.conf or in
// a connection string.
var roleName = word{63, regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)}

// roleKind accepts the name of a role that PostgreSQL lets one make.
func roleKind() Kind {
	return Kind{
		Name: "role", Accepts: "1 to 63 lower-case letters, digits or underscores that begin with no digit and not with pg_", format: formatString,
		parse: func(text string) (any, error) {
			switch {
			case !roleName.MatchString(text):
				return nil, errors.New("is not usable as a role's name")
			case strings.HasPrefix(text, "pg_"), slices.Contains([]string{"all", "public", "none", "replication", "sameuser", "samerole"}, text):
				return nil, errors.New("is a name that PostgreSQL keeps for itself")
			}
			return text, nil
		},
	}
}
