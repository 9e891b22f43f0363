package testbed

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/lib/pq"
)

// stale is how long an address may be remembered: docker can give a
// container another one at each start, and writers that reconnect every 5 ms
// must not keep the engine busy.
const stale = 50 * time.Millisecond

// Addr is the address of the container in its network: that of Spec.IP, or
// else the one that it has now, empty while it is down.
func (c *Container) Addr() string {
	c.tb.Helper()
	addr, err := c.address(c.tb.Context())
	c.must(err, "find the address of")
	return addr
}

func (c *Container) address(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Spec.IP != "" {
		return c.Spec.IP, nil // see Readdress
	}
	if c.addr != "" && time.Since(c.looked) < stale {
		return c.addr, nil
	}
	s, err := c.inspect(ctx)
	if err != nil {
		return "", err
	}
	c.addr, c.looked = s.Addr, time.Now()
	return s.Addr, nil
}

// DSN is how to reach the server over TCP as the superuser that Spec.Env
// names, in its default database.
func (c *Container) DSN(ctx context.Context) (string, error) {
	user := cmp.Or(c.Spec.Env["POSTGRES_USER"], "postgres")
	return c.DSNFor(ctx, user, c.Spec.Env["POSTGRES_PASSWORD"], cmp.Or(c.Spec.Env["POSTGRES_DB"], user))
}

// DSNFor is DSN for any user and database.
func (c *Container) DSNFor(ctx context.Context, user, password, db string) (string, error) {
	addr, err := c.address(ctx)
	if err != nil {
		return "", err
	}
	if addr == "" {
		return "", fmt.Errorf("container %s has no address now", c.Name)
	}
	dsn := fmt.Sprintf("host=%s port=%s user=%s dbname=%s sslmode=disable", addr, cmp.Or(c.Spec.Port, "5432"), quote(user), quote(db))
	if password != "" {
		dsn += " password=" + quote(password)
	}
	return dsn, nil
}

// quote makes a connection string's value of any string.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// DB opens a pool of connections to the running server; it is closed at the
// end of the test.
func (c *Container) DB() *sql.DB {
	c.tb.Helper()
	dsn, err := c.DSN(c.tb.Context())
	c.must(err, "reach")
	db, err := OpenDB(dsn)
	c.must(err, "reach")
	c.tb.Cleanup(func() { db.Close() })
	return db
}

// OpenDB opens a pool of connections that wait for a busy machine; only the
// load is as impatient as a client.
func OpenDB(dsn string) (*sql.DB, error) {
	conn, err := pq.NewConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("read connection string: %w", err)
	}
	conn.Dialer(&dialer{within: unhurried})
	return sql.OpenDB(conn), nil
}

// WaitReady waits until the server answers `select 1` over TCP. It ends the
// test at once when the container has ended.
func (c *Container) WaitReady(timeout time.Duration) {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(c.tb.Context(), timeout)
	defer cancel()
	_, err := c.FirstSelect(ctx, 20*time.Millisecond)
	c.must(err, "wait for select 1 of")
}

// FirstSelect asks `select 1` over TCP every so often until it is answered,
// and returns when that was.
func (c *Container) FirstSelect(ctx context.Context, every time.Duration) (time.Time, error) {
	for n := 0; ; n++ {
		err := c.selectOne(ctx)
		if err == nil {
			return time.Now(), nil
		}
		if ctx.Err() != nil {
			return time.Time{}, fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		if n%25 == 24 {
			if s, e := c.inspect(ctx); e == nil && !s.Running && s.Status != "restarting" {
				return time.Time{}, fmt.Errorf("the container is %s, exit code %d", s.Status, s.ExitCode)
			}
		}
		time.Sleep(every)
	}
}

func (c *Container) selectOne(ctx context.Context) error {
	dsn, err := c.DSN(ctx)
	if err != nil {
		return err
	}
	l := link{timeout: 2 * time.Second}
	if err := l.connect(ctx, dsn, nil); err != nil {
		return err
	}
	defer l.close()
	return l.exec(ctx, "select 1")
}

// dialer connects within a bound and hands the connection to the link, whose
// deadlines replace lib/pq's own way of cancelling: that one opens a second
// connection and asks the server to cancel, which turns a commit that waits
// for a standby into an acknowledged one.
type dialer struct {
	via    func(ctx context.Context, network, addr string) (net.Conn, error)
	took   func(net.Conn)
	within time.Duration // 0 means connectTimeout
}

const (
	// connectTimeout is what a client on the same network would allow.
	connectTimeout = 100 * time.Millisecond
	// unhurried is for tests that look at the server and measure nothing.
	unhurried = 20 * time.Second
)

func (d *dialer) Dial(network, addr string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, addr)
}

func (d *dialer) DialTimeout(network, addr string, _ time.Duration) (net.Conn, error) {
	return d.Dial(network, addr)
}

func (d *dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(d.within, connectTimeout))
	defer cancel()
	via := d.via
	if via == nil {
		via = new(net.Dialer).DialContext
	}
	conn, err := via(ctx, network, addr)
	if err == nil && d.took != nil {
		d.took(conn)
	}
	return conn, err
}
