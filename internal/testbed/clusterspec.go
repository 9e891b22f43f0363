package testbed

import (
	"fmt"
	"maps"
	"strings"
	"time"
)

// ClusterSpec says how a cluster is made; its zero value is three nodes of
// pgbaton:dev without a VIP.
type ClusterSpec struct {
	Nodes int    // 0 means 3
	Major int    // of the image pgbaton:<Major>; 0 means pgbaton:dev
	Image string // instead
	VIP   bool   // keepalived in the containers moves Cluster.VIP
	IPv6  bool   // nodes know each other by IPv6, and the VIP is one; Net is one of NewNetwork6
	Apart bool   // no settings of a cluster: nodes that know nothing of each other

	Env     map[string]string            // of every node, over what NewCluster sets; an empty value removes
	NodeEnv map[string]map[string]string // of one, by its name, over Env
	Args    []string                     // after the entrypoint, as in Spec

	FS     string        // ext4 or xfs: volumes that can lose power and be filled; default: Docker volumes
	Size   int64         // bytes of each such volume; 0 means 2 GiB
	Seeded bool          // volumes that the image has initialised, all with one system identifier
	Edit   func(n *Spec) // the last word on a node's container; Hostname tells which
	Net    *Network      // default: one of its own
	First  int           // number of the first node in Net, for a second cluster there; 0 means 1
	Stop   time.Duration // grace of docker stop; 0 means a minute
}

func (c *Cluster) env(name string) map[string]string {
	env := map[string]string{"POSTGRES_PASSWORD": Password, "PGBATON_NODE": name, "PGBATON_TOKEN": Token}
	if !c.spec.Apart {
		maps.Copy(env, map[string]string{
			"PGBATON_PEERS": strings.Join(c.peers(), ","), "PGBATON_CLUSTER": c.name(),
			"PGBATON_BOOTSTRAP": fmt.Sprintf("n%d", c.spec.First), "PGBATON_REPLICATION_PASSWORD": ReplicationPassword,
		})
		if c.VIP != "" {
			env["PGBATON_VIP"] = c.Net.Prefixed(c.VIP)
		}
	}
	maps.Copy(env, c.spec.Env)
	maps.Copy(env, c.spec.NodeEnv[name])
	maps.DeleteFunc(env, func(_, value string) bool { return value == "" })
	return env
}
