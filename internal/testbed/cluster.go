package testbed

import (
	"cmp"
	"fmt"
	"time"
)

// Cluster is a few nodes on a network of their own.
type Cluster struct {
	Nodes []*Node
	Net   *Network
	VIP   string // address; empty without one

	tb   TB
	spec ClusterSpec
}

// name is the cluster's name, and in the network that of all of its nodes.
func (c *Cluster) name() string { return fmt.Sprintf("c%d", c.spec.First) }

// Node is one node of a cluster: a container, a volume, a static address.
// After PowerLoss its Container is another one.
type Node struct {
	*Container
	Host string // name of the node and of its container in the network: n1, n2, …
	Disk *Loop  // with ClusterSpec.FS, else nil
}

// The secrets of every cluster of tests.
const (
	Token               = "token-of-a-test-cluster"
	ReplicationPassword = "password-of-replication"
)

const volumeMount = "/var/lib/postgresql" // of pgbaton's images, for all majors

// NewCluster makes the nodes n1, n2, … without starting them; see Start. Their
// volumes are empty unless the spec says otherwise. Everything is removed at
// the end of the test.
func NewCluster(tb TB, spec ClusterSpec) *Cluster {
	tb.Helper()
	if spec.Nodes == 0 {
		spec.Nodes = 3
	}
	if spec.Image == "" {
		spec.Image = "pgbaton:" + cmp.Or(major(spec.Major), "dev")
	}
	if spec.Size == 0 {
		spec.Size = 2 << 30
	}
	spec.First = max(spec.First, 1)
	if spec.Stop == 0 {
		spec.Stop = time.Minute
	}
	c := &Cluster{Net: spec.Net, tb: tb, spec: spec}
	switch {
	case c.Net != nil:
	case spec.IPv6:
		c.Net = NewNetwork6(tb)
	default:
		c.Net = NewNetwork(tb)
	}
	if spec.VIP {
		c.VIP = c.known(c.Net.Address(100 + spec.First))
	}
	for i := range spec.Nodes {
		c.Nodes = append(c.Nodes, c.newNode(i))
	}
	return c
}

// RunCluster makes a cluster and starts all of its nodes.
func RunCluster(tb TB, spec ClusterSpec) *Cluster {
	tb.Helper()
	c := NewCluster(tb, spec)
	c.Start()
	return c
}

// Start starts nodes, all by default, one after the other without waiting.
func (c *Cluster) Start(nodes ...*Node) {
	c.tb.Helper()
	if len(nodes) == 0 {
		nodes = c.Nodes
	}
	for _, n := range nodes {
		n.Start()
	}
}

// Node returns a node by its name, such as n2.
func (c *Cluster) Node(name string) *Node {
	c.tb.Helper()
	for _, n := range c.Nodes {
		if n.Host == name {
			return n
		}
	}
	c.tb.Fatalf("testbed: the cluster has no node %q", name)
	return nil
}

// Others returns all nodes but some.
func (c *Cluster) Others(but ...*Node) []*Node {
	var rest []*Node
	for _, n := range c.Nodes {
		skip := false
		for _, b := range but {
			skip = skip || n == b
		}
		if !skip {
			rest = append(rest, n)
		}
	}
	return rest
}

func (c *Cluster) newNode(i int) *Node {
	c.tb.Helper()
	number := c.spec.First + i
	n := &Node{Host: fmt.Sprintf("n%d", number)}
	var volume Mount
	switch {
	case c.spec.FS != "":
		n.Disk = NewLoop(c.tb, c.spec.FS, c.spec.Size)
		volume = n.Disk.At(volumeMount)
	case c.spec.Seeded:
		volume = Initialized(c.tb, c.spec.Image, volumeMount).At(volumeMount)
	default:
		volume = NewVolume(c.tb).At(volumeMount)
	}
	spec := Spec{
		Image: c.spec.Image, Hostname: n.Host, Args: c.spec.Args, Net: c.Net, IP: c.address(i), Aliases: []string{c.name()},
		Mounts: []Mount{volume}, Env: c.env(n.Host), Port: c.port(), Stop: c.spec.Stop,
	}
	if c.spec.VIP {
		spec.CapAdd = []string{"NET_ADMIN", "NET_RAW"}
	}
	if c.spec.Edit != nil {
		c.spec.Edit(&spec)
	}
	n.Container = Create(c.tb, spec)
	return n
}

// port is that of every server.
func (c *Cluster) port() string { return cmp.Or(c.spec.Env["PGPORT"], "5432") }

func (c *Cluster) address(i int) string { return c.Net.Address(10 + c.spec.First + i) }

func (c *Cluster) addresses() (all []string) {
	for i := range c.spec.Nodes {
		all = append(all, c.known(c.address(i)))
	}
	return all
}

// peers are they as PGBATON_PEERS takes them: IPv6 in brackets.
func (c *Cluster) peers() (all []string) {
	for _, a := range c.addresses() {
		if c.spec.IPv6 {
			a = "[" + a + "]"
		}
		all = append(all, a)
	}
	return all
}

// known is the address by which the cluster and its clients know who has one.
func (c *Cluster) known(addr string) string {
	if c.spec.IPv6 {
		return c.Net.Address6(addr)
	}
	return addr
}

func major(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
