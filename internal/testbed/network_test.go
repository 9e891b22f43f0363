package testbed

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// echoes answers each line with itself, and "N\n" first with N bytes.
const echoes = `use IO::Socket::INET; $SIG{CHLD} = "IGNORE";
my $s = IO::Socket::INET->new(LocalPort => 5432, Listen => 64, ReuseAddr => 1) or die $!;
while (my $c = $s->accept) { next if fork; $c->autoflush(1);
  while (my $l = <$c>) { print $c ($l =~ /^send (\d+)/ ? "x" x $1 . "\n" : $l) } exit }`

// asks sends a line to ARGV[0] and prints what comes back, within ARGV[1] seconds.
const asks = `use IO::Socket::INET; alarm $ARGV[1];
my $c = IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => 5432) or exit 9; print $c "hello\n"; print scalar <$c>`

// echoNodes runs containers that answer on port 5432 without PostgreSQL.
func echoNodes(t *testing.T, count int) (*Network, []*Container) {
	t.Helper()
	n := NewNetwork(t)
	return n, echoesIn(t, n, count)
}

func echoesIn(t *testing.T, n *Network, count int) (all []*Container) {
	t.Helper()
	for i := range count {
		all = append(all, Run(t, Spec{
			Image: plainImage, Hostname: fmt.Sprintf("n%d", i+1), Net: n, IP: n.Address(11 + i), Init: true, Aliases: []string{"all"},
			Entrypoint: []string{"perl", "-e"}, Args: []string{echoes}, CapAdd: []string{"NET_ADMIN", "NET_RAW"},
		}))
	}
	for _, c := range all {
		c.Eventually(long, "answers", func() bool { return reaches(t, c.Spec.IP) })
	}
	return all
}

// reaches asks from this machine.
func reaches(t *testing.T, addr string) bool {
	t.Helper()
	_, err := ask(t.Context(), addr, "hello", time.Second)
	return err == nil
}

// answers is reaches with the patience that a busy machine needs.
func answers(t *testing.T, addr string) bool {
	t.Helper()
	_, err := ask(t.Context(), addr, "hello", 30*time.Second)
	return err == nil
}

func ask(ctx context.Context, addr, line string, within time.Duration) (time.Duration, error) {
	began := time.Now()
	conn, err := (&net.Dialer{Timeout: within}).DialContext(ctx, "tcp", net.JoinHostPort(addr, "5432"))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(within))
	fmt.Fprintln(conn, line)
	_, err = bufio.NewReader(conn).ReadString('\n')
	return time.Since(began), err
}

// sees asks from one container to another.
func sees(from *Container, to string, seconds int) bool {
	return from.Exec("perl", "-e", asks, to, fmt.Sprint(seconds)).Stdout == "hello\n"
}

func TestNetworkOfItsOwn(t *testing.T) {
	t.Parallel()
	n, all := echoNodes(t, 2)
	if other := NewNetwork(t); other.Subnet.Overlaps(n.Subnet) {
		t.Errorf("two networks share %v and %v", n.Subnet, other.Subnet)
	}
	for _, name := range []string{all[1].Spec.IP, "n2", "all"} {
		if !sees(all[0], name, 30) {
			t.Errorf("n1 does not reach %s", name)
		}
	}
	back := all[1].Disconnect()
	if reaches(t, all[1].Spec.IP) {
		t.Error("a disconnected container answers")
	}
	if links := all[1].MustExec("ls", "/sys/class/net"); strings.Contains(links, "eth") {
		t.Errorf("a disconnected container has %s", links)
	}
	back()
	back() // nothing more
	all[1].Eventually(long, "answers again", func() bool { return reaches(t, all[1].Spec.IP) })
	if links := all[1].MustExec("ls", "/sys/class/net"); !strings.Contains(links, "eth") {
		t.Errorf("a container that is connected again has %s", links)
	}
	all[1].Restart(0)
	all[1].Eventually(long, "answers at the same address", func() bool { return reaches(t, all[1].Spec.IP) })
}

