package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
	"github.com/pgbaton/pgbaton/internal/vrrp"
	"github.com/pgbaton/pgbaton/notify"
)

// keepalived kills its scripts when it ends, and gives a vrrp_script whole
// seconds: both answers come well before.
const (
	hookTime  = time.Second
	checkTime = 800 * time.Millisecond
)

func newNotify() *cobra.Command {
	var h hook
	cmd := &cobra.Command{
		Use:   "notify TYPE NAME STATE PRIORITY",
		Short: "keepalived's side: notify script, health check, configuration",
		Long: `notify is keepalived's notify script: it tells the supervisor what keepalived
says, prints what the supervisor makes of it, and ends within a second, even if
no supervisor answers. keepalived appends TYPE NAME STATE PRIORITY itself.

What keepalived says is a hint. A node becomes primary by its role record only.`,
		Example: `  notify "/usr/local/bin/pgbaton notify --socket /run/pgbaton/control.sock"   in keepalived.conf
  pgbaton notify config --placement host                                    print a keepalived.conf
  pgbaton notify check                                                      as a vrrp_script`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return h.run(cmd, args)
		},
	}
	flags := cmd.Flags()
	h.socketFlag(cmd)
	flags.StringVar(&h.instance, "instance", notify.Instance, "`name` of the VRRP instance that is ours")
	h.vipFlag(cmd)
	cmd.AddCommand(newNotifyCheck(), newNotifyConfig())
	return cmd
}

// notifyCommand is what the name notify selects: that command alone, for each
// event of keepalived's starts it.
func notifyCommand(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cmd := newNotify()
	cmd.SilenceUsage, cmd.SilenceErrors, cmd.CompletionOptions.DisableDefaultCmd = true, true, true
	cmd.SetOut(os.Stdout)
	cmd.SetErr(os.Stderr)
	cmd.SetUsageTemplate(cmd.UsageTemplate() + exitCodes)
	cmd.SetArgs(args)
	ran, err := cmd.ExecuteContextC(ctx)
	return report(os.Stderr, ran, err)
}

// hook is one call of the notify script or of the check.
type hook struct {
	socket, instance, vip string
}

func (h *hook) socketFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&h.socket, "socket", "", "`path` of the supervisor's control socket (default: in PGBATON_CONTROL_DIR)")
}

func (h *hook) vipFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&h.vip, "vip", "", "virtual `address`: report whether it is here")
}

func (h *hook) client() *nodeapi.Client {
	if h.socket != "" {
		return nodeapi.NewClient(h.socket)
	}
	return newClient()
}

func (h *hook) run(cmd *cobra.Command, args []string) error {
	e, err := h.event(args, time.Now())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), hookTime)
	defer cancel()
	verdict, err := h.client().VRRP(ctx, e)
	if err != nil {
		return refused(err)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), verdict)
	return err
}

// event is what is sent. The supervisor knows one instance, by the name that
// every configuration of ours gives it where it has no other.
func (h *hook) event(args []string, now time.Time) (node.VRRPEvent, error) {
	e, err := notify.ParseHook(args)
	if err != nil {
		return node.VRRPEvent{}, err
	}
	if e.Type != notify.TypeInstance || e.Name != h.instance {
		return node.VRRPEvent{}, &failed{exitNo, fmt.Errorf("keepalived speaks of %s %q, and ours is %s %q; nothing was done\n"+
			"hint: name ours with --instance", e.Type, e.Name, notify.TypeInstance, h.instance)}
	}
	here, err := h.present()
	if err != nil {
		return node.VRRPEvent{}, err
	}
	return node.VRRPEvent{
		Source: vrrp.FromHook, Type: e.Type, Name: notify.Instance, State: e.State, Priority: e.Priority,
		Time: now, Uptime: vrrp.Uptime(), VIP: here,
	}, nil
}

// look tells the supervisor whether the virtual address is where keepalived
// runs: what it made of an event that nobody heard. Whether that is heard is no
// part of the check.
func (h *hook) look(ctx context.Context) error {
	if h.vip == "" {
		return nil
	}
	here, err := h.present()
	if err != nil {
		return err
	}
	e := node.VRRPEvent{
		Source: vrrp.FromCheck, Type: notify.TypeInstance, Name: notify.Instance, Time: time.Now(), Uptime: vrrp.Uptime(), VIP: here,
	}
	_, _ = h.client().VRRP(ctx, e)
	return nil
}

// present looks for the virtual address where the hook runs; without --vip it
// goes by nothing and says that the address is not here.
func (h *hook) present() (bool, error) {
	if h.vip == "" {
		return false, nil
	}
	vip, err := netip.ParseAddr(h.vip)
	if err != nil {
		return false, fmt.Errorf("--vip %.60q is no address", h.vip)
	}
	here, err := vrrp.Present(vip)
	if err != nil {
		return false, &failed{exitNo, fmt.Errorf("%w; nothing was done", err)}
	}
	return here, nil
}

func newNotifyCheck() *cobra.Command {
	var h hook
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Does the supervisor live? For keepalived's vrrp_script",
		Long: `check ends with 0 when the supervisor lives, within a second. It is a backstop:
a container that was killed cannot take its "eligible" back. With --vip it also
tells the supervisor whether the virtual address is here.`,
		Example: `  pgbaton notify check --socket /run/pgbaton/control.sock --vip 10.0.0.9`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), checkTime)
			defer cancel()
			if err := h.client().Alive(ctx); err != nil {
				return refused(err)
			}
			return h.look(ctx)
		},
	}
	h.socketFlag(cmd)
	h.vipFlag(cmd)
	return cmd
}
