package testbed

import (
	"encoding/binary"
	"errors"
	"io"
)

// demux splits the engine's combined stream: frames of one byte that names
// the stream (2 = stderr), three zero bytes, the length, and the data.
// It ends without an error at the end of the stream.
func demux(r io.Reader, stdout, stderr io.Writer) error {
	var head [8]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		w := stdout
		if head[0] == 2 {
			w = stderr
		}
		if _, err := io.CopyN(w, r, int64(binary.BigEndian.Uint32(head[4:]))); err != nil {
			return err
		}
	}
}
