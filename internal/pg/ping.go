package pg

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// sslRequest asks whether the server does TLS (SSLRequest of the protocol).
const sslRequest = 80877103

// Ping reports whether the postmaster takes connections and makes a process
// for each, which is what Login.Ping says.
func Ping(ctx context.Context, socketDir string, port int) error {
	return Login{SocketDir: socketDir, Port: port, PeerUID: -1}.Ping(ctx)
}

// Ping reports whether the postmaster takes a connection and its new process
// answers. It asks what comes before a login, so that no lock, no rule and no
// number of clients keeps the answer back, nothing of it stays in the server,
// and its log says nothing: whether TLS is done, which on a Unix socket it is
// not. A server that starts or stops answers too.
func (l Login) Ping(ctx context.Context) error {
	err := l.ping(ctx)
	if err != nil {
		return fmt.Errorf("ping the server at %s: %w", l.Socket(), err)
	}
	return nil
}

func (l Login) ping(ctx context.Context) error {
	conn, err := dialer{uid: l.PeerUID}.DialContext(ctx, "unix", l.Socket())
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // all that was sent has been read
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	ask := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 8), sslRequest)
	if _, err := conn.Write(ask); err != nil {
		return err
	}
	return readAnswer(conn)
}

// readAnswer reads all that the server says: N or S, or an error of a
// postmaster that could make no process.
func readAnswer(conn io.Reader) error {
	answer := make([]byte, 1)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	switch answer[0] {
	case 'N', 'S':
		return nil
	case 'E':
		text, _ := io.ReadAll(io.LimitReader(conn, 1<<10)) // it closes the connection
		return fmt.Errorf("it refuses: %.200q", text)
	}
	return errors.New("the answer is not of PostgreSQL's protocol")
}
