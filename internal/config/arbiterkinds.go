package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

// maxEndpoints bounds what one lists of a cluster of etcd.
const maxEndpoints = 16

// defaultEtcdPort is etcd's own for clients.
const defaultEtcdPort = "2379"

// etcdKind accepts the endpoints of one cluster of etcd, as URLs, all of one
// scheme.
func etcdKind() Kind {
	return Kind{
		Name: "endpoints", Accepts: fmt.Sprintf("at most %d of http://host:port or https://host:port, separated by commas or spaces, such as http://etcd1:2379,http://etcd2:2379", maxEndpoints),
		list: separators, zero: []string(nil),
		parse: func(text string) (any, error) {
			var endpoints []string
			for _, item := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
				endpoint, err := parseEndpoint(item)
				if err != nil {
					return nil, fmt.Errorf("holds an item that %w", err)
				}
				if len(endpoints) > 0 && schemeOf(endpoint) != schemeOf(endpoints[0]) {
					return nil, errors.New("holds http and https endpoints")
				}
				if !slices.Contains(endpoints, endpoint) {
					endpoints = append(endpoints, endpoint)
				}
			}
			switch {
			case len(endpoints) == 0:
				return nil, errors.New("holds no endpoint")
			case len(endpoints) > maxEndpoints:
				return nil, fmt.Errorf("holds %d endpoints", len(endpoints))
			}
			return endpoints, nil
		},
		format: func(value any) string { return strings.Join(value.([]string), ",") },
	}
}

// parseEndpoint reads one URL. It has no path and no user: the client would
// leave them out without a word.
func parseEndpoint(item string) (string, error) {
	scheme, rest, found := strings.Cut(item, "://")
	if !found || scheme != "http" && scheme != "https" {
		return "", errors.New("does not begin with http:// or https://")
	}
	peer, err := parsePeer(strings.TrimSuffix(rest, "/"))
	if err != nil {
		return "", err
	}
	if _, _, err := net.SplitHostPort(peer); err != nil {
		peer += ":" + defaultEtcdPort
	}
	return scheme + "://" + peer, nil
}

// withoutUser leaves the user and the password of URLs out, where somebody put
// them in: a refused value is shown.
func withoutUser(text string) string {
	out, rest := "", text
	for {
		before, after, found := strings.Cut(rest, "://")
		if !found {
			return out + rest
		}
		end := strings.IndexAny(after, separators)
		if end < 0 {
			end = len(after)
		}
		if at := strings.LastIndexByte(after[:end], '@'); at >= 0 {
			after = "…" + after[at:]
		}
		out, rest = out+before+"://", after
	}
}

func schemeOf(endpoint string) string {
	scheme, _, _ := strings.Cut(endpoint, "://")
	return scheme
}

// arbiterContradictions refuses settings of the arbiter that lack what they
// need, or that leave it nothing to decide.
func arbiterContradictions(s Settings) error {
	var problems []error
	refuse := func(is bool, format string, args ...any) {
		if is {
			problems = append(problems, fmt.Errorf(format+"; %s", append(args, untouched)...))
		}
	}
	if len(s.Etcd) == 0 {
		refuse(s.EtcdUser != "", "PGBATON_ETCD_USER (%s) is set, but PGBATON_ETCD is not", s.EtcdUser)
		refuse(s.EtcdPassword != "", "PGBATON_ETCD_PASSWORD is set, but PGBATON_ETCD is not")
		refuse(s.EtcdCA != "", "PGBATON_ETCD_CA (%s) is set, but PGBATON_ETCD is not", s.EtcdCA)
		return errors.Join(problems...)
	}
	etcd := strings.Join(s.Etcd, ",")
	refuse(len(s.Peers) == 0, "PGBATON_ETCD (%s) is set, but PGBATON_PEERS is not: a node alone has no role to decide", etcd)
	refuse(s.OnSilence != OnSilencePromote, "PGBATON_ETCD (%s) is set, and PGBATON_ON_SILENCE is %s: with an arbiter silence is no choice of the user's; unset one of them", etcd, s.OnSilence)
	refuse((s.EtcdUser == "") != (s.EtcdPassword == ""), "of PGBATON_ETCD_USER and PGBATON_ETCD_PASSWORD only one is set; set both or none")
	refuse(s.EtcdCA != "" && schemeOf(s.Etcd[0]) == "http", "PGBATON_ETCD_CA (%s) is set, and PGBATON_ETCD (%s) is not https: nothing would be verified", s.EtcdCA, etcd)
	return errors.Join(problems...)
}
