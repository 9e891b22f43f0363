package testbed

import (
	"context"
	"net/http"
)

// networkingConfig and endpoint are parts of the engine's API.
type networkingConfig struct {
	EndpointsConfig map[string]endpoint
}

type endpoint struct {
	IPAMConfig *ipamConfig `json:",omitempty"`
	Aliases    []string    `json:",omitempty"`
	MacAddress string      `json:",omitempty"`
}

type ipamConfig struct {
	IPv4Address string
	IPv6Address string `json:",omitempty"`
}

func (s Spec) endpoint() endpoint {
	e := endpoint{Aliases: s.Aliases}
	if s.Hostname != "" {
		e.Aliases = append([]string{s.Hostname}, s.Aliases...)
	}
	if s.IP != "" {
		e.IPAMConfig, e.MacAddress = &ipamConfig{IPv4Address: s.IP}, macOf(s.IP)
		if s.Net.Subnet6.IsValid() {
			e.IPAMConfig.IPv6Address = s.Net.Address6(s.IP)
		}
	}
	return e
}

// Disconnect pulls the container's cable; undo plugs it in again. Its
// interface is gone meanwhile, and may have another name afterwards.
func (c *Container) Disconnect() (undo func()) {
	c.tb.Helper()
	c.disconnect()
	return inverse(c.tb, "connect "+c.Name+" again", c.reconnect)
}

func (c *Container) disconnect() {
	c.tb.Helper()
	n := c.network()
	ctx, cancel := c.context(0)
	defer cancel()
	in := map[string]any{"Container": c.ID, "Force": true}
	c.must(c.docker.call(ctx, http.MethodPost, "/networks/"+n.Name+"/disconnect", nil, in, nil), "disconnect")
}

// Readdress pulls the cables of containers and plugs them in again with other
// addresses, which may be each other's. Their hardware addresses are others too.
// Faults of the network stay with the address.
func (n *Network) Readdress(to map[*Container]string) {
	n.tb.Helper()
	for c := range to {
		c.disconnect()
		n.mu.Lock()
		delete(n.ports, c.Spec.IP)
		n.mu.Unlock()
	}
	for c, addr := range to {
		c.mu.Lock()
		c.Spec.IP = addr
		c.mu.Unlock()
		n.join(c)
		ctx, cancel := c.context(0)
		c.must(c.reconnect(ctx), "connect with another address")
		cancel()
	}
}

func (c *Container) reconnect(ctx context.Context) error {
	n := c.Spec.Net
	in := map[string]any{"Container": c.ID, "EndpointConfig": c.Spec.endpoint()}
	if err := c.docker.call(ctx, http.MethodPost, "/networks/"+n.Name+"/connect", nil, in, nil); err != nil {
		return err
	}
	return n.refresh(ctx)
}
