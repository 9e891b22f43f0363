package notify

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func conf(p Placement) Conf {
	return Conf{
		Placement: p, Node: "n1", Interface: "eth0", VRID: 51, Advert: 100 * time.Millisecond, DownAdverts: 20,
		Source: netip.MustParseAddr("10.0.0.1"), Peers: []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")},
		VIP: netip.MustParsePrefix("10.0.0.9/24"), Dir: "/run/pgbaton/vrrp", Socket: "/run/pgbaton/control.sock", Program: "/usr/local/bin/pgbaton",
	}
}

func TestEveryPlacementHasWhatItNeedsAndNoMore(t *testing.T) {
	for _, c := range []struct {
		p          Placement
		has, lacks []string
	}{
		{InContainer, []string{"vrrp_notify_fifo /run/pgbaton/vrrp/vrrp.fifo", "max_auto_priority -1"}, []string{"vrrp_script", "notify \"", "track_script"}},
		{OnHost, []string{"notify \"/usr/local/bin/pgbaton notify --socket /run/pgbaton/control.sock --instance pg --vip 10.0.0.9\"", "script \"/usr/local/bin/pgbaton notify check"}, []string{"fifo", "max_auto_priority"}},
		{AsSidecar, []string{"track_script", "max_auto_priority -1"}, []string{"fifo"}},
	} {
		text, err := Render(conf(c.p))
		if err != nil {
			t.Errorf("%s: %v", c.p, err)
		}
		for _, want := range append(c.has,
			"advert_int 0.10\n", "down_timer_adverts 20\n", "virtual_router_id 51\n", "priority 100\n", "unicast_src_ip 10.0.0.1\n",
			"    10.0.0.2\n    10.0.0.3\n", "10.0.0.9/24 dev eth0\n", "file /run/pgbaton/vrrp/eligible\n  weight 0 reverse\n", "file /run/pgbaton/vrrp/pref\n  weight 1 ",
			"  state BACKUP ", "  nopreempt ", "  unicast_fault_no_peer ", "noticed after 2s.") {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is missing in\n%s", c.p, want, text)
			}
		}
		for _, bad := range c.lacks {
			if strings.Contains(text, bad) {
				t.Errorf("%s: %q does not belong there:\n%s", c.p, bad, text)
			}
		}
	}
}

func TestSeveralNodesOfOneHostHaveNamesOfTheirOwnAndOneSetOfGlobals(t *testing.T) {
	c := conf(OnHost)
	c.Name, c.Bare, c.Dir = "sales", true, "/run/sales"
	text, err := Render(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"track_file sales_eligible {", "track_file sales_pref {", "vrrp_script sales_alive {", "vrrp_instance sales {",
		"    sales_eligible\n    sales_pref\n", "    sales_alive\n", "--instance sales ", "file /run/sales/eligible\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "global_defs") {
		t.Errorf("the part has globals:\n%s", text)
	}
}

func TestWithoutPeersKeepalivedNeverFallsBackToMulticast(t *testing.T) {
	c := conf(InContainer)
	c.Peers = nil
	if text, err := Render(c); err != nil || !strings.Contains(text, "    127.0.0.1\n") {
		t.Errorf("%v\n%s", err, text)
	}
	c.Source, c.VIP = netip.MustParseAddr("2001:db8::1"), netip.MustParsePrefix("2001:db8::9/64")
	if text, err := Render(c); err != nil || !strings.Contains(text, "    2001:db8::\n") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestAFieldThatKeepalivedWouldMisreadIsRefusedByName(t *testing.T) {
	four, six := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("2001:db8::1")
	for _, c := range []struct {
		change func(*Conf)
		names  string
	}{
		{func(c *Conf) { c.Placement = "moon" }, "placement"},
		{func(c *Conf) { c.Node = "" }, "name"},
		{func(c *Conf) { c.Node = "a\n}" }, "name"},
		{func(c *Conf) { c.Node = "a#b" }, "name"},
		{func(c *Conf) { c.Name = "a b" }, "instance"},
		{func(c *Conf) { c.Interface = "eth0 {" }, "interface"},
		{func(c *Conf) { c.Interface = "a-name-that-is-too-long" }, "interface"},
		{func(c *Conf) { c.VRID = 0 }, "router id"},
		{func(c *Conf) { c.VRID = 256 }, "router id"},
		{func(c *Conf) { c.Priority = 255 }, "priority"},
		{func(c *Conf) { c.Advert = 5 * time.Millisecond }, "interval"},
		{func(c *Conf) { c.Advert = 15 * time.Millisecond }, "interval"},
		{func(c *Conf) { c.Advert = time.Minute }, "interval"},
		{func(c *Conf) { c.DownAdverts = 2 }, "advertisements"},
		{func(c *Conf) { c.VIP = netip.Prefix{} }, "virtual address"},
		{func(c *Conf) { c.Source = netip.Addr{} }, "own address"},
		{func(c *Conf) { c.Source = c.VIP.Addr() }, "own address"},
		{func(c *Conf) { c.Source = six }, "own address"},
		{func(c *Conf) { c.Peers = []netip.Addr{six} }, "peer"},
		{func(c *Conf) { c.Peers = []netip.Addr{c.Source} }, "peer"},
		{func(c *Conf) { c.Source, c.Peers = four, []netip.Addr{c.VIP.Addr()} }, "peer"},
		{func(c *Conf) { c.Dir = "run" }, "directory"},
		{func(c *Conf) { c.Dir = "/run/a b" }, "directory"},
		{func(c *Conf) { c.Dir = "/run/\"x" }, "directory"},
		{func(c *Conf) { c.Program = "pgbaton" }, "program"},
		{func(c *Conf) { c.Socket = "/a\n" }, "socket"},
	} {
		broken := conf(OnHost)
		c.change(&broken)
		text, err := Render(broken)
		if err == nil || text != "" || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%+v: %v, want an error about the %s", broken, err, c.names)
		}
	}
}

func TestAdvertisementsAreWrittenInHundredthsOfASecond(t *testing.T) {
	for d, want := range map[time.Duration]string{
		10 * time.Millisecond: "0.01", 100 * time.Millisecond: "0.10", time.Second: "1.00", 1250 * time.Millisecond: "1.25", 40950 * time.Millisecond: "40.95",
	} {
		if got := (Conf{Advert: d}).Interval(); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
}
