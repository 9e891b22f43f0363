package faulttest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

const token = "a-token-that-nobody-guesses"

// listener keeps port 8008 busy.
const listener = `my $s = IO::Socket::INET->new(LocalPort => 8008, Listen => 5, ReuseAddr => 1) or die $!; $| = 1; print "listening\n"; sleep 1000`

func TestATakenPortWarnsPostgresServesAndTheAPIComesWhenThePortIsFree(t *testing.T) {
	t.Parallel()
	holder := testbed.Run(t, testbed.Spec{Image: image, Args: []string{"sleep", "infinity"}})
	go func() {
		_, _ = holder.TryDo(t.Context(), testbed.Command{
			Args: []string{"perl", "-MIO::Socket::INET", "-e", listener}, Timeout: 10 * time.Minute,
		})
	}()
	addr := holder.Addr()
	holder.Eventually(long, "port 8008 is taken", func() bool {
		conn, err := net.DialTimeout("tcp", addr+":8008", time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	s := spec(testbed.Bind(seeded(t), home))
	s.Network = "container:" + holder.Name
	c := testbed.Run(t, s)
	says(t, c.WaitLog("cannot listen for the API on TCP", long), "WARN", ":8008", "postgres is not affected", "address already in use")
	waitPhase(t, c, node.Running)
	holder.Spec.Env = c.Spec.Env
	served(t, holder) // the server in the holder's network

	p, ok := holder.Find(func(p testbed.Process) bool { return p.Comm == "perl" })
	if !ok {
		t.Fatal("the port's holder is gone")
	}
	holder.Signal(p, syscall.SIGKILL)
	c.Eventually(long, "the API answers on TCP", func() bool {
		code, _ := get(t.Context(), addr, "/readiness")
		return code == http.StatusOK
	})
}

// raw sends bytes as they are and returns the status of the answer, 0 where
// the connection ends without one.
func raw(t *testing.T, addr, text string) (status int, body string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr+":8008", 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	go func() { _, _ = io.WriteString(conn, text) }() // the server may not read all of it
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode, readAll(resp.Body)
}

func request(method, path, body string, header ...string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", method, path, strings.Join(header, ""), len(body), body)
}

func TestTheAPIAnswersBadRequestsWithTheRightCodeAndStandsFirm(t *testing.T) {
	t.Parallel()
	c := testbed.Run(t, spec(testbed.Bind(seeded(t), home), "PGBATON_TOKEN="+token))
	served(t, c)
	waitPhase(t, c, node.Running)
	addr := c.Addr()
	supervisor, _ := c.Supervisor()
	const auth = "Authorization: Bearer " + token + "\r\n"
	for name, r := range map[string]struct {
		send string
		want int
		says string
	}{
		"an order without a token":           {request("POST", "/v1/order", `{"do":"stop"}`), 401, "token"},
		"an order with a wrong token":        {request("POST", "/v1/order", `{"do":"stop"}`, "Authorization: Bearer guess\r\n"), 401, "token"},
		"a token of another scheme":          {request("POST", "/v1/order", `{"do":"stop"}`, "Authorization: Basic "+token+"\r\n"), 401, "token"},
		"what is not there, without a token": {request("GET", "/v1/none", ""), 401, "token"},
		"what is not there, with a token":    {request("GET", "/v1/none", "", auth), 404, "no /v1/none"},
		"an unknown path":                    {request("GET", "/none", ""), 404, "no /none"},
		"an unclean path":                    {request("GET", "//primary", ""), 404, ""},
		"a path around the token":            {request("GET", "/x/../v1/node", ""), 404, ""},
		"a wrong method on a health path":    {request("POST", "/primary", ""), 405, "use GET"},
		"a wrong method on an order":         {request("GET", "/v1/order", "", auth), 405, "use POST"},
		"an order that is no JSON":           {request("POST", "/v1/order", "stop!", auth), 400, "nothing was done"},
		"an empty order":                     {request("POST", "/v1/order", "", auth), 400, "nothing was done"},
		"an order with an unknown field":     {request("POST", "/v1/order", `{"do":"stop","mod":"smart"}`, auth), 400, "mod"},
		"an unknown order":                   {request("POST", "/v1/order", `{"do":"explode"}`, auth), 400, "explode"},
		"two orders":                         {request("POST", "/v1/order", `{"do":"reload"}{"do":"stop"}`, auth), 400, "nothing was done"},
		"an oversized order":                 {request("POST", "/v1/order", `{"do":"`+strings.Repeat("x", 1<<20)+`"}`, auth), 413, "too large"},
		"oversized headers":                  {request("GET", "/primary", "", "X: "+strings.Repeat("x", 1<<20)+"\r\n"), 431, ""},
		"no HTTP at all":                     {"\x16\x03\x01 hello\r\n\r\n", 400, ""},
		"no host":                            {"GET /primary HTTP/1.1\r\n\r\n", 400, ""},
		"two lengths":                        {"POST /v1/order HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400, ""},
	} {
		code, body := raw(t, addr, r.send)
		if code != r.want || !strings.Contains(body, r.says) {
			t.Errorf("%s: %d %.200q, want %d and %q", name, code, body, r.want, r.says)
		}
	}

	// More connections than there are places, each of which sends its request
	// too slowly to ever end.
	slow, end := context.WithCancel(t.Context())
	defer end()
	for range 700 {
		go crawl(slow, addr)
	}
	c.Eventually(long, "all places are taken", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		code, _ := get(ctx, addr, "/liveness")
		return code == 0
	})
	c.Eventually(long, "a request gets its turn among slow ones", func() bool {
		code, _ := get(t.Context(), addr, "/readiness")
		return code == http.StatusOK
	})
	c.Eventually(long, "the control socket answers beside slow clients", func() bool {
		return c.Exec("pgbaton", "status", "--ready").Code == 0
	})
	served(t, c)
	end()
	c.Eventually(long, "the API answers after slow clients", func() bool {
		code, _ := get(t.Context(), addr, "/readiness")
		return code == http.StatusOK
	})
	if now, ok := c.Supervisor(); !ok || now.PID != supervisor.PID {
		t.Errorf("the supervisor was %d and is %d", supervisor.PID, now.PID)
	}
	if st := waitPhase(t, c, node.Running); st.Restarts.Postgres != 0 {
		t.Errorf("after all that the node is %+v", st)
	}
}

// crawl connects again and again and sends one byte a second.
func crawl(ctx context.Context, addr string) {
	var d net.Dialer
	for ctx.Err() == nil {
		conn, err := d.DialContext(ctx, "tcp", addr+":8008")
		if err != nil {
			continue
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		for _, b := range []byte("GET /primary HTTP/1.1\r\nX-Slow: and so on") {
			if _, err := conn.Write([]byte{b}); err != nil {
				break
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
		stop()
		_ = conn.Close()
	}
}

// codes are what the health paths answer, in the order of healthPaths.
var healthPaths = []string{"/", "/primary", "/master", "/leader", "/read-write", "/replica", "/read-only", "/health", "/readiness", "/liveness"}

func answers(t *testing.T, c *testbed.Container, want ...int) {
	t.Helper()
	addr := c.Addr()
	for i, path := range healthPaths {
		code, body := get(t.Context(), addr, path)
		if code != want[i] {
			t.Errorf("%s answers %d, want %d: %s", path, code, want[i], body)
		}
		if !json.Valid([]byte(body)) {
			t.Errorf("%s answers no JSON: %s", path, body)
		}
	}
}

func downButAlive(t *testing.T, c *testbed.Container) {
	t.Helper()
	answers(t, c, 503, 503, 503, 503, 503, 503, 503, 503, 503, 200)
}

// hasRole waits until the node serves in a role.
func hasRole(t *testing.T, c *testbed.Container, want node.Role) {
	t.Helper()
	c.Eventually(long, "the role is "+string(want), func() bool {
		st, err := state(t, c)
		return err == nil && st.Role == want && st.Phase == node.Running
	})
}

func TestHealthPathsAnswerAsPatronisOnARealPrimaryAndStandby(t *testing.T) {
	t.Parallel()
	primary := testbed.Run(t, spec(testbed.Bind(seeded(t), home), "PGBATON_TOKEN="+token, "PGBATON_BACKOFF_MAX=1s"))
	served(t, primary)
	hasRole(t, primary, node.Primary)
	answers(t, primary, 200, 200, 200, 200, 200, 503, 200, 200, 200, 200)
	metrics(t, primary, `pgbaton_up 1`, `pgbaton_role{role="primary"} 1`, `pgbaton_phase{phase="running"} 1`)

	volume := t.TempDir()
	backup := testbed.Run(t, testbed.Spec{
		Image: image, Mounts: []testbed.Mount{testbed.Bind(volume, home)}, Env: map[string]string{"PGPASSWORD": password},
		Args: []string{"pg_basebackup", "-h", primary.Addr(), "-U", "postgres", "-D", home + "/17/docker", "-R", "-X", "stream", "-c", "fast"},
	})
	if code := backup.Wait(long); code != 0 {
		t.Fatalf("pg_basebackup ends with %d", code)
	}
	standby := testbed.Run(t, spec(testbed.Bind(volume, home), "PGBATON_NODE=n2"))
	served(t, standby)
	hasRole(t, standby, node.Standby)
	answers(t, standby, 503, 503, 503, 503, 503, 200, 200, 200, 200, 200)
	metrics(t, standby, `pgbaton_up 1`, `pgbaton_role{role="standby"} 1`)
	if _, body := get(t.Context(), standby.Addr(), "/replica"); !strings.Contains(body, `"role":"replica"`) {
		t.Errorf("the standby does not call itself a replica as Patroni does: %s", body)
	}
	// A promotion by somebody else is seen.
	standby.MustExec("su", "-s", "/bin/sh", "postgres", "-c", "/usr/lib/postgresql/17/bin/pg_ctl promote -D "+home+"/17/docker")
	hasRole(t, standby, node.Primary)
	answers(t, standby, 200, 200, 200, 200, 200, 503, 200, 200, 200, 200)
	standby.Remove()

	if r := primary.Exec("pgbaton", "stop"); r.Code != 0 {
		t.Fatalf("stop ends with %d: %s", r.Code, r.Stderr)
	}
	downButAlive(t, primary)
	metrics(t, primary, `pgbaton_up 0`, `pgbaton_phase{phase="stopped"} 1`, `pgbaton_role{role="primary"} 0`)
	primary.MustExec("pgbaton", "start")
	hasRole(t, primary, node.Primary)

	// A library that is missing makes every start fail.
	if _, err := primary.DB().ExecContext(t.Context(), "alter system set shared_preload_libraries = 'missing'"); err != nil {
		t.Fatal(err)
	}
	p, _ := primary.Postmaster()
	primary.Signal(p, syscall.SIGKILL)
	st := waitPhase(t, primary, node.BackingOff)
	says(t, st.Why, "postgres ended by itself", "next start")
	downButAlive(t, primary)
	metrics(t, primary, `pgbaton_up 0`)
	if code, body := get(t.Context(), primary.Addr(), "/readiness"); !strings.Contains(body, "why") || code != 503 {
		t.Errorf("/readiness does not say why: %d %s", code, body)
	}
	primary.MustExec("sh", "-c", "sed -i /missing/d "+home+"/17/docker/postgresql.auto.conf")
	hasRole(t, primary, node.Primary)
	answers(t, primary, 200, 200, 200, 200, 200, 503, 200, 200, 200, 200)
}

func TestAServerInRecoveryIsAliveAndNotReady(t *testing.T) {
	t.Parallel()
	volume := seeded(t)
	put(t, filepath.Join(volume, pgdata, "standby.signal"), "")
	conf := filepath.Join(volume, pgdata, "postgresql.auto.conf")
	old, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	put(t, conf, string(old)+"restore_command = 'sleep 1000'\n") // an archive that never answers
	c := testbed.Run(t, spec(testbed.Bind(volume, home)))
	waitPhase(t, c, node.Recovering)
	downButAlive(t, c)
	metrics(t, c, `pgbaton_up 0`, `pgbaton_phase{phase="recovering"} 1`)
	if code, took := c.Stop(time.Minute); code == 137 {
		t.Errorf("stop during recovery took %v and ended with %d: it was killed", took, code)
	}
}

var (
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\.)*",?)*\})? (\S+)$`)
	familyEnd  = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// metrics checks the text format as promtool does, and looks for lines.
func metrics(t *testing.T, c *testbed.Container, want ...string) {
	t.Helper()
	code, body := get(t.Context(), c.Addr(), "/metrics")
	if code != http.StatusOK {
		t.Errorf("/metrics answers %d: %s", code, body)
		return
	}
	kind, help, seen := map[string]string{}, map[string]bool{}, map[string]bool{}
	lines := strings.Split(strings.TrimSuffix(body, "\n"), "\n")
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, k, _ := strings.Cut(rest, " ")
			if kind[name] != "" {
				t.Errorf("two types of %s", name)
			}
			kind[name] = k
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, text, _ := strings.Cut(rest, " ")
			help[name] = text != ""
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("no line of metrics: %q", line)
			continue
		}
		name := m[1]
		if kind[name] == "" {
			name = familyEnd.ReplaceAllString(name, "")
		}
		if kind[name] == "" || !help[name] {
			t.Errorf("%s has type %q and help %v", m[1], kind[name], help[name])
		}
		if seen[m[1]+m[2]] {
			t.Errorf("%s%s is there twice", m[1], m[2])
		}
		seen[m[1]+m[2]] = true
		if _, err := strconv.ParseFloat(m[3], 64); err != nil {
			t.Errorf("%q has no number", line)
		}
		if kind[name] == "counter" && !strings.HasSuffix(m[1], "_total") {
			t.Errorf("the counter %s does not end in _total", m[1])
		}
	}
	for _, w := range want {
		if !slices.Contains(lines, w) {
			t.Errorf("/metrics lacks %q", w)
		}
	}
}

func TestOnlyTheTokenOpensV1OnTCPAndOnlyRootAndPostgresMayOrder(t *testing.T) {
	t.Parallel()
	volume := testbed.Bind(seeded(t), home)
	closed := testbed.Run(t, spec(volume))
	served(t, closed)
	for _, header := range [][]string{nil, {"Authorization", "Bearer "}, {"Authorization", "Bearer x"}} {
		if code, body := get(t.Context(), closed.Addr(), "/v1/node", header...); code != http.StatusForbidden || strings.Contains(body, "pgdata") {
			t.Errorf("/v1/node of a node without a token answers %d to %v: %s", code, header, body)
		}
	}
	closed.Stop(time.Minute)
	closed.Remove()

	c := testbed.Run(t, spec(volume, "PGBATON_TOKEN="+token))
	served(t, c)
	waitPhase(t, c, node.Running)
	if code, body := get(t.Context(), c.Addr(), "/v1/node"); code != http.StatusUnauthorized || strings.Contains(body, "pgdata") {
		t.Errorf("/v1/node without the token answers %d: %s", code, body)
	}
	code, body := get(t.Context(), c.Addr(), "/v1/node", "Authorization", "Bearer "+token)
	var st node.State
	if err := json.Unmarshal([]byte(body), &st); code != http.StatusOK || err != nil || st.PGData != home+"/17/docker" || st.Major != 17 || !st.Ready {
		t.Errorf("/v1/node with the token answers %d (%v): %s", code, err, body)
	}
	if code, body := raw(t, c.Addr(), request("POST", "/v1/order", `{"do":"reload"}`, "Authorization: Bearer "+token+"\r\n")); code != http.StatusOK {
		t.Errorf("an order with the token: %d %s", code, body)
	}

	as := func(user string, args ...string) testbed.Result {
		return c.Do(testbed.Command{Args: append([]string{"pgbaton"}, args...), User: user})
	}
	for _, user := range []string{"0", "999", "12345:12345"} {
		if r := as(user, "status", "-o", "json"); r.Code != 0 || !strings.Contains(r.Stdout, `"running"`) {
			t.Errorf("uid %s may not read: %d %s", user, r.Code, r.Stderr)
		}
	}
	for _, args := range [][]string{{"stop"}, {"restart"}, {"reload"}, {"start", "--force"}} {
		r := as("12345:12345", args...)
		if r.Code == 0 {
			t.Errorf("uid 12345 may %v", args)
		}
		says(t, r.Stderr, "uid 12345 may look but not give orders", "nothing was done")
	}
	if st, err := state(t, c); err != nil || st.Phase != node.Running || st.Halted {
		t.Errorf("a refused order had an effect: %+v (%v)", st, err)
	}
	for _, user := range []string{"0", "999"} {
		if r := as(user, "reload"); r.Code != 0 {
			t.Errorf("uid %s may not order: %s", user, r.Stderr)
		}
	}
}

func TestSecretsAreInNoLogNoProcessListNoAnswerAndNoEnvironmentOfPostgres(t *testing.T) {
	t.Parallel()
	secrets := []string{"pw-7d1f0c2b", "tok-91be3a77d0a4"}
	v := testbed.NewVolume(t)
	s := spec(v.At(home), "POSTGRES_PASSWORD="+secrets[0], "PGBATON_TOKEN="+secrets[1], "PGBATON_LOG_LEVEL=debug")
	s.Files = []testbed.File{bornFile, {Path: "/docker-entrypoint-initdb.d/slow.sh", Data: "psql -c 'select pg_sleep(0.5)'\n"}}
	c := testbed.Run(t, s)
	look := func(where, text string) {
		t.Helper()
		for _, secret := range secrets {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s shows a secret: %.200q", where, text[max(0, i-100):])
			}
		}
	}
	processes := func() {
		t.Helper()
		for _, p := range c.Processes() {
			look("the process list", strings.Join(p.Cmdline, " "))
		}
	}
	// All of the initialisation is watched: initdb, temporary server, psql.
	c.Eventually(long, "it is ready", func() bool {
		processes()
		code, _ := get(t.Context(), c.Addr(), "/readiness")
		return code == http.StatusOK
	})
	served(t, c)
	hasRole(t, c, node.Primary)
	servers := 0
	for _, p := range c.Processes() {
		if p.Comm != "postgres" {
			continue
		}
		env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.HostPID), "environ"))
		if err != nil {
			continue // a backend that has ended
		}
		servers++
		look("the environment of "+p.String(), string(env))
	}
	if servers < 3 {
		t.Errorf("%d processes of postgres were looked at; the test has lost its way to them", servers)
	}
	for _, path := range append([]string{"/metrics", "/v1/node"}, healthPaths...) {
		_, body := get(t.Context(), c.Addr(), path, "Authorization", "Bearer "+secrets[1])
		look(path, body)
	}
	for _, args := range [][]string{{"status"}, {"status", "-o", "json"}, {"config", "print"}, {"config", "print", "-o", "json"}, {"config", "check"}} {
		r := c.Exec(append([]string{"pgbaton"}, args...)...)
		look(strings.Join(args, " "), r.Stdout+r.Stderr)
	}
	// What a refusal says is no exception.
	_, body := get(t.Context(), c.Addr(), "/v1/node", "Authorization", "Bearer "+secrets[0])
	look("a refusal", body)
	if found := c.MustExec("sh", "-c", "grep -rlaF -e "+secrets[0]+" -e "+secrets[1]+" "+home+" /run /tmp || true"); found != "" {
		t.Errorf("a secret lies in %s", found)
	}
	c.Restart(time.Minute)
	served(t, c)
	processes()
	look("the log", c.Logs())
}
