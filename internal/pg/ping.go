package pg

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrNotYet is wrapped by Ping where the server answers that it takes no
// connections now (SQLSTATE 57P03): it starts, recovers, or stops.
var ErrNotYet = errors.New("the server takes no connections now")

// Ping reports whether a server accepts connections, without credentials, as
// PQping does: nil if it does. The server may log the attempt as a denied
// login; Login.Ping as a role that gets in leaves no such line.
func Ping(ctx context.Context, socketDir string, port int) error {
	return Login{SocketDir: socketDir, Port: port, User: "pgbaton", PeerUID: -1}.Ping(ctx)
}

// Ping asks with the login's role whether the server accepts connections, and
// leaves before it proves who it is. Any answer but 57P03 says yes: to be
// denied, or too many, is to be accepted as a client.
func (l Login) Ping(ctx context.Context) error {
	err := l.ping(ctx)
	if err != nil {
		return fmt.Errorf("ping the server at %s: %w", l.Socket(), err)
	}
	return nil
}

func (l Login) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := dialer{uid: l.PeerUID}.DialContext(ctx, "unix", l.Socket())
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing of value was sent
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(startupPacket(l.User, l.database())); err != nil {
		return err
	}
	return readAnswer(conn)
}

// startupPacket is StartupMessage of protocol 3.0.
func startupPacket(user, database string) []byte {
	body := binary.BigEndian.AppendUint32(nil, 3<<16)
	for _, s := range []string{"user", user, "database", database, "application_name", "pgbaton"} {
		body = append(append(body, s...), 0)
	}
	body = append(body, 0)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)
}

// readAnswer reads the server's first message. Only an ErrorResponse can say
// that it is not ready; before version 3.0 was agreed on there are no others.
func readAnswer(conn io.Reader) error {
	head := make([]byte, 5)
	if _, err := io.ReadFull(conn, head); err != nil {
		return err
	}
	if head[0] != 'E' {
		return nil
	}
	length := binary.BigEndian.Uint32(head[1:])
	if length < 4 || length > 64<<10 {
		return errors.New("the answer is not of PostgreSQL's protocol 3.0")
	}
	body := make([]byte, length-4)
	if _, err := io.ReadFull(conn, body); err != nil {
		return err
	}
	if sqlState(body) == "57P03" {
		return ErrNotYet
	}
	return nil
}

// sqlState finds field C of an ErrorResponse.
func sqlState(body []byte) string {
	for field := range bytes.SplitSeq(body, []byte{0}) {
		if len(field) > 1 && field[0] == 'C' {
			return string(field[1:])
		}
	}
	return ""
}
