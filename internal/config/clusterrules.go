package config

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
)

// defaultPeerPort holds where neither a peer nor PGBATON_LISTEN has a port.
const defaultPeerPort = "8008"

// clusterContradictions refuses settings of a cluster that lack what they need.
// superuser is POSTGRES_USER.
func clusterContradictions(s Settings, superuser string) error {
	if len(s.Peers) == 0 {
		return alone(s)
	}
	var problems []error
	refuse := func(is bool, format string, args ...any) {
		if is {
			problems = append(problems, fmt.Errorf("PGBATON_PEERS is set, but "+format, args...))
		}
	}
	refuse(s.Token == "" && s.TLSCA == "", "PGBATON_TOKEN is not: whoever reaches the port could change roles; %s; set PGBATON_TOKEN_FILE to the same secret on all nodes, or PGBATON_TLS_CA", untouched)
	refuse(s.TLSCert != "" && s.TLSCA == "", "PGBATON_TLS_CA is not, although PGBATON_TLS_CERT is: peers' certificates could not be verified; %s; set PGBATON_TLS_CA", untouched)
	refuse(s.ReplicationPassword == "", "PGBATON_REPLICATION_PASSWORD is not: standbys could not connect; %s; set PGBATON_REPLICATION_PASSWORD_FILE to the same secret on all nodes", untouched)
	refuse(s.Listen == "", "PGBATON_LISTEN is off: the peers could not ask this node; %s; set PGBATON_LISTEN to an address that they reach, such as :%s", untouched, defaultPeerPort)
	refuse(s.ReplicationUser == orElse(superuser, defaultUser), "PGBATON_REPLICATION_USER (%s) is POSTGRES_USER, the superuser, which would get another password; %s; name another role", s.ReplicationUser, untouched)
	others := len(s.Nodes) > 0 && s.Bootstrap != "" && !slices.Contains(s.Nodes, s.Bootstrap)
	refuse(others, "PGBATON_BOOTSTRAP (%s) is none of PGBATON_NODES (%s), so nobody may make the cluster; %s; name that node in both", s.Bootstrap, strings.Join(s.Nodes, ","), untouched)
	return errors.Join(problems...)
}

// tlsContradictions refuses a part of TLS without the others.
func tlsContradictions(s Settings) error {
	var problems []error
	needs := func(name, value, other, otherValue string) {
		if value != "" && otherValue == "" {
			problems = append(problems, fmt.Errorf("%s (%s) is set, but %s is not; %s; set both", name, value, other, untouched))
		}
	}
	needs("PGBATON_TLS_CERT", s.TLSCert, "PGBATON_TLS_KEY", s.TLSKey)
	needs("PGBATON_TLS_KEY", s.TLSKey, "PGBATON_TLS_CERT", s.TLSCert)
	needs("PGBATON_TLS_CA", s.TLSCA, "PGBATON_TLS_CERT", s.TLSCert)
	return errors.Join(problems...)
}

// alone refuses what means nothing on a node without peers.
func alone(s Settings) error {
	var problems []error
	if s.VIP.IsValid() {
		problems = append(problems, fmt.Errorf("PGBATON_VIP (%s) is set, but PGBATON_PEERS is not: a node alone has no role that an address could follow; %s; set PGBATON_PEERS or unset PGBATON_VIP", s.VIP, untouched))
	}
	if len(s.Nodes) > 0 {
		problems = append(problems, fmt.Errorf("PGBATON_NODES (%s) is set, but PGBATON_PEERS is not: a node alone has no others; %s; set PGBATON_PEERS or unset PGBATON_NODES", strings.Join(s.Nodes, ","), untouched))
	}
	if s.Bootstrap != "" {
		problems = append(problems, fmt.Errorf("PGBATON_BOOTSTRAP (%s) is set, but PGBATON_PEERS is not: a node alone makes its cluster anyway; %s; set PGBATON_PEERS or unset PGBATON_BOOTSTRAP", s.Bootstrap, untouched))
	}
	return errors.Join(problems...)
}

// withPorts gives each peer a port, by default that of listen, and drops those
// that are then the same.
func withPorts(peers []string, listen string) []string {
	_, fallback, _ := net.SplitHostPort(listen)
	var complete []string
	for _, peer := range peers {
		if _, _, err := net.SplitHostPort(peer); err != nil {
			peer = net.JoinHostPort(strings.Trim(peer, "[]"), orElse(fallback, defaultPeerPort))
		}
		if !slices.Contains(complete, peer) {
			complete = append(complete, peer)
		}
	}
	return complete
}

// containerID is the host name that Docker gives a container by itself.
var containerID = regexp.MustCompile(`^[0-9a-f]{12}$`)

// passingName warns of a node in a cluster whose name ends with its container:
// its role record would be void in the next one.
func passingName(s Settings, given given) []string {
	if _, set := given.of("node"); set || len(s.Peers) == 0 || !containerID.MatchString(s.Node) {
		return nil
	}
	return []string{fmt.Sprintf("the node's name %s looks like a container's id, which another container does not have: its peers would take it for another node; set PGBATON_NODE or the container's host name", s.Node)}
}
