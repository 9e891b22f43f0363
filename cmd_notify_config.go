package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgbaton/pgbaton/internal/config"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
	"github.com/pgbaton/pgbaton/internal/vrrp"
	"github.com/pgbaton/pgbaton/notify"
)

// resolveTime bounds the look-up of the peers' names.
const resolveTime = 5 * time.Second

// confFlags are what `notify config` cannot know from the settings.
type confFlags struct {
	conf          notify.Conf
	placement     string
	dir           string
	source, peers string
	vip           string
}

func newNotifyConfig() *cobra.Command {
	var f confFlags
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print a complete keepalived.conf for this node",
		Long: `config prints a complete, commented keepalived.conf for this node. Router id
and times come from the container's settings; interface and addresses are those
that are found where the command runs, unless they are given. keepalived in the
container (PGBATON_VIP) needs no such file: the supervisor writes it.`,
		Example: `  docker exec CONTAINER pgbaton notify config --vip 10.0.0.9/24 \
    --interface eth0 --source 10.0.0.1 --peers 10.0.0.2,10.0.0.3
  pgbaton notify config --placement sidecar --vip 10.0.0.9/24
  pgbaton notify config --vip 10.0.0.8/24 --name sales --part --dir /run/sales   one more node of a host`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := f.render(cmd.Context(), os.Environ())
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.placement, "placement", string(notify.OnHost), "`where` keepalived runs: host, sidecar or container")
	flags.StringVar(&f.vip, "vip", "", "virtual `address` with its network's length, such as 10.0.0.9/24 (default PGBATON_VIP)")
	flags.StringVar(&f.conf.Interface, "interface", "", "`name` of the interface that gets the virtual address")
	flags.StringVar(&f.source, "source", "", "this node's own `address` there")
	flags.StringVar(&f.peers, "peers", "", "`addresses` of the other nodes, separated by commas\n(default: those that PGBATON_PEERS resolves to)")
	flags.StringVar(&f.dir, "dir", "", "control `directory` as keepalived sees it (default PGBATON_CONTROL_DIR)")
	flags.StringVar(&f.conf.Program, "program", "/usr/local/bin/pgbaton", "pgbaton's `path` as keepalived sees it")
	flags.StringVar(&f.conf.Name, "name", notify.Instance, "`name` of the VRRP instance; several nodes of one host need several")
	flags.BoolVar(&f.conf.Bare, "part", false, "without global_defs, for a file that has them")
	return cmd
}

func (f *confFlags) render(ctx context.Context, environ []string) (string, error) {
	s, _, err := config.Load(environ)
	if err != nil {
		return "", &failed{exitNo, err}
	}
	vip := s.VIP
	if f.vip != "" {
		if vip, err = netip.ParsePrefix(f.vip); err != nil {
			return "", fmt.Errorf("--vip %.60q is no address with the length of its network", f.vip)
		}
	}
	if !vip.IsValid() {
		return "", &failed{exitNo, errors.New("there is no virtual address to configure\nhint: say it with --vip; where PGBATON_VIP is set, keepalived runs in the container")}
	}
	c := f.conf
	c.Placement, c.Node, c.VIP = notify.Placement(f.placement), s.Node, vip
	c.VRID, c.Advert, c.DownAdverts = s.VRID, s.Advert, s.DownAdverts
	dir := f.dir
	if dir == "" {
		dir = s.ControlDir
	}
	c.Dir, c.Socket = path.Join(dir, notify.TracksDir), path.Join(dir, nodeapi.SocketName)
	if err := f.addresses(ctx, &c, s.Peers); err != nil {
		return "", err
	}
	text, err := notify.Render(c)
	if err != nil {
		return "", &failed{exitNo, err}
	}
	return text, nil
}

// addresses fills in what the flags and this network namespace say.
func (f *confFlags) addresses(ctx context.Context, c *notify.Conf, names []string) (err error) {
	all, err := peerAddresses(ctx, f.peers, names)
	if err != nil {
		return err
	}
	if f.source != "" {
		if c.Source, err = netip.ParseAddr(f.source); err != nil {
			return fmt.Errorf("--source %.60q is no address", f.source)
		}
	}
	if c.Interface == "" || !c.Source.IsValid() {
		link, own, err := vrrp.Locate(c.VIP, all)
		if err != nil {
			return &failed{exitNo, fmt.Errorf("%w %s\nhint: say them with --interface and --source", err, c.VIP)}
		}
		if c.Interface == "" {
			c.Interface = link
		}
		if !c.Source.IsValid() {
			c.Source = own
		}
	}
	for _, a := range all {
		if a != c.Source && a != c.VIP.Addr() && a.Is4() == c.VIP.Addr().Is4() {
			c.Peers = append(c.Peers, a)
		}
	}
	return nil
}

// peerAddresses are those that were given, or what the settings' names resolve
// to now, in order, each once.
func peerAddresses(ctx context.Context, given string, names []string) (out []netip.Addr, err error) {
	if given != "" {
		for text := range strings.SplitSeq(given, ",") {
			a, err := netip.ParseAddr(strings.TrimSpace(text))
			if err != nil {
				return nil, fmt.Errorf("--peers: %.60q is no address", text)
			}
			out = append(out, a)
		}
	} else {
		ctx, cancel := context.WithTimeout(ctx, resolveTime)
		defer cancel()
		for _, name := range names {
			host, _, err := net.SplitHostPort(name)
			if err != nil {
				host = name
			}
			found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
			if err != nil {
				return nil, &failed{exitNo, fmt.Errorf("look up the peer %s: %w\nhint: give the addresses with --peers", host, err)}
			}
			out = append(out, found...)
		}
	}
	for i := range out {
		out[i] = out[i].Unmap()
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out), nil
}