func TestMacvlanNetwork(t *testing.T) {
	t.Parallel()
	n := NewMacvlan(t)
	all := echoesIn(t, n, 2)
	if !sees(all[0], "n2", 30) || !sees(all[1], all[0].Spec.IP, 30) {
		t.Error("the containers do not reach each other")
	}
	vip := moving(n, all[0], all[1])
	p := n.Probe(vip, 20*time.Millisecond, false)
	for _, c := range all {
		Eventually(t, long, nameOf(c)+" answers at the VIP", func() bool { who, _ := p.Holder(); return who == nameOf(c) })
		// An answer that a busy machine reads too late is none: it is asked for again.
		Eventually(t, long, nameOf(c)+" alone claims the VIP", func() bool {
			who := n.Claimants(vip, 200*time.Millisecond)
			return len(who) == 1 && who[0] == nameOf(c)
		})
		eligible(all[1], 1)
		c.Disconnect()
	}
	t.Log(p)
}

func TestCutsAndLosses(t *testing.T) {
	t.Parallel()
	n, all := echoNodes(t, 3)
	a, b, c := all[0], all[1], all[2]
	heal := n.Cut(a, b)
	if sees(a, b.Spec.IP, 1) || sees(b, a.Spec.IP, 1) {
		t.Error("the cut lets something through")
	}
	if !sees(a, c.Spec.IP, 30) || !sees(b, c.Spec.IP, 30) || !answers(t, a.Spec.IP) {
		t.Error("the cut between two hits others")
	}
	b.Restart(0)
	b.Eventually(long, "answers this machine", func() bool { return reaches(t, b.Spec.IP) })
	if sees(a, b.Spec.IP, 1) {
		t.Error("the cut did not outlive a restart")
	}
	heal()
	a.Eventually(long, "sees n2 again", func() bool { return sees(a, b.Spec.IP, 10) })

	// One way: no question gets from n1 to n2, but frames of n2 get to n1.
	heal = n.CutOneWay(a, b)
	if sees(a, b.Spec.IP, 1) || sees(b, a.Spec.IP, 1) {
		t.Error("TCP works in a single direction")
	}
	before := received(a)
	b.Exec("perl", "-e", asks, a.Spec.IP, "1")
	if now := received(a); now == before {
		t.Errorf("nothing of n2 arrived at n1: %d frames", now)
	}
	// Nor does what n1 sends to all: n2 would answer, and that way is open. The
	// address is one by which n2 itself never speaks.
	silent := n.Address(50)
	b.MustExec("ip", "addr", "add", silent+"/32", "dev", "eth0")
	sees(a, silent, 1)
	if entry := a.MustExec("ip", "neigh", "show", silent); strings.Contains(entry, "lladdr") {
		t.Errorf("n2 has heard a broadcast of n1: %s", entry)
	}
	heal()
	a.Eventually(long, "hears n2's other address", func() bool { return sees(a, silent, 3) })

	heal = n.Isolate(a, b, c, Host)
	if reaches(t, a.Spec.IP) || sees(b, a.Spec.IP, 1) || !answers(t, b.Spec.IP) {
		t.Error("isolation of n1")
	}
	heal()
	a.Eventually(long, "answers again", func() bool { return reaches(t, a.Spec.IP) })

	n.Lose(Host, a, 0.5)
	lost := 0
	for range 60 {
		// Within this time nothing is sent twice.
		if _, err := ask(t.Context(), a.Spec.IP, "hello", 100*time.Millisecond); err != nil {
			lost++
		}
	}
	if lost < 20 { // two frames must arrive: three of four questions are lost
		t.Errorf("half of the frames were to be lost; %d of 60 questions were", lost)
	}
	// Not all of them: a busy machine may have answered each one too late.
	a.Eventually(long, "gets some of the frames", func() bool { return reaches(t, a.Spec.IP) })
}

// received counts the frames that arrived in the container.
func received(c *Container) (frames int) {
	out := c.MustExec("sh", "-c", "cat /sys/class/net/eth*/statistics/rx_packets")
	_, _ = fmt.Sscan(out, &frames)
	return frames
}
